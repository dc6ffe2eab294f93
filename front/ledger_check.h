// Check: every law of a ledger, held against its rows, by someone who is not the front.
//
// Counts that the front keeps running (totals, live jobs a row, keys, result bytes) are counted
// again here; links that it follows one way (slot to end, key to job, reference to blob) are
// followed the other way too. What breaks a law is named by its job. `tallymill ledger check`
// prints the report and exits 7 when it is not clean.
//
// It reads one state of the ledger, also while a front runs; a crash's WAL is recovered, nothing
// else is written.
//
// Threads: the caller's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tallymill::store {
class Blobs;
}

namespace tallymill::front {

struct Violation {
  std::string law;   // "one end a job"
  JobId job;         // zero: of the ledger as a whole
  std::string what;  // one sentence with the numbers
};

struct CheckReport {
  std::vector<Violation> violations;  // the first hundred
  std::int64_t violations_in_all = 0;
  std::int64_t accepted = 0;
  std::int64_t live = 0;
  std::int64_t ended = 0;    // still kept
  std::int64_t retired = 0;  // ended and removed
  std::int64_t head = 0;
  [[nodiscard]] bool clean() const { return violations_in_all == 0; }
};

struct CheckOptions {
  std::filesystem::path folder;
  const store::Blobs* blobs = nullptr;  // null: references are not looked up
  bool read_blobs = false;              // also that each has the bytes that its name says
};

// not_found: no ledger there. version: of a newer program. corrupt: no database at all. What can be
// read but is wrong is a report.
[[nodiscard]] Result<CheckReport> check_ledger(const CheckOptions& options);

}  // namespace tallymill::front
