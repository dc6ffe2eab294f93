// The floor under the ledger: what SQLite itself does with rows of the same size in the same group
// commits, and nothing else. No columns, no keys, no fates, no totals, no laws.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "store/sqlite.h"

namespace tallymill::bench {

class SqliteFloor {
 public:
  // `own_wal_policy`: SQLite's own checkpoint each 1,000 pages inside a commit, as a program has it
  // that sets nothing. Otherwise the log grows through the whole run and is never copied.
  SqliteFloor(const std::filesystem::path& file, bool own_wal_policy);

  void begin();
  void append(std::int64_t id, std::string_view row);
  void settle(std::int64_t id, std::string_view row);
  void commit();
  // Copies the log and starts it again; between rounds, not timed.
  void checkpoint();

 private:
  store::Sqlite db_;
  store::Statement begin_, commit_, append_, settle_;
};

}  // namespace tallymill::bench
