// Kept: the rows of waterfalls that outlive their jobs (keep.h says which those are).
//
// A row has all that its waterfall needs, for its job, its notes and its commit's row go before it.
// It is written in the transaction of the end; the whole time, which is known later, is added by
// the commit that the wholes ride on.
//
//   invariant: numbers are dense: a row is one more than the one before, or the first that is held
//
// Threads: the committer's; read_kept() by whoever reads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "front/ledger.h"
#include "store/sqlite.h"

namespace tallymill::front {

class Kept {
 public:
  [[nodiscard]] static Result<Kept> prepare(store::Sqlite& db);

  // Within the open transaction, of a job whose row and notes are there. False: see
  // Sqlite::error().
  [[nodiscard]] bool store(const JobEnd& end, std::int64_t keep_seq);
  // To the rows of those that are kept, where they still are.
  [[nodiscard]] bool add(std::span<const Whole> wholes);

 private:
  store::Statement attempts_, insert_, whole_;
  std::vector<std::string> found_;
};

// How read_kept() wants its rows; a WHERE may follow.
inline constexpr const char* kept_rows =
    "SELECT keep_seq, weight, seq, job, client, kind, state, attempts, submitted_ns, at_ns,"
    " intake_ns, queued_ns, took_ns, whole_ns, code, message, field, earlier, timeline"
    " FROM kept";
// corrupt: the attempts before the last cannot be told apart.
[[nodiscard]] Result<Waterfall> read_kept(const store::Statement& row);

}  // namespace tallymill::front
