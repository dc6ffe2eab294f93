// Places at workers and the choice of a lane. Goal: a route is taken whole or not at all, no order
// of hellos, takes and returns leaks a place, and slow workers do not hoard what fast ones could
// do. Method: cases at the edges, a queue of known service times in virtual time, then random use
// against the plain list of places that are out.
#include "front/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace tallymill::front {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr StageId compute = 0;
constexpr StageId image = 1;
constexpr KindId kind = 0;
const std::vector<StageId> both{compute, image};
const std::vector<StageId> compute_only{compute};

Instant at(std::int64_t ms) { return Instant(milliseconds(1'000'000 + ms)); }

class PoolTest : public ::testing::Test {
 protected:
  WorkerId add(const std::string& name, StageId stage, std::int32_t jobs = 100,
               std::int32_t threads = 1) {
    const auto id = pool.hello({.incarnation = name,
                                .stage = stage,
                                .limit = {Credits(jobs), Bytes(1000)},
                                .unsettled_limit = Credits(jobs),
                                .concurrency = threads},
                               at(0));
    EXPECT_TRUE(id);
    pool.at(*id).open = true;
    return *id;
  }
  bool take(const std::vector<StageId>& route, Bytes size = Bytes(1)) {
    return pool.take(route, kind, size, at(0), taken);
  }
  // Takes until no place is free; how many.
  int take_all(const std::vector<StageId>& route, std::vector<Taken>& out) {
    int n = 0;
    for (; take(route); ++n) out.insert(out.end(), taken.begin(), taken.end());
    return n;
  }
  [[nodiscard]] std::int32_t here(WorkerId id) const { return pool.at(id).here.held().jobs.raw(); }

  Pool pool;
  std::vector<Taken> taken;
};

TEST_F(PoolTest, ARouteWithoutAPlaceOnItsLastHopTakesNoneOnItsFirst) {
  const WorkerId first = add("compute", compute);
  const WorkerId second = add("image", image);
  pool.at(second).open = false;
  EXPECT_FALSE(take(both));
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(here(first), 0);
  EXPECT_EQ(pool.at(first).work_here, Duration(0));
  pool.at(second).open = true;
  ASSERT_TRUE(take(both));
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(here(first), 1);
  EXPECT_EQ(here(second), 0);
  EXPECT_EQ(pool.at(second).ahead, Credits(1));
}

TEST_F(PoolTest, AStageThatNobodyServesHasNoPlace) {
  add("compute", compute);
  EXPECT_FALSE(take(both));
  EXPECT_FALSE(take({7}));
}

TEST_F(PoolTest, AWorkerThatLeavesBrokeOrKeepsTooManyResultsGetsNothing) {
  const WorkerId id = add("compute", compute, 3);
  pool.at(id).leaving = true;
  EXPECT_FALSE(take(compute_only));
  pool.at(id).leaving = false;
  pool.at(id).open = false;
  EXPECT_FALSE(take(compute_only));
  pool.at(id).open = true;
  pool.at(id).unsettled = Credits(3);
  EXPECT_FALSE(take(compute_only));
  pool.at(id).unsettled = Credits(2);
  EXPECT_TRUE(take(compute_only));
}

TEST_F(PoolTest, ABadHelloIsRefusedAndChangesNothing) {
  const auto refused = pool.hello({.incarnation = "x", .limit = {Credits(0), Bytes(1)}}, at(0));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::bad_params);
  EXPECT_FALSE(pool.find("x"));
  const auto greedy = pool.hello(
      {.incarnation = "x", .limit = {limits::max_places_per_worker.jobs + Credits(1), Bytes(1)}},
      at(0));
  ASSERT_FALSE(greedy);
  EXPECT_EQ(greedy.error().code, Errc::too_big);
  const WorkerId id = add("compute", compute);
  const auto moved = pool.hello(
      {.incarnation = "compute", .stage = image, .limit = {Credits(1), Bytes(1)}}, at(0));
  ASSERT_FALSE(moved);
  EXPECT_EQ(pool.at(id).info.stage, compute);
}

TEST_F(PoolTest, AWorkerThatWasStruckOffComesBackInANewSlotAndNeedsANewLane) {
  const WorkerId id = add("compute", compute);
  pool.bury(id);
  EXPECT_FALSE(take(compute_only));
  const auto same_lane =
      pool.hello({.incarnation = "compute", .limit = {Credits(1), Bytes(1)}, .lane = 1}, at(1));
  ASSERT_TRUE(same_lane);
  EXPECT_NE(*same_lane, id);
  EXPECT_TRUE(pool.at(*same_lane).broken);
  pool.bury(*same_lane);
  const auto next_lane =
      pool.hello({.incarnation = "compute", .limit = {Credits(1), Bytes(1)}, .lane = 2}, at(2));
  ASSERT_TRUE(next_lane);
  EXPECT_FALSE(pool.at(*next_lane).broken);
}

TEST_F(PoolTest, LongJobsAreSentOneAheadOfEachHandlerThreadAndShortOnesSomeMillisecondsAhead) {
  const WorkerId id = add("compute", compute, 1000, 2);
  std::vector<Taken> out;
  pool.measured(id, kind, milliseconds(100));
  EXPECT_EQ(take_all(compute_only, out), 3);
  for (Taken& place : out) pool.give_back(place);
  out.clear();
  const WorkerId quick = add("quick", compute, 4000);
  pool.bury(id);
  pool.measured(quick, kind, microseconds(100));
  const int sent = take_all(compute_only, out);
  EXPECT_GE(sent, limits::lane_work_ahead / microseconds(100));
  EXPECT_LE(sent, limits::lane_work_ahead / microseconds(100) + 3);
}

TEST_F(PoolTest, NoWorkerGetsMoreThanItOffersHoweverShortTheJobs) {
  const WorkerId id = add("compute", compute, 7);
  pool.measured(id, kind, Duration(1));
  std::vector<Taken> out;
  EXPECT_EQ(take_all(compute_only, out), 7);
  pool.give_back(out[0]);
  EXPECT_TRUE(take(compute_only));
}

TEST_F(PoolTest, AJobLargerThanAWorkersBytesGoesOnlyToAnEmptyOne) {
  add("compute", compute);
  ASSERT_TRUE(take(compute_only));
  Taken small = taken[0];
  EXPECT_FALSE(take(compute_only, Bytes(5000)));
  pool.give_back(small);
  EXPECT_TRUE(take(compute_only, Bytes(5000)));
}

TEST_F(PoolTest, PlacesAtALaterHopAreBoundedByWhatTheStageBeforeRunsAtATime) {
  const WorkerId first = add("compute", compute, 1000, 2);
  const WorkerId second = add("image", image, 1000, 2);
  pool.measured(first, kind, microseconds(1));
  pool.measured(second, kind, milliseconds(100));
  std::vector<Taken> out;
  // Two threads and one job behind them.
  EXPECT_EQ(take_all(both, out), 3);
  // Enough to idle neither: one finishes its first hop and another may follow.
  pool.give_back(out[0]);
  pool.arrive(out[1]);
  EXPECT_TRUE(take(both));
}

TEST_F(PoolTest, JobsAtASlowFirstHopDoNotKeepOthersFromAnIdleSecond) {
  const WorkerId first = add("compute", compute, 1000);
  const WorkerId second = add("image", image, 2);
  pool.measured(first, kind, milliseconds(100));
  pool.measured(second, kind, microseconds(100));
  std::vector<Taken> out;
  EXPECT_EQ(take_all(both, out), 2);
  EXPECT_EQ(pool.at(second).ahead, Credits(2));
  EXPECT_EQ(here(second), 0);
  EXPECT_TRUE(take({image}));
  EXPECT_TRUE(take({image}));
  EXPECT_FALSE(take({image}));
}

// The mix that bare PUSH takes 5.6 times the ideal for: 400 jobs, one worker at 1 ms, one at 10 ms.
TEST_F(PoolTest, AFastAndASlowWorkerEndAboutTogether) {
  struct Server {
    WorkerId id;
    Duration service;
    std::vector<Taken> held;  // the front one runs
    Duration ends = Duration::max();
    int done = 0;
  };
  Server servers[] = {{add("fast", compute), milliseconds(1), {}},
                      {add("slow", compute), milliseconds(10), {}}};
  int left = 400;
  Duration now{};
  while (true) {
    while (left > 0 && take(compute_only)) {
      Server& to = servers[taken[0].worker == servers[0].id ? 0 : 1];
      to.held.push_back(taken[0]);
      if (to.held.size() == 1) to.ends = now + to.service;
      --left;
    }
    Server& next = servers[servers[0].ends <= servers[1].ends ? 0 : 1];
    if (next.ends == Duration::max()) break;
    now = next.ends;
    pool.measured(next.id, kind, next.service);
    pool.give_back(next.held.front());
    next.held.erase(next.held.begin());
    ++next.done;
    next.ends = next.held.empty() ? Duration::max() : now + next.service;
  }
  const double ideal_ms = 400 / (1.0 + 0.1);
  const double took_ms = std::chrono::duration<double, std::milli>(now).count();
  EXPECT_LE(took_ms, 1.15 * ideal_ms);
  EXPECT_EQ(servers[0].done + servers[1].done, 400);
  EXPECT_GE(servers[0].done, 350);
}

TEST_F(PoolTest, AJobThatRunsAloneWaitsForAnEmptyWorkerWhichTakesNothingElseMeanwhile) {
  const WorkerId id = add("compute", compute);
  ASSERT_TRUE(take(compute_only));
  Taken other = taken[0];
  EXPECT_FALSE(pool.take_alone(compute_only, kind, Bytes(1), JobId(5), at(0), taken));
  EXPECT_EQ(pool.kept(), JobId(5));
  EXPECT_FALSE(take(compute_only));
  pool.give_back(other);
  ASSERT_TRUE(pool.take_alone(compute_only, kind, Bytes(1), JobId(5), at(0), taken));
  EXPECT_EQ(pool.kept(), JobId(0));
  EXPECT_EQ(taken.at(0).worker, id);
  EXPECT_FALSE(take(compute_only));
  pool.give_back(taken[0]);
  EXPECT_FALSE(take(compute_only));
  pool.release_alone(JobId(5));
  EXPECT_TRUE(take(compute_only));
}

TEST_F(PoolTest, AJobThatRunsAloneKeepsNoWorkerWhileAStageOfItsRouteHasNone) {
  const WorkerId first = add("compute", compute);
  ASSERT_TRUE(take(compute_only));
  EXPECT_FALSE(pool.take_alone(both, kind, Bytes(1), JobId(5), at(0), taken));
  EXPECT_EQ(pool.kept(), JobId(0));
  EXPECT_EQ(pool.at(first).alone, JobId(0));
  EXPECT_TRUE(take(compute_only));
}

TEST_F(PoolTest, APlaceThatIsHeldAlreadyIsTakenWhateverTheLimit) {
  const WorkerId id = add("compute", compute, 1);
  Taken first = pool.force(id, kind, Bytes(600));
  Taken second = pool.force(id, kind, Bytes(600));
  EXPECT_FALSE(take(compute_only));
  pool.give_back(first);
  EXPECT_FALSE(take(compute_only));
  pool.give_back(second);
  EXPECT_TRUE(take(compute_only));
}

TEST_F(PoolTest, ThePlacesTakenAreThoseThatAreOutUnderRandomUse) {
  std::mt19937 rng(4);
  const WorkerId workers[] = {add("c1", compute, 5), add("c2", compute, 9, 3), add("i1", image, 4),
                              add("i2", image, 6, 2)};
  std::vector<Taken> out;
  for (int step = 0; step < 20'000; ++step) {
    switch (rng() % 6) {
      case 0:
      case 1:
        if (take(rng() % 2 ? both : compute_only, Bytes(static_cast<std::int64_t>(rng() % 300))))
          out.insert(out.end(), taken.begin(), taken.end());
        break;
      case 2:
        if (!out.empty()) pool.arrive(out[rng() % out.size()]);
        break;
      case 3:
        pool.measured(workers[rng() % 4], kind, microseconds(rng() % 5000));
        break;
      default:
        if (out.empty()) break;
        const auto gone = out.begin() + static_cast<std::ptrdiff_t>(rng() % out.size());
        pool.give_back(*gone);
        out.erase(gone);
    }
    for (const WorkerId id : workers) {
      Places held{};
      Credits ahead{};
      Duration work_here{}, work_ahead{};
      for (const Taken& place : out) {
        if (place.worker != id) continue;
        (place.arrived ? work_here : work_ahead) += place.expected;
        if (place.arrived)
          held.jobs += Credits(1), held.bytes += place.size;
        else
          ahead += Credits(1);
      }
      const Worker& worker = pool.at(id);
      ASSERT_EQ(worker.here.held().jobs, held.jobs) << "step " << step;
      ASSERT_EQ(worker.here.held().bytes, held.bytes) << "step " << step;
      ASSERT_EQ(worker.ahead, ahead) << "step " << step;
      ASSERT_EQ(worker.work_here, work_here) << "step " << step;
      ASSERT_EQ(worker.work_ahead, work_ahead) << "step " << step;
      ASSERT_LE(worker.ahead, worker.info.limit.jobs) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace tallymill::front
