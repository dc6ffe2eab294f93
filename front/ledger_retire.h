// Retirement: removes ended jobs that are older or more than the policy keeps, oldest end first, a
// bounded piece per call, and drops results when those that are kept outgrow their bound.
//
// What is removed stays counted: the table `retired` holds how many of each state went, so that
// accepted = ends kept + ends retired + live stays a law that can be checked. Waterfalls that are
// kept beyond their jobs have a count and an age of their own, and go oldest first, too. A job's
// idempotency key stands in its row; one that is still young when the job goes is kept in
// `retired_keys`, until a sweep finds it old enough.
//
//   invariant: ends are retired in the order of their numbers: what is kept has no hole
//
// Threads: the committer's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "front/ledger.h"
#include "front/ledger_fates.h"
#include "store/sqlite.h"

namespace tallymill::front {

class Retirement {
 public:
  // What was ever stored, as the row of the last commit says.
  struct Held {
    const Totals& totals;
    std::int64_t keys;
    std::int64_t result_bytes;
    std::int64_t head;
    std::int64_t keep_seq;  // the highest given
  };

  [[nodiscard]] static Result<Retirement> prepare(store::Sqlite& db);

  // One transaction. True: there is more to do. After an error the caller rolls back and forgets
  // the fates.
  [[nodiscard]] Result<bool> piece(const RetainPolicy& policy, WallTime now, const Held& held,
                                   Fates& fates);

  [[nodiscard]] std::int64_t keys_removed() const { return gone_.keys; }
  // Kept waterfalls up to this number are gone.
  [[nodiscard]] std::int64_t kept_through() const { return gone_.kept_through; }
  // Whether keys of retired jobs may be there.
  [[nodiscard]] bool keeps_keys() const { return keeps_keys_; }

 private:
  // The row of `retired`.
  struct Gone {
    std::int64_t ended[end_states] = {};
    std::int64_t keys = 0;
    std::int64_t result_bytes = 0;
    std::int64_t through_seq = 0;
    std::int64_t results_through_seq = 0;
    std::int64_t kept_through = 0;
    bool operator==(const Gone&) const = default;
  };
  struct OldEnd {
    std::int64_t seq;
    JobId job;
    EndState state;
    WallTime at;
    std::int64_t result_bytes;
    std::string digests;
  };

  [[nodiscard]] Status load();
  // Those after this number and before the first that stays, at most a piece of them.
  template <class Stays>  // bool(const OldEnd&)
  [[nodiscard]] Result<std::vector<OldEnd>> read_ends(std::int64_t after_seq, const Stays& stays);
  [[nodiscard]] Result<bool> remove_ends(const RetainPolicy& policy, WallTime now, const Held& held,
                                         Fates& fates);
  [[nodiscard]] Status remove_job(const OldEnd& end, const RetainPolicy& policy, WallTime now);
  [[nodiscard]] Status keep_key(const OldEnd& end);
  [[nodiscard]] Result<bool> drop_results(const RetainPolicy& policy, const Held& held);
  [[nodiscard]] Status sweep_keys(const RetainPolicy& policy, WallTime now);
  [[nodiscard]] Result<bool> remove_kept(const RetainPolicy& policy, WallTime now,
                                         const Held& held);
  [[nodiscard]] Status remove_refs(std::string_view digests, JobId job, std::string_view but);
  [[nodiscard]] Status store_gone();
  [[nodiscard]] std::unexpected<Error> failed() const;

  store::Sqlite* db_ = nullptr;
  store::Statement begin_, commit_, load_, store_;
  store::Statement ends_, job_, remove_job_, remove_end_, remove_notes_, remove_ref_;
  store::Statement keep_key_, keys_, remove_keys_, drop_result_, remove_commits_;
  store::Statement kept_, remove_kept_;
  Gone gone_;
  bool keeps_keys_ = false;
};

}  // namespace tallymill::front
