// The order in which waiting jobs leave. Goal: the most urgent goes first and nothing starves.
// Method: floods, counted in dispatches; then random use against a plain list of what waits.
#include "front/waiting.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "base/limits.h"

namespace tallymill::front {
namespace {

class WaitingTest : public ::testing::Test {
 protected:
  WaitingTest() {
    waiting.add_route();
    waiting.add_route();
  }
  JobId push(std::int32_t priority, ClientId client = 0, RouteId route = 0) {
    const JobId job(++last);
    waiting.push_ready({route, priority, client, {Instant::max(), job}});
    return job;
  }
  JobId pop(RouteId route = 0) {
    const JobId job = waiting.next(route);
    waiting.pop(route);
    return job;
  }
  // Pops of route 0 until `job` goes, while `flood` is kept full.
  int pops_until(JobId job, std::int32_t flood) {
    for (int pops = 1;; ++pops) {
      push(flood);
      if (pop() == job || pops > 100'000) return pops;
    }
  }

  Waiting waiting;
  std::int64_t last = 0;
  const std::vector<bool> none_stuck{false, false};
};

TEST_F(WaitingTest, TheHighestPriorityGoesFirst) {
  const JobId low = push(0);
  const JobId high = push(9);
  const JobId middle = push(4);
  EXPECT_EQ(pop(), high);
  EXPECT_EQ(pop(), middle);
  EXPECT_EQ(pop(), low);
  EXPECT_TRUE(waiting.empty(0));
}

TEST_F(WaitingTest, TheLowestPriorityGoesAfterATurnOfHigherOnes) {
  const JobId low = push(0);
  push(9);
  EXPECT_EQ(pops_until(low, 9), limits::starvation_turn + 1);
}

TEST_F(WaitingTest, NoPriorityInBetweenStarvesWhileALowerOneIsServed) {
  std::map<std::int32_t, std::vector<int>> gone;  // by priority: at which dispatch
  std::map<std::int64_t, std::int32_t> priority_of;
  for (std::int32_t priority = 0; priority < priorities; ++priority)
    for (int i = 0; i < 3000; ++i) priority_of[push(priority).raw()] = priority;
  for (int dispatch = 1; dispatch <= 3000; ++dispatch) {
    const JobId job = pop();
    gone[priority_of.at(job.raw())].push_back(dispatch);
  }
  const int longest = limits::starvation_turn * priorities;
  for (std::int32_t priority = 0; priority < priorities; ++priority) {
    int before = 0;
    for (const int dispatch : gone[priority]) {
      EXPECT_LE(dispatch - before, longest) << "priority " << priority;
      before = dispatch;
    }
    EXPECT_GE(before, 3000 - longest) << "priority " << priority;
  }
  // And the most urgent keeps nearly all of it.
  EXPECT_GE(std::ssize(gone[9]), 3000 * (limits::starvation_turn - 1) / limits::starvation_turn);
}

TEST_F(WaitingTest, AnUrgentJobNeverWaitsForALowOneThatWasJustServed) {
  for (int i = 0; i < 10'000; ++i) push(0);
  std::mt19937 rng(2);
  for (int i = 0; i < 500; ++i) {
    for (auto lows = rng() % 40; lows > 0; --lows) pop();
    const JobId urgent = push(9);
    ASSERT_EQ(pop(), urgent) << "urgent job " << i;
  }
}

TEST_F(WaitingTest, ARouteOfLessUrgentJobsGoesAfterATurnOfAnother) {
  const JobId low = push(0, 0, 1);
  for (int i = 0; i < 100; ++i) push(9);
  int pops = 0;
  while (true) {
    const auto route = waiting.next_route(none_stuck);
    ASSERT_TRUE(route);
    ++pops;
    if (pop(*route) == low) break;
    ASSERT_LE(pops, 100);
  }
  EXPECT_EQ(pops, limits::starvation_turn + 1);
}

TEST_F(WaitingTest, ARouteThatWasEmptyDoesNotJumpTheQueueWhenItFillsAgain) {
  push(0, 0, 1);
  for (int i = 0; i < limits::starvation_turn; ++i) push(9), pop();
  waiting.erase_ready({1, 0, 0, {Instant::max(), JobId(1)}});
  push(9);
  push(0, 0, 1);
  EXPECT_EQ(waiting.next_route(none_stuck), RouteId{0});
}

TEST_F(WaitingTest, AStuckRouteLetsTheOthersGo) {
  push(9, 0, 0);
  const JobId other = push(0, 0, 1);
  EXPECT_EQ(waiting.next_route({true, false}), RouteId{1});
  EXPECT_EQ(waiting.next(1), other);
  EXPECT_EQ(waiting.next_route({true, true}), std::nullopt);
}

TEST_F(WaitingTest, OfTheJobsThatMustRunAloneTheOldestGoesFirst) {
  waiting.push_alone(0, JobId(7));
  waiting.push_alone(1, JobId(5));
  EXPECT_EQ(waiting.next_alone_route(none_stuck), RouteId{1});
  EXPECT_EQ(waiting.next_alone_route({false, true}), RouteId{0});
  waiting.erase_alone(1, JobId(5));
  EXPECT_EQ(waiting.next_alone_route(none_stuck), RouteId{0});
  EXPECT_EQ(waiting.counts().ready, 1);
}

TEST_F(WaitingTest, CountsWhatWaitsUnderRandomUse) {
  std::mt19937 rng(3);
  std::vector<Waiting::Ready> ready;
  std::int64_t alone = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto what = rng() % 8;
    if (what < 4) {
      const Waiting::Ready one{static_cast<RouteId>(rng() % 2),
                               static_cast<std::int32_t>(rng() % 10),
                               static_cast<ClientId>(rng() % 3),
                               {Instant::max(), JobId(step)}};
      waiting.push_ready(one);
      ready.push_back(one);
    } else if (what == 4) {
      waiting.push_alone(static_cast<RouteId>(step % 2), JobId(step));
      ++alone;
    } else if (what == 5 && alone > 0) {
      const auto route = waiting.next_alone_route(none_stuck);
      ASSERT_TRUE(route);
      waiting.erase_alone(*route, waiting.next_alone(*route));
      --alone;
    } else if (what == 6 && !ready.empty()) {
      const auto gone = ready.begin() + static_cast<std::ptrdiff_t>(rng() % ready.size());
      waiting.erase_ready(*gone);
      ready.erase(gone);
    } else if (!ready.empty()) {
      const auto route = waiting.next_route(none_stuck);
      ASSERT_TRUE(route) << "step " << step;
      const int priority = waiting.next_priority(*route);
      const JobId job = pop(*route);
      const auto gone =
          std::ranges::find(ready, job, [](const Waiting::Ready& one) { return one.place.job; });
      ASSERT_NE(gone, ready.end()) << "step " << step;
      ASSERT_EQ(gone->priority, priority) << "step " << step;
      ASSERT_EQ(gone->route, *route) << "step " << step;
      ready.erase(gone);
    }
    ASSERT_EQ(waiting.counts().ready, std::ssize(ready) + alone) << "step " << step;
    for (const RouteId route : {RouteId{0}, RouteId{1}})
      ASSERT_EQ(waiting.empty(route),
                std::ranges::count(ready, route, &Waiting::Ready::route) == 0);
  }
}

}  // namespace
}  // namespace tallymill::front
