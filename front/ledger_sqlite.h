// The ledger of one host: SQLite in WAL mode with synchronous=FULL, one writer, group commit.
//
// One commit is one transaction: a row per job, per end and per note, the fates that changed
// (ledger_fates.h), and one row that holds the totals after it. The totals are therefore exactly
// as durable as what they count, and opening reads one row. Tables: docs/formats/ledger.md.
//
//   invariant: the row of the last commit says head and totals; no number in it is ever recomputed
//
// Threads: as front/ledger.h says; open() by any, the object then belongs to the committer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/limits.h"
#include "front/ledger.h"
#include "front/ledger_wal.h"

namespace tallymill::store {
class Blobs;
}

namespace tallymill::front {

struct LedgerOptions {
  std::filesystem::path folder;
  const store::Blobs* blobs = nullptr;  // where references are looked up; null: not looked up
  bool force_copy = false;              // the supervisor saw the last front die of a failed sync
  std::string boot = {};                // empty: this machine's
  std::string vfs = {};                 // a layer under SQLite, for tests
  WalBounds wal = {};
  Bytes reserve = limits::ledger_reserve;
  std::int64_t keys = limits::idempotency_keys;
};

struct OpenLedger {
  std::unique_ptr<Ledger> ledger;
  Opened found;
};

// Makes the ledger if there is none. busy: another process has it (its pid is named). version: its
// schema is newer. disk: no room or no right. corrupt: not a ledger, or damaged.
// The epoch is raised and synced when it returns.
[[nodiscard]] Result<OpenLedger> open_sqlite_ledger(LedgerOptions options);

// A reader's connection of its own; also for a ledger that no front has open.
[[nodiscard]] Result<std::unique_ptr<LedgerReader>> open_sqlite_reader(
    const std::filesystem::path& folder, const std::string& vfs = {});

}  // namespace tallymill::front
