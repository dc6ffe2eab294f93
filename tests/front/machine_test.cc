// The machine one event at a time: what the simulator cannot say by a law, and what chaos found.
#include <gtest/gtest.h>

#include <vector>

#include "tests/front/machine_fixture.h"

namespace tallymill::front {
namespace {

TEST_F(MachineTest, ADeadLettersThirdLostAttemptIsNotedToo) {
  submit(0);
  for (int charge = 1; charge <= 3; ++charge) {
    const int begin = charge * 100;
    const WorkerId id = worker("compute-" + std::to_string(charge), begin);
    machine_.effects().clear();
    const Token token = dispatch(begin + 10);
    machine_.hop(id, token, Machine::Point::started, at(begin + 20));
    machine_.effects().clear();
    machine_.died(id, "signal SIGABRT", at(begin + 50));
    std::vector<Remark> notes;
    std::vector<Settle> ends;
    for (const Effect& effect : machine_.effects()) {
      if (const auto* note = std::get_if<Remark>(&effect)) notes.push_back(*note);
      if (const auto* end = std::get_if<Settle>(&effect)) {
        // In the ledger a note never follows its job's end.
        EXPECT_FALSE(notes.empty());
        ends.push_back(*end);
      }
    }
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_EQ(notes[0].charges, charge);
    EXPECT_EQ(notes[0].stamps.dispatched, at(begin + 10));
    EXPECT_EQ(notes[0].stamps.returned, at(begin + 50));
    ASSERT_EQ(ends.size(), charge == 3 ? 1U : 0U);
    if (!ends.empty()) {
      EXPECT_EQ(ends[0].stamps.ready, at(begin + 50));
    }
    machine_.check_invariants();
  }
}

TEST_F(MachineTest, AFailedAttemptsNoteSaysWhenItWasDispatched) {
  submit(0);
  const WorkerId id = worker("compute-1", 10);
  machine_.effects().clear();
  const Token token = dispatch(20);
  machine_.done({.token = token,
                 .worker = id,
                 .outcome = Finished::Outcome::error,
                 .retry = true,
                 .error = Error{Errc::away, "not now"}},
                at(70));
  const auto notes = take<Remark>();
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].outcome, "failed");
  EXPECT_EQ(notes[0].stamps.dispatched, at(20));
  EXPECT_EQ(notes[0].stamps.returned, at(70));
}

TEST_F(MachineTest, KnowsAsManyNamesOfClientsAsItMayAndThoseStayWelcome) {
  std::vector<ClientId> held;
  while (machine_.clients() < limits::clients) {
    const std::string name = std::to_string(held.size());
    ASSERT_TRUE(machine_.has_room_for_client(name)) << name;
    held.push_back(machine_.hold_client(name));
  }
  EXPECT_FALSE(machine_.has_room_for_client("one more"));
  EXPECT_TRUE(machine_.has_room_for_client("7"));
  // Who left makes room for another, unless it was there twice.
  EXPECT_EQ(machine_.hold_client("8"), held[8]);
  machine_.let_client_go(held[8]);
  EXPECT_FALSE(machine_.has_room_for_client("one more"));
  machine_.let_client_go(held[8]);
  EXPECT_TRUE(machine_.has_room_for_client("one more"));
  EXPECT_EQ(machine_.hold_client("one more"), held[8]);
  EXPECT_FALSE(machine_.has_room_for_client("8"));
}

TEST_F(MachineTest, AClientWithJobsIsKnownUntilTheLastHasEnded) {
  const std::size_t before = machine_.clients();
  const ClientId client = machine_.hold_client("leaves");
  Submission submitted = submission(1);
  submitted.client = "leaves";
  const JobId job = submit(submitted, 1);
  machine_.let_client_go(client);
  EXPECT_EQ(machine_.clients(), before + 1);
  EXPECT_EQ(machine_.client_of(job), client);
  machine_.cancel(99, job, at(2));
  commit_all(3);
  EXPECT_EQ(machine_.clients(), before);
}

TEST_F(MachineTest, ANewRouteIsTakenByTheJobsThatWaitAndNotByThoseUnderWay) {
  const WorkerId dies = worker("d", 0);
  const JobId alone = running(dies, 1).first;
  const WorkerId compute = worker("c", 2);
  machine_.died(dies, "signal 9", at(3));
  ASSERT_EQ(machine_.state(alone), Machine::State::alone);
  const auto sent = dispatch_all(4);
  ASSERT_EQ(sent.size(), 1U);
  machine_.died(compute, "signal 9", at(5));  // so that it waits with others
  const WorkerId third = worker("e", 6);
  std::vector<JobId> waiting{alone};
  for (std::int32_t priority = 0; priority < 3; ++priority) {
    Submission one = submission(7);
    one.priority = priority;
    waiting.push_back(submit(one, 7));
  }
  const auto under_way = dispatch_all(8);
  ASSERT_FALSE(under_way.empty());
  machine_.set_kind(kind_, {.name = "one hop", .route = {image_}});
  machine_.check_invariants();
  EXPECT_TRUE(dispatch_all(9).empty());
  for (const Dispatch& one : under_way) {
    ok(third, one.token, 10);
    EXPECT_EQ(machine_.state(JobId(one.token.job)), Machine::State::settling);
  }
  commit_all(10);
  const WorkerId image = worker("i", 11, {}, image_);
  for (std::int64_t ms = 12; ms < 20; ++ms) {
    for (const Dispatch& one : dispatch_all(ms)) {
      EXPECT_EQ(one.workers[0], image);
      ok(image, one.token, ms);
    }
    commit_all(ms);
  }
  for (const JobId job : waiting) EXPECT_FALSE(machine_.state(job)) << job.raw();
}

TEST_F(MachineTest, SendsAsManyJobsInATurnAsItMayAndTheRestInTheNext) {
  const auto id = machine_.hello({.incarnation = "large",
                                  .stage = compute_,
                                  .limit = {Credits(4096), Bytes(1 << 20)},
                                  .unsettled_limit = Credits(4096),
                                  .concurrency = 4096,
                                  .lane = 1},
                                 {}, at(0));
  ASSERT_TRUE(id);
  machine_.lane_up(*id, at(0));
  for (int n = 0; n <= limits::dispatches_per_turn; ++n) submit(1);
  EXPECT_EQ(dispatch_all(2).size(), static_cast<std::size_t>(limits::dispatches_per_turn));
  EXPECT_EQ(dispatch_all(2).size(), 1U);
}

}  // namespace
}  // namespace tallymill::front
