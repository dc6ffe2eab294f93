// Leases: when an attempt is over without a result, and whom that charges. Goal: every rule of the
// delivery promise about lost workers, broken links, restarts and pauses holds one by one; the
// simulator holds them together. Method: the machine, an event at a time.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "tests/front/machine_fixture.h"

namespace tallymill::front {
namespace {

using State = Machine::State;
using Point = Machine::Point;

class Leases : public MachineTest {
 protected:
  // The charges that the last event noted of `job`; nothing when it noted none.
  std::optional<std::int32_t> charges_noted(JobId job) {
    std::optional<std::int32_t> charges;
    for (const Effect& effect : machine_.effects())
      if (const auto* note = std::get_if<Remark>(&effect); note != nullptr && note->job == job)
        charges = note->charges;
    return charges;
  }
  std::vector<Word> words(const Token& token) {
    std::vector<Word> said;
    for (const Effect& effect : machine_.effects())
      if (const auto* tell = std::get_if<TellWorker>(&effect);
          tell != nullptr && tell->token == token)
        said.push_back(tell->word);
    return said;
  }
};

// ---- liveness ----

TEST_F(Leases, ALeaseLapsesWhenNobodyListedItForItsLengthAndNotBefore) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  const auto lease_ms = limits::lease.count();
  tick_until(0, lease_ms);
  EXPECT_EQ(machine_.state(job), State::leased);
  beat(id, {{token, 1}}, lease_ms);
  tick_until(lease_ms, 2 * lease_ms);
  EXPECT_EQ(machine_.state(job), State::leased);
  tick_until(2 * lease_ms, 2 * lease_ms + 1);
  EXPECT_NE(machine_.state(job), State::leased);
  EXPECT_EQ(machine_.counts().lapsed, 1);
  EXPECT_EQ(places_taken(id), 0);
}

TEST_F(Leases, AJobThatWorksInSilenceRunsOnceForAsLongAsItIsListed) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  for (int ms = 0; ms <= 10'000; ms += 400) {
    beat(id, {{token, 1}}, ms);
    machine_.tick(at(ms));
  }
  EXPECT_EQ(machine_.state(job), State::leased);
  EXPECT_EQ(machine_.counts().dispatched, 1);
}

TEST_F(Leases, AFrontThatWasStoppedItselfLetsNobodyLapseForThat) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  machine_.tick(at(100));
  machine_.tick(at(5100));
  EXPECT_EQ(machine_.state(job), State::leased);
  EXPECT_TRUE(machine_.pool().at(id).open);
  // It gets one more lease to be heard in, and no more.
  tick_until(5100, 5100 + limits::lease.count());
  EXPECT_EQ(machine_.state(job), State::leased);
  tick_until(5100 + limits::lease.count(), 5101 + limits::lease.count());
  EXPECT_EQ(machine_.counts().lapsed, 1);
}

TEST_F(Leases, AWorkerThatIsSilentForALeaseGetsNothingUntilItBindsAnotherLane) {
  const WorkerId id = worker("a", 0);
  tick_until(0, limits::lease.count() + 100);
  const auto closed = take<CloseLane>();
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].reason, "silent");
  submit(2000);
  EXPECT_TRUE(dispatch_all(2000).empty());
  beat(id, {}, 2100);
  EXPECT_EQ(take<Rebind>().size(), 1U);
  worker("a", 2200, {}, 0, 2);
  EXPECT_EQ(dispatch_all(2200).size(), 1U);
}

TEST_F(Leases, AWorkerThatWasSilentForLongIsStruckOffAndIsNewWhenItComesBack) {
  const WorkerId id = worker("a", 0);
  const auto forgotten = std::chrono::milliseconds(limits::worker_forgotten).count();
  tick_until(0, forgotten);
  EXPECT_FALSE(machine_.pool().at(id).gone);
  tick_until(forgotten, forgotten + 1);
  EXPECT_TRUE(machine_.pool().at(id).gone);
  EXPECT_NE(worker("a", forgotten + 100, {}, 0, 2), id);
}

// ---- charges ----

TEST_F(Leases, AStartedJobThatLapsesIsChargedAndRunsNextAlone) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  tick_until(0, limits::lease.count());
  machine_.effects().clear();
  machine_.tick(at(limits::lease.count() + 1));
  EXPECT_EQ(charges_noted(job), 1);
  EXPECT_EQ(machine_.state(job), State::alone);
}

TEST_F(Leases, AJobThatWasMerelyReceivedGoesBackFreeAndNeedNotRunAlone) {
  const WorkerId id = worker("a", 0);
  const JobId job = submit(0);
  const Token token = dispatch(0);
  machine_.hop(id, token, Point::received, at(1));
  tick_until(0, limits::lease.count());
  machine_.effects().clear();
  machine_.tick(at(limits::lease.count() + 2));
  EXPECT_EQ(charges_noted(job), 0);
  EXPECT_EQ(machine_.state(job), State::ready);
}

TEST_F(Leases, ThreeChargesEndAJobWithTheSignalAndTheLastLinesOfItsWorker) {
  const JobId job = submit(0);
  for (int n = 1; n <= limits::charges; ++n) {
    const WorkerId id = worker("w" + std::to_string(n), n * 100);
    const Token token = dispatch(n * 100);
    EXPECT_EQ(token.attempt, n);
    machine_.hop(id, token, Point::started, at(n * 100));
    machine_.effects().clear();
    machine_.died(id, "signal SIGSEGV\n  stack smashed", at(n * 100 + 50));
    EXPECT_EQ(charges_noted(job), n);
  }
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::failed);
  EXPECT_NE(ends[0].error->message.find("worker_lost"), std::string::npos);
  EXPECT_NE(ends[0].error->message.find("SIGSEGV\n  stack smashed"), std::string::npos);
  EXPECT_EQ(machine_.counts().charged, limits::charges);
}

TEST_F(Leases, ADeathChargesWhatHadStartedAndNothingElse) {
  const WorkerId id = worker("a", 0);
  const auto [started, token] = running(id, 0);
  const JobId received = submit(1);
  machine_.hop(id, dispatch(1), Point::received, at(2));
  machine_.effects().clear();
  machine_.died(id, "signal SIGKILL", at(10));
  EXPECT_EQ(charges_noted(started), 1);
  EXPECT_EQ(charges_noted(received), 0);
  // Any of them may have killed it.
  EXPECT_EQ(machine_.state(started), State::alone);
  EXPECT_EQ(machine_.state(received), State::alone);
}

TEST_F(Leases, ADeathInWhichNothingIsKnownToHaveStartedChargesTheFirstDispatched) {
  const WorkerId id = worker("a", 0);
  const JobId first = submit(0);
  dispatch(0);
  const JobId second = submit(1);
  dispatch(1);
  machine_.effects().clear();
  machine_.died(id, "signal SIGKILL", at(10));
  EXPECT_EQ(charges_noted(first), 1);
  EXPECT_EQ(charges_noted(second), 0);
}

TEST_F(Leases, AWorkerDiesOnce) {
  const WorkerId id = worker("a", 0);
  (void)running(id, 0);
  machine_.died(id, "signal SIGKILL", at(10));
  machine_.effects().clear();
  machine_.died(id, "signal SIGKILL", at(11));
  machine_.lane_broke(id, at(12));
  EXPECT_TRUE(machine_.effects().empty());
  EXPECT_EQ(machine_.counts().charged, 1);
}

TEST_F(Leases, ALinkThatBrokeChargesNobodyAndCostsOneHeartbeat) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  beat(id, {{token, 1}}, 1000);
  machine_.tick(at(1000));
  machine_.lane_broke(id, at(1001));
  const std::int64_t over = 1001 + limits::heartbeat.count();
  tick_until(1001, over);
  EXPECT_EQ(machine_.state(job), State::leased);
  machine_.effects().clear();
  machine_.tick(at(over + 1));
  EXPECT_EQ(charges_noted(job), 0);
  EXPECT_EQ(machine_.counts().charged, 0);
}

TEST_F(Leases, ALivingWorkerWhoseLinkBrokeKeepsWhatItListsUnderItsNextLane) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  machine_.lane_broke(id, at(100));
  EXPECT_EQ(worker("a", 200, {{token, 1}}, 0, 2), id);
  tick_until(200, 200 + limits::lease.count());
  EXPECT_EQ(machine_.state(job), State::leased);
  ok(id, token, 1700);
  EXPECT_EQ(machine_.state(job), State::settling);
  EXPECT_EQ(machine_.counts().dispatched, 1);
}

TEST_F(Leases, LossesThatChargeNobodyAreBoundedToo) {
  const JobId job = submit(0);
  std::int64_t ms = 0;
  int free = 0;
  while (machine_.counts().charged == 0) {
    const WorkerId id = worker("w" + std::to_string(free), ms);
    machine_.hop(id, dispatch(ms), Point::received, at(ms));
    machine_.lane_broke(id, at(ms));
    tick_until(ms, ms + limits::heartbeat.count() + 1);
    ms += 500;
    ASSERT_LE(++free, limits::free_losses);
  }
  EXPECT_EQ(free, limits::free_losses);
  EXPECT_EQ(machine_.state(job), State::alone);
}

TEST_F(Leases, AJobThatWasLostRunsAloneOnItsWorker) {
  const WorkerId first = worker("a", 0);
  const auto [suspect, token] = running(first, 0);
  machine_.died(first, "signal SIGKILL", at(10));
  const WorkerId second = worker("b", 20);
  const JobId other = submit(20);
  const auto sent = dispatch_all(20);
  // Before all others, and nothing beside it.
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].token.job, suspect.raw());
  ok(second, sent[0].token, 30);
  EXPECT_EQ(dispatch(30).job, other.raw());
}

TEST_F(Leases, AJobThatIsHandedBackIsNeitherChargedNorSuspected) {
  const WorkerId id = worker("a", 0);
  const JobId job = submit(0);
  const Token token = dispatch(0);
  machine_.leaving(id);
  machine_.hop(id, token, Point::back, at(5));
  EXPECT_EQ(charges_noted(job), std::nullopt);
  EXPECT_EQ(machine_.state(job), State::ready);
  EXPECT_EQ(machine_.counts().handed_back, 1);
  EXPECT_TRUE(dispatch_all(6).empty());
}

// A compute worker whose jobs do not reach the image worker.
class CutLink : public Leases {
 protected:
  CutLink() : from_(worker("compute", 0)), to_(worker("image", 0, {}, image_)) {}
  JobId submit_two_hops(std::int64_t ms) {
    Submission two = submission(ms);
    two.kind = two_hops_;
    return submit(two, ms);
  }
  // What is sent now comes back at once; how many.
  std::size_t refuse_all(std::int64_t ms) {
    const auto sent = dispatch_all(ms);
    for (const Dispatch& one : sent) {
      machine_.hop(one.workers[0], one.token, Point::received, at(ms));
      machine_.hop(one.workers[0], one.token, Point::back, at(ms));
    }
    return sent.size();
  }
  WorkerId from_;
  WorkerId to_;
};

TEST_F(CutLink, ALaneThatOthersCannotReachIsGivenUpAfterSoManyRefusals) {
  submit_two_hops(0);
  int bursts = 0;
  std::vector<LinkNews> news;
  for (int ms = 0; machine_.pool().at(to_).open; ++ms) {
    ASSERT_LT(ms, 1000);
    bursts += refuse_all(ms) > 0;
    for (const Effect& effect : machine_.effects())
      if (const auto* one = std::get_if<LinkNews>(&effect)) news.push_back(*one);
  }
  EXPECT_EQ(bursts, limits::link_refusals);
  EXPECT_EQ(take<CloseLane>().size(), 1U);
  ASSERT_EQ(news.size(), 1U);
  EXPECT_EQ(news[0].from, from_);
  EXPECT_EQ(news[0].to, to_);
  EXPECT_FALSE(news[0].reached);
  EXPECT_TRUE(machine_.pool().at(from_).open);
  EXPECT_EQ(machine_.snapshot().broken_links, 1);
}

TEST_F(CutLink, AJobWhoseNextHopIsNeverReachedWaitsAndNeitherSpinsNorIsCharged) {
  const JobId job = submit_two_hops(0);
  constexpr std::int64_t hour = 3'600'000;
  std::int64_t attempts = 0, news = 0;
  std::int32_t lane = 1;
  for (std::int64_t ms = 0; ms <= hour; ms += 20) {
    beat(from_, {}, ms);
    beat(to_, {}, ms);
    machine_.tick(at(ms));
    attempts += static_cast<std::int64_t>(refuse_all(ms));
    for (const Effect& effect : machine_.effects())
      news += std::holds_alternative<LinkNews>(effect);
    if (machine_.pool().at(to_).broken) worker("image", ms, {}, image_, ++lane);
    if (ms == 5000) {
      EXPECT_LE(attempts, 30);
    }
  }
  // About one in five seconds, which is half the longest wait.
  EXPECT_LT(attempts, 1000);
  EXPECT_GT(attempts, 500) << "a link that is mended is found again";
  EXPECT_GE(news, 50) << "not in silence";
  EXPECT_LE(news, 61) << "nor in every second";
  EXPECT_EQ(machine_.state(job), State::ready);
  EXPECT_EQ(machine_.counts().charged, 0);
  EXPECT_EQ(machine_.counts().handed_back, attempts);
  EXPECT_TRUE(machine_.snapshot().balanced());
  EXPECT_EQ(places_taken(from_), 0);
  EXPECT_EQ(machine_.pool().at(to_).ahead, Credits(0));
}

TEST_F(CutLink, ABacklogIsTriedByAFewJobsAtATimeAndOtherRoutesGoOn) {
  for (int n = 0; n < 500; ++n) submit_two_hops(0);
  std::size_t attempts = 0;
  std::int32_t lane = 1;
  for (std::int64_t ms = 0; ms <= 60'000; ms += 20) {
    beat(from_, {}, ms);
    beat(to_, {}, ms);
    machine_.tick(at(ms));
    attempts += refuse_all(ms);
    if (machine_.pool().at(to_).broken) worker("image", ms, {}, image_, ++lane);
  }
  EXPECT_LT(attempts, 100U);
  // While the link is shut, what does not go over it is sent.
  while (refuse_all(60'000) > 0) machine_.tick(at(60'000));
  const JobId other = submit(60'000);
  EXPECT_EQ(dispatch(60'000).job, other.raw());
}

TEST_F(CutLink, AnotherWorkerThatCanReachTheNextHopTakesTheJob) {
  submit_two_hops(0);
  while (!machine_.pool().links().shut(from_, to_, at(0))) ASSERT_EQ(refuse_all(0), 1U);
  EXPECT_TRUE(dispatch_all(0).empty());
  const WorkerId other = worker("other", 0);
  const auto sent = dispatch_all(0);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].workers[0], other);
}

TEST_F(CutLink, ALinkThatIsMendedIsSaidAndForgottenWhenItWasQuiet) {
  submit_two_hops(0);
  std::int64_t ms = 0;
  for (; machine_.pool().at(to_).open; ++ms) refuse_all(ms);
  worker("image", ms, {}, image_, 2);
  Token token{};
  for (; token == Token{}; ++ms)
    if (const auto sent = dispatch_all(ms); !sent.empty()) token = sent[0].token;
  machine_.hop(from_, token, Point::finished, at(ms));
  EXPECT_EQ(take<LinkNews>().size(), 0U) << "sent is not received";
  machine_.hop(to_, token, Point::received, at(ms));
  const auto news = take<LinkNews>();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_TRUE(news[0].reached);
  EXPECT_EQ(machine_.snapshot().broken_links, 0);
  ok(to_, token, ms);
  commit_all(ms);
  submit_two_hops(ms);
  ms += std::chrono::milliseconds(limits::link_quiet).count() + 1;
  beat(from_, {}, ms);
  beat(to_, {}, ms);
  const Token quiet = dispatch(ms);
  machine_.hop(from_, quiet, Point::finished, at(ms));
  machine_.hop(to_, quiet, Point::received, at(ms));
  EXPECT_TRUE(machine_.pool().links().empty());
}

TEST_F(CutLink, OneBrokenSocketOfManyIsFoundAlthoughTheOthersGetThrough) {
  // As from a sender with two threads: what is sent comes back every second time.
  int bursts = 0;
  for (int n = 0; machine_.pool().at(to_).open; ++n) {
    ASSERT_LT(n, 100);
    const std::int64_t ms = n * 100;
    beat(from_, {}, ms);
    beat(to_, {}, ms);
    submit_two_hops(ms);
    if (n % 2 == 1) {
      bursts += refuse_all(ms) > 0;
      continue;
    }
    for (const Dispatch& one : dispatch_all(ms)) {
      machine_.hop(from_, one.token, Point::finished, at(ms));
      ok(to_, one.token, ms);
    }
    commit_all(ms);
  }
  EXPECT_EQ(bursts, limits::link_refusals);
  EXPECT_EQ(machine_.snapshot().broken_links, 0) << "some come through";
}

TEST_F(CutLink, ANewLaneMayRefuseAFewToo) {
  submit_two_hops(0);
  std::int64_t ms = 0;
  for (; machine_.pool().at(to_).open; ++ms) refuse_all(ms);
  for (int n = 0; n < limits::link_refusals; ++n) {
    if (n == 0) worker("image", ms, {}, image_, 2);
    EXPECT_TRUE(machine_.pool().at(to_).open) << n;
    while (refuse_all(ms) == 0) {
      ms += 10;
      beat(from_, {}, ms);
      beat(to_, {}, ms);
    }
  }
  EXPECT_FALSE(machine_.pool().at(to_).open);
}

TEST_F(CutLink, AJobThatMustRunAloneWaitsForALinkToo) {
  const JobId job = submit_two_hops(0);
  machine_.hop(from_, dispatch(0), Point::started, at(0));
  machine_.died(from_, "signal SIGKILL", at(0));
  commit_all(0);
  ASSERT_EQ(machine_.state(job), State::alone);
  from_ = worker("compute again", 0);
  while (!machine_.pool().links().shut(from_, to_, at(0))) ASSERT_EQ(refuse_all(0), 1U);
  EXPECT_TRUE(dispatch_all(0).empty());
  EXPECT_EQ(machine_.pool().kept(), JobId(0));
  EXPECT_EQ(machine_.pool().at(from_).alone, JobId(0));
}

// ---- routes ----

TEST_F(Leases, APlaceIsFreeWithItsHopsEndAndAllAreFreeWithTheResult) {
  const WorkerId first = worker("compute", 0);
  const WorkerId second = worker("image", 0, {}, image_);
  Submission two = submission(0);
  two.kind = two_hops_;
  const JobId job = submit(two, 0);
  const Token token = dispatch(0);
  EXPECT_EQ(places_taken(first), 1);
  EXPECT_EQ(machine_.pool().at(second).ahead, Credits(1));
  machine_.hop(first, token, Point::finished, at(5));
  EXPECT_EQ(places_taken(first), 0);
  EXPECT_EQ(places_taken(second), 1);
  EXPECT_EQ(machine_.pool().at(second).ahead, Credits(0));
  ok(second, token, 10);
  EXPECT_EQ(places_taken(second), 0);
  EXPECT_EQ(machine_.state(job), State::settling);
  for (const auto& lane : machine_.snapshot().lanes) {
    EXPECT_EQ(lane.count.sent, 1);
    EXPECT_EQ(lane.count.received, 1);
  }
}

TEST_F(Leases, AResultThatOvertakesItsHopEventsStillCountsBothLanes) {
  worker("compute", 0);
  const WorkerId second = worker("image", 0, {}, image_);
  Submission two = submission(0);
  two.kind = two_hops_;
  submit(two, 0);
  const Token token = dispatch(0);
  ok(second, token, 10);
  EXPECT_EQ(machine_.snapshot().lanes.size(), 2U);
  EXPECT_TRUE(machine_.snapshot().balanced());
}

TEST_F(Leases, AJobInALaneWhoseSenderDiedIsLostWithAReason) {
  const WorkerId first = worker("compute", 0);
  worker("image", 0, {}, image_);
  Submission two = submission(0);
  two.kind = two_hops_;
  const JobId job = submit(two, 0);
  const Token token = dispatch(0);
  machine_.hop(first, token, Point::finished, at(5));
  machine_.died(first, "signal SIGKILL", at(6));
  tick_until(6, 6 + limits::lease.count());
  EXPECT_NE(machine_.state(job), State::leased);
  EXPECT_EQ(machine_.counts().charged, 0);
  std::int64_t dead = 0;
  for (const auto& lane : machine_.snapshot().lanes) dead += lane.count.lost_dead;
  EXPECT_EQ(dead, 1);
  EXPECT_TRUE(machine_.snapshot().balanced());
}

TEST_F(Leases, ANumberMissingInALivingLaneHasNoReasonAndIsRed) {
  const WorkerId id = worker("a", 0);
  submit(0);
  dispatch(0);
  for (int ms = 0; ms <= limits::lease.count() + 400; ms += 100) {
    beat(id, {}, ms, 1);
    machine_.tick(at(ms));
  }
  EXPECT_EQ(machine_.counts().lapsed, 1);
  EXPECT_FALSE(machine_.snapshot().balanced());
  EXPECT_TRUE(machine_.snapshot().jobs_balanced());
}

// ---- what workers are told ----

TEST_F(Leases, ATokenThatIsNotThePresentOneIsVoid) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  const Token earlier{token.job, token.epoch, token.attempt - 1};
  const Token unknown{777, token.epoch, 1};
  beat(id, {{token, 1}, {earlier, 1}, {unknown, 1}}, 5);
  EXPECT_TRUE(words(token).empty());
  EXPECT_EQ(words(earlier), std::vector{Word::void_});
  EXPECT_EQ(words(unknown), std::vector{Word::void_});
}

TEST_F(Leases, AResultThatDidNotComeIsAskedForAgain) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  beat(id, {{token, 2}}, 400);
  EXPECT_TRUE(words(token).empty());
  beat(id, {{token, 2}}, 800);
  EXPECT_EQ(words(token), std::vector{Word::keep});
}

TEST_F(Leases, AWorkerIsToldSettledOnlyAfterTheCommit) {
  const WorkerId id = worker("a", 0);
  const auto [job, token] = running(id, 0);
  ok(id, token, 10);
  beat(id, {{token, 2}}, 11);
  EXPECT_TRUE(words(token).empty());
  EXPECT_EQ(machine_.pool().at(id).unsettled, Credits(1));
  const auto ends = take<Settle>();
  machine_.committed(ends.at(0).seq, {}, at(20));
  EXPECT_EQ(words(token), std::vector{Word::settled});
  EXPECT_EQ(machine_.pool().at(id).unsettled, Credits(0));
}

// ---- restart ----

class Restarted : public Leases {
 protected:
  static constexpr std::int64_t recovery_ms = 2 * limits::heartbeat.count();
  Restarted() : replayed_{live(11), live(12), live(13)} {}
  // A front of epoch 5 that finds three jobs in its ledger.
  void SetUp() override {
    machine_ = Machine({.epoch = 5, .head = 20, .totals = {.accepted = 3}, .started = at(0)});
    compute_ = machine_.add_stage("compute");
    image_ = machine_.add_stage("image");
    machine_.add_kind({.name = "one hop", .route = {compute_}, .stall = std::chrono::seconds(3)});
    machine_.add_kind({.name = "image", .route = {image_}});
    machine_.add_kind({.name = "two hops", .route = {compute_, image_}});
    replayed_[1].job.cancel_requested = true;
    replayed_[2].job.kind = "two hops";
    machine_.replay(replayed_);
    machine_.replay_finished(at(0));
  }
  static Machine::Replayed live(std::int64_t id) {
    LiveJob job;
    job.id = JobId(id);
    job.client = "test";
    job.kind = "one hop";
    job.size = Bytes(100);
    return {job, {}, {}};
  }
  std::vector<Machine::Replayed> replayed_;
  const Token of_before_{11, 4, 3};
};

TEST_F(Restarted, NothingIsDispatchedBeforeTheWorkersHadTwoHeartbeatsToSayWhatTheyHold) {
  worker("a", 0);
  machine_.tick(at(recovery_ms - 1));
  EXPECT_TRUE(dispatch_all(recovery_ms - 1).empty());
  machine_.tick(at(recovery_ms));
  const auto sent = dispatch_all(recovery_ms);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent[0].token, (Token{11, 5, 1}));
}

TEST_F(Restarted, NothingIsDispatchedBeforeTheLedgerWasReadToItsEnd) {
  machine_ = Machine({.epoch = 5, .head = 20, .totals = {.accepted = 1}, .started = at(0)});
  const StageId stage = machine_.add_stage("compute");
  machine_.add_kind({.name = "one hop", .route = {stage}});
  machine_.replay(std::span(replayed_).first(1));
  worker("a", 0);
  machine_.tick(at(5000));
  EXPECT_TRUE(dispatch_all(5000).empty());
  EXPECT_TRUE(machine_.snapshot().replaying);
  machine_.replay_finished(at(6000));
  machine_.tick(at(6000));
  EXPECT_EQ(dispatch_all(6000).size(), 1U);
}

TEST_F(Restarted, AJobThatAWorkerStillHoldsIsAdoptedAndItsResultCounts) {
  const WorkerId id = worker("a", 10, {{of_before_, 1}});
  EXPECT_EQ(machine_.state(JobId(11)), State::leased);
  EXPECT_EQ(machine_.counts().adopted, 1);
  EXPECT_EQ(places_taken(id), 1);
  machine_.tick(at(recovery_ms));
  EXPECT_TRUE(dispatch_all(recovery_ms).empty());
  ok(id, of_before_, 900);
  EXPECT_EQ(machine_.state(JobId(11)), State::settling);
}

TEST_F(Restarted, TheAttemptsOfAnAdoptedJobAreThoseOfItsToken) {
  const WorkerId id = worker("a", 10, {{of_before_, 1}});
  ok(id, of_before_, 900);
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].attempts, of_before_.attempt);
}

TEST_F(Restarted, AttemptsThatLeftANoteBeforeAreCounted) {
  Machine::Replayed tried = live(14);
  tried.job.attempts = 2;
  machine_.replay(std::span(&tried, 1));
  machine_.cancel(1, JobId(11), at(0));
  machine_.cancel(1, JobId(13), at(0));
  const WorkerId id = worker("a", 10);
  machine_.tick(at(recovery_ms));
  const Token third = dispatch(recovery_ms);
  EXPECT_EQ(third, (Token{14, 5, 3}));
  machine_.effects().clear();
  ok(id, third, recovery_ms + 10);
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].attempts, 3);
}

// A note and the end that it leads to may be in two commits, and the front die between them.
TEST_F(Restarted, AJobWhoseLastChargeIsOnDiskAndWhoseEndIsNotFailsAndRunsNoMore) {
  Machine::Replayed charged = live(14);
  charged.job.charges = limits::charges;
  Machine::Replayed held = live(15);
  held.job.charges = limits::charges;
  machine_.replay(std::vector{charged, held});
  const auto end_of = [&](std::int64_t job) {
    std::vector<Settle> ends;
    for (const Effect& effect : machine_.effects()) {
      if (const auto* note = std::get_if<Remark>(&effect)) {
        EXPECT_EQ(note->charges, limits::charges);
      }
      if (const auto* end = std::get_if<Settle>(&effect); end && end->job == JobId(job))
        ends.push_back(*end);
    }
    machine_.effects().clear();
    return ends;
  };
  Machine::Replayed stopped = live(16);
  stopped.job.charges = limits::charges;
  Machine::Replayed retries = live(17);
  retries.job.charges = limits::charges;
  machine_.replay(std::vector{stopped, retries});
  const WorkerId id = worker("a", 10, {{{15, 4, 3}, 1}, {{16, 4, 3}, 1}, {{17, 4, 3}, 1}});
  machine_.effects().clear();
  machine_.done({.token = {16, 4, 3}, .worker = id, .outcome = Finished::Outcome::stopped}, at(20));
  machine_.done({.token = {17, 4, 3},
                 .worker = id,
                 .outcome = Finished::Outcome::error,
                 .retry = true,
                 .error = Error{Errc::away, "not now"}},
                at(20));
  for (const std::int64_t job : {16, 17})
    EXPECT_EQ(machine_.live_state(JobId(job)), "settling") << job;
  machine_.effects().clear();
  machine_.tick(at(recovery_ms));
  auto ends = end_of(14);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::failed);
  EXPECT_NE(ends[0].error->message.find("worker_lost"), std::string::npos);
  // A worker has the other one still: its result would count, and its loss is no fourth charge.
  machine_.died(id, "signal 9", at(recovery_ms + 10));
  ends = end_of(15);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::failed);
  machine_.check_invariants();
}

TEST_F(Restarted, OnlyTheHighestTokenListedIsAdoptedAndTheLowerOneIsVoid) {
  const Token lower{11, 4, 2};
  const WorkerId first = worker("a", 10, {{lower, 1}});
  EXPECT_EQ(places_taken(first), 1);
  machine_.effects().clear();
  const WorkerId second = worker("b", 20, {{of_before_, 1}});
  EXPECT_EQ(words(lower), std::vector{Word::void_});
  EXPECT_EQ(places_taken(first), 0);
  EXPECT_EQ(places_taken(second), 1);
  machine_.effects().clear();
  beat(first, {{lower, 1}}, 30);
  EXPECT_EQ(words(lower), std::vector{Word::void_});
  ok(first, lower, 40);
  EXPECT_EQ(machine_.state(JobId(11)), State::leased);
  EXPECT_EQ(machine_.counts().fenced, 1);
}

TEST_F(Restarted, ATokenOfBeforeIsNeverAdoptedOnceTheFrontHasDispatchedTheJobItself) {
  const WorkerId id = worker("a", 0);
  machine_.tick(at(recovery_ms));
  const Token mine = dispatch(recovery_ms);
  machine_.effects().clear();
  const WorkerId late = worker("b", recovery_ms + 10, {{of_before_, 1}});
  EXPECT_EQ(words(of_before_), std::vector{Word::void_});
  ok(late, of_before_, recovery_ms + 20);
  EXPECT_EQ(machine_.counts().fenced, 1);
  ok(id, mine, recovery_ms + 30);
  EXPECT_EQ(machine_.state(JobId(11)), State::settling);
  EXPECT_EQ(machine_.counts().adopted, 0);
}

TEST_F(Restarted, AResultThatOvertakesTheHelloIsAdoptedWithItsWorker) {
  const WorkerId id = worker("a", 10);
  ok(id, of_before_, 20);
  EXPECT_EQ(machine_.state(JobId(11)), State::settling);
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::done);
}

TEST_F(Restarted, ACancelOfBeforeHoldsForAHeldJobAndForOneThatIsAdopted) {
  const Token token{12, 4, 1};
  worker("a", 10, {{token, 1}});
  EXPECT_EQ(words(token), std::vector{Word::cancel});
  ok(machine_.pool().find("a").value(), token, 20);
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::cancelled);
  EXPECT_FALSE(ends[0].with_result);
}

TEST_F(Restarted, ACancelledJobThatNobodyHoldsEndsAndIsNotDispatched) {
  worker("a", 0);
  machine_.effects().clear();
  machine_.tick(at(recovery_ms));
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].job, JobId(12));
  EXPECT_EQ(ends[0].state, EndState::cancelled);
}

TEST_F(Restarted, AnAdoptedJobThatIsHandedOnIsStillTheSameLease) {
  const Token token{13, 4, 1};
  const WorkerId first = worker("compute", 10, {{token, 1}});
  const WorkerId second = worker("image", 10, {}, image_);
  machine_.hop(first, token, Point::finished, at(20));
  beat(second, {{token, 0}}, 30);
  EXPECT_EQ(places_taken(first), 0);
  EXPECT_EQ(places_taken(second), 1);
  ok(second, token, 40);
  EXPECT_EQ(machine_.state(JobId(13)), State::settling);
  EXPECT_EQ(places_taken(second), 0);
}

// The stage that serves it had not said so when the ledger was read.
TEST_F(Restarted, AKindThatWasUnservedIsServedByTheFirstStageThatAnnouncesIt) {
  machine_ = Machine({.epoch = 5, .head = 20, .totals = {.accepted = 3}, .started = at(0)});
  const StageId unserved = machine_.add_stage("unserved");
  const KindId kind = machine_.add_kind({.name = "one hop", .route = {unserved}});
  machine_.add_kind({.name = "two hops", .route = {unserved}});
  const StageId stage = machine_.add_stage("compute");
  machine_.replay(replayed_);
  machine_.replay_finished(at(0));
  machine_.tick(at(recovery_ms));
  ASSERT_EQ(machine_.state(JobId(11)), State::ready);
  machine_.set_kind(kind, {.name = "one hop", .route = {stage}});
  const WorkerId id = worker("a", recovery_ms, {}, stage);
  const Token token = dispatch(recovery_ms);
  EXPECT_EQ(token, (Token{11, 5, 1}));
  machine_.effects().clear();
  ok(id, token, recovery_ms + 10);
  EXPECT_EQ(machine_.state(JobId(11)), State::settling);
}

TEST_F(Restarted, AnAdoptedJobEndsOnTheRouteThatItTook) {
  const Token token{13, 4, 1};
  const WorkerId first = worker("a", 10, {{token, 1}});
  const KindId two_hops = machine_.kind_named("two hops").value();
  machine_.set_kind(two_hops, {.name = "two hops", .route = {compute_}});
  const WorkerId second = worker("b", 20, {}, image_);
  beat(second, {{token, 0}}, 30);
  EXPECT_EQ(places_taken(first), 0);
  EXPECT_EQ(places_taken(second), 1);
  ok(second, token, 40);
  EXPECT_EQ(machine_.state(JobId(13)), State::settling);
}

TEST_F(Restarted, AMillionJobsComeBackAPieceATurn) {
  machine_ =
      Machine({.epoch = 5, .head = 30'000, .totals = {.accepted = 25'000}, .started = at(0)});
  const StageId stage = machine_.add_stage("compute");
  machine_.add_kind({.name = "one hop", .route = {stage}});
  std::vector<Machine::Replayed> many;
  for (std::int64_t id = 1; id <= 25'000; ++id) many.push_back(live(id));
  machine_.replay(many);
  machine_.replay_finished(at(0));
  machine_.tick(at(recovery_ms));
  int ready = 0;
  for (std::int64_t id = 1; id <= 25'000; ++id) ready += machine_.state(JobId(id)) == State::ready;
  EXPECT_EQ(ready, limits::released_per_tick);
  EXPECT_EQ(machine_.next_due(), at(recovery_ms));
  machine_.tick(at(recovery_ms));
  machine_.tick(at(recovery_ms));
  EXPECT_EQ(machine_.snapshot().waiting.ready, 25'000);
  EXPECT_TRUE(machine_.snapshot().balanced());
}

}  // namespace
}  // namespace tallymill::front
