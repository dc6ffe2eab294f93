// What the ledger kept of time is read back after a restart: with a wall clock that stepped by an
// hour meanwhile, in either direction, and after another boot, where that clock is all there is.
#include "front/rebase.h"

#include <gtest/gtest.h>

namespace tallymill::front {
namespace {

using namespace std::chrono_literals;

constexpr Instant queued{1000s};
constexpr WallTime submitted{1'700'000'000s};
constexpr Duration cap = 60s;

LiveJob job_with_times() {
  LiveJob job;
  job.submitted = submitted;
  job.queued = queued;
  job.deadline = submitted + 600s;
  job.not_before = submitted + 5s;
  return job;
}

class RebaseAfterAStep : public testing::TestWithParam<Duration> {};

TEST_P(RebaseAfterAStep, InTheSameBootTheMonotonicClockAloneSaysWhenAJobIsDueAndExpires) {
  const Rebased on = rebase(job_with_times(), queued + 3s, submitted + 3s + GetParam(), cap);
  EXPECT_EQ(on.deadline, queued + 600s);
  EXPECT_EQ(on.not_before, queued + 5s);
}

TEST_P(RebaseAfterAStep, ARetryIsNeverLaterThanItsKindsLongestBackoff) {
  LiveJob job = job_with_times();
  job.backoff = true;
  job.not_before = submitted + 10s;
  const Instant now = queued + 3s;
  for (const bool same_boot : {true, false}) {
    job.same_boot = same_boot;
    const Rebased on = rebase(job, now, submitted + 3s + GetParam(), cap);
    ASSERT_TRUE(on.not_before);
    EXPECT_LE(*on.not_before, now + cap);
    if (GetParam() == 0s) {
      EXPECT_EQ(*on.not_before, now + 7s);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, RebaseAfterAStep, testing::Values(-1h, 0h, 1h));

TEST(Rebase, AfterAnotherBootTheWallClockSaysIt) {
  LiveJob job = job_with_times();
  job.same_boot = false;
  const Instant now{7s};
  const Rebased on = rebase(job, now, submitted + 3s, cap);
  EXPECT_EQ(on.deadline, now + 597s);
  EXPECT_EQ(on.not_before, now + 2s);
}

TEST(Rebase, AJobWithoutTimesHasNone) {
  const Rebased on = rebase(LiveJob{}, queued, submitted, cap);
  EXPECT_FALSE(on.deadline);
  EXPECT_FALSE(on.not_before);
}

}  // namespace
}  // namespace tallymill::front
