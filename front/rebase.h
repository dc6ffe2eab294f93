// Rebase: the times of a job that the ledger kept, on the monotonic clock of this boot.
//
// The ledger keeps a client's times by the wall clock, and both clocks as they stood when the job
// was queued. Within one boot the monotonic clock went on, so the wall clock may have stepped
// since: it is not asked. After another boot the wall clock is all there is.
//
// A retry's due time is the exception: no reading of the monotonic clock lies beside it, so it goes
// by the wall clock, and a step is bounded by what a backoff can be: the job waits from now for
// no longer than its kind's longest.
//
// Threads: any; it keeps nothing.
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "front/ledger.h"

namespace tallymill::front {

struct Rebased {
  std::optional<Instant> deadline;
  std::optional<Instant> not_before;
};

// `now` and `wall`: one reading of both clocks. `backoff_cap`: of the job's kind.
[[nodiscard]] inline Rebased rebase(const LiveJob& job, Instant now, WallTime wall,
                                    Duration backoff_cap) {
  const auto by_client = [&](WallTime at) {
    return job.same_boot ? job.queued + (at - job.submitted) : now + (at - wall);
  };
  Rebased on;
  if (job.deadline) on.deadline = by_client(*job.deadline);
  if (job.not_before)
    on.not_before = job.backoff ? std::min(now + (*job.not_before - wall), now + backoff_cap)
                                : by_client(*job.not_before);
  return on;
}

}  // namespace tallymill::front
