// Admission and ends: what becomes of a submit, of a result, of a cancel and of a deadline. Goal:
// each submit gets one answer and each job one end, in the order things were queued; nothing is
// said before its commit. Method: the machine, an event at a time; retries over many jobs at once,
// their delays against the distribution they are drawn from.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "front/full_jitter.h"
#include "tests/front/machine_fixture.h"

namespace tallymill::front {
namespace {

using State = Machine::State;
using Point = Machine::Point;
using std::chrono::milliseconds;

class Settlement : public MachineTest {
 protected:
  std::vector<Word> words(const Token& token) {
    std::vector<Word> said;
    for (const TellWorker& tell : take<TellWorker>())
      if (tell.token == token) said.push_back(tell.word);
    return said;
  }
};

// ---- admission ----

class Admitted : public MachineTest {
 protected:
  Admitted() : MachineTest({.max_jobs = 4, .max_bytes = Bytes(1000), .max_per_client = 2}) {}
  // The answer to a submit; empty: it was taken.
  std::optional<Error> refusal(std::string_view client, Bytes size = Bytes(10)) {
    Submission one = submission(0);
    one.client = client;
    one.size = size;
    return refusal(one);
  }
  std::optional<Error> refusal(const Submission& one) {
    machine_.submit(one, at(0));
    const auto refused = take<Refuse>();
    return refused.empty() ? std::nullopt : std::optional(refused[0].error);
  }
};

TEST_F(Admitted, TheJobAboveAClientsBoundIsRefusedAndAnothersIsNot) {
  EXPECT_FALSE(refusal("a"));
  EXPECT_FALSE(refusal("a"));
  const auto refused = refusal("a");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, Errc::busy);
  EXPECT_GT(refused->retry_after, Duration(0));
  EXPECT_FALSE(refusal("b"));
}

TEST_F(Admitted, TheJobAboveTheBoundIsRefusedUntilOneHasEnded) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  for (const char* client : {"a", "b", "c"}) EXPECT_FALSE(refusal(client));
  EXPECT_EQ(refusal("d")->code, Errc::busy);
  ok(id, token, 10);
  EXPECT_EQ(refusal("d")->code, Errc::busy);
  ok(id, token, 11);
  machine_.committed(5, {}, at(20));
  EXPECT_FALSE(refusal("d"));
}

TEST_F(Admitted, TheByteAboveTheBoundIsRefused) {
  EXPECT_FALSE(refusal("a", Bytes(900)));
  EXPECT_EQ(refusal("b", Bytes(101))->code, Errc::busy);
  EXPECT_FALSE(refusal("b", Bytes(100)));
}

TEST_F(Admitted, AJobLargerThanOneMayBeIsRefusedForGood) {
  machine_ = Machine({.epoch = 5, .started = at(0)});
  const StageId stage = machine_.add_stage("compute");
  machine_.add_kind({.name = "one hop", .route = {stage}});
  EXPECT_FALSE(refusal("a", limits::max_job_bytes));
  EXPECT_EQ(refusal("a", limits::max_job_bytes + Bytes(1))->code, Errc::too_big);
}

TEST_F(Admitted, WhatIsTooLateDrainingOrHasNoRoomOnTheDiskIsRefusedWithItsOwnCode) {
  Submission late = submission(0);
  late.deadline = at(0);
  EXPECT_EQ(refusal(late)->code, Errc::deadline);
  late.deadline = at(1);
  EXPECT_FALSE(refusal(late));
  machine_.set_disk_low(true);
  EXPECT_EQ(refusal("a")->code, Errc::disk);
  machine_.set_disk_low(false);
  EXPECT_FALSE(refusal("a"));
  machine_.drain(at(0));
  EXPECT_EQ(refusal("b")->code, Errc::busy);
}

TEST_F(Admitted, AJobThatTheLedgerDidNotTakeLeavesNothingBehind) {
  const Outcome outcomes[] = {
      {.what = Outcome::What::known, .job = JobId(1), .end = EndState::done, .missing = {}},
      {.what = Outcome::What::conflict, .job = JobId(1), .end = {}, .missing = {}},
      {.what = Outcome::What::keys_full, .job = {}, .end = {}, .missing = {}},
      {.what = Outcome::What::blob_missing, .job = {}, .end = {}, .missing = "abc"}};
  for (const Outcome& outcome : outcomes) {
    machine_.submit(submission(0), at(0));
    const JobId job = take<Append>().at(0).job;
    machine_.committed(job.raw(), outcome, at(1));
    const bool known = outcome.what == Outcome::What::known;
    std::vector<Accept> accepted;
    std::vector<Refuse> refused;
    for (const Effect& effect : machine_.effects()) {
      if (const auto* one = std::get_if<Accept>(&effect)) accepted.push_back(*one);
      if (const auto* one = std::get_if<Refuse>(&effect)) refused.push_back(*one);
    }
    ASSERT_EQ(accepted.size() + refused.size(), 1U);
    ASSERT_EQ(accepted.size(), known ? 1U : 0U);
    if (known) {
      EXPECT_EQ(accepted[0].job, JobId(1));
      EXPECT_EQ(accepted[0].end, EndState::done);
    }
    machine_.effects().clear();
  }
  machine_.submit(submission(0), at(0));
  const JobId job = take<Append>().at(0).job;
  machine_.not_committed(job.raw(), Error{Errc::disk, "full"}, at(1));
  EXPECT_EQ(take<Refuse>().at(0).error.code, Errc::disk);
  EXPECT_EQ(machine_.live_jobs(), 0);
  EXPECT_EQ(machine_.live_bytes(), Bytes(0));
  EXPECT_EQ(machine_.snapshot().totals.accepted, 0);
  // Its client has its whole bound again.
  EXPECT_FALSE(refusal("test"));
  EXPECT_FALSE(refusal("test"));
}

TEST_F(Settlement, NothingIsAcceptedOrDispatchedBeforeItsCommit) {
  worker("w", 0);
  machine_.submit(submission(0), at(0));
  machine_.dispatch(at(0));
  for (const Effect& effect : machine_.effects())
    EXPECT_FALSE(std::holds_alternative<Accept>(effect) ||
                 std::holds_alternative<Dispatch>(effect));
  const JobId job = take<Append>().at(0).job;
  EXPECT_EQ(machine_.live_state(job), "");
  machine_.committed(job.raw(), {}, at(1));
  EXPECT_EQ(take<Accept>().at(0).job, job);
  EXPECT_EQ(dispatch(1).job, job.raw());
}

// ---- results ----

TEST_F(Settlement, AnEndIsAnnouncedAfterItsCommitAndItsPlaceIsFreeBefore) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  ok(id, token, 10);
  EXPECT_EQ(places_taken(id), 0);
  std::vector<Settle> ends;
  for (const Effect& effect : machine_.effects()) {
    EXPECT_FALSE(std::holds_alternative<Announce>(effect));
    if (const auto* end = std::get_if<Settle>(&effect)) ends.push_back(*end);
  }
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_TRUE(ends[0].with_result);
  EXPECT_EQ(machine_.snapshot().settling, 1);
  machine_.effects().clear();
  machine_.committed(ends[0].seq, {}, at(20));
  EXPECT_EQ(take<Announce>().at(0).seq, ends[0].seq);
  EXPECT_FALSE(machine_.is_live(job));
  EXPECT_TRUE(machine_.snapshot().balanced());
}

TEST_F(Settlement, ASecondResultOfTheSameTokenIsDroppedAndCounted) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  ok(id, token, 10);
  machine_.effects().clear();
  ok(id, token, 11);
  EXPECT_TRUE(take<Settle>().empty());
  EXPECT_EQ(machine_.counts().fenced, 1);
}

TEST_F(Settlement, AWorkerThatKeepsAsManyResultsAsItMayGetsNoMoreUntilOneIsOnDisk) {
  const WorkerId id = worker("w", 0);
  std::vector<std::int64_t> ends;
  for (int n = 0; n < 8; ++n) {
    const auto [job, token] = running(id, n);
    ok(id, token, n);
    ends.push_back(take<Settle>().at(0).seq);
  }
  submit(10);
  EXPECT_TRUE(dispatch_all(10).empty());
  machine_.committed(ends[0], {}, at(11));
  EXPECT_EQ(dispatch_all(11).size(), 1U);
}

TEST_F(Settlement, AnErrorThatIsNotWorthARetryIsADeadLetterAtOnce) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  fails(id, token, false, 10);
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::failed);
  EXPECT_EQ(ends[0].error->code, Errc::away);
  EXPECT_TRUE(ends[0].with_result);
}

TEST_F(Settlement, AJobWhoseStoredBodyCannotBeReadFailsAndWasNeverSent) {
  const WorkerId id = worker("w", 0);
  submit(0);
  const Token token = dispatch(0);
  machine_.unreadable({token.job, token.epoch, token.attempt + 1}, {Errc::corrupt, "x"}, at(10));
  EXPECT_TRUE(take<Settle>().empty());
  machine_.unreadable(token, {Errc::corrupt, "its stored body cannot be read"}, at(10));
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::failed);
  EXPECT_EQ(ends[0].error->code, Errc::corrupt);
  EXPECT_FALSE(ends[0].with_result);
  EXPECT_TRUE(machine_.snapshot().balanced());
  EXPECT_EQ(machine_.snapshot().lanes.at(0).count.sent, 0);
  EXPECT_EQ(machine_.pool().at(id).here.held().jobs, Credits(0));
  machine_.check_invariants();
}

TEST_F(Settlement, AJobIsRetriedAsOftenAsItsKindSaysAndThenFailsWithItsLastError) {
  const WorkerId id = worker("w", 0);
  const JobId job = submit(0);
  std::int64_t ms = 0;
  for (int attempt = 1; attempt <= 4; ++attempt) {
    ms += 2000;  // over any backoff of this kind
    beat(id, {}, ms);
    machine_.tick(at(ms));
    const Token token = dispatch(ms);
    EXPECT_EQ(token.attempt, attempt);
    fails(id, token, true, ms + 1);
    EXPECT_EQ(machine_.state(job) == State::settling, attempt == 4);
    commit_all(ms + 2);
  }
  EXPECT_FALSE(machine_.is_live(job));
  EXPECT_EQ(machine_.counts().retried, 3);
  EXPECT_EQ(machine_.counts().charged, 0);
  EXPECT_EQ(machine_.snapshot().totals.ended[static_cast<int>(EndState::failed)], 1);
}

TEST_F(Settlement, ARetryIsNotDueEarlierThanItsNoteSaysAndNoLaterThanTheNextTick) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  fails(id, token, true, 10);
  const Instant due = take<Remark>().at(0).due.value();
  if (due > at(10)) {
    machine_.tick(due - Duration(1));
    EXPECT_EQ(machine_.state(job), State::backoff);
    EXPECT_LE(machine_.next_due(), due);
  }
  machine_.tick(due);
  EXPECT_EQ(machine_.state(job), State::ready);
}

// Full jitter: uniform in [0, min(cap, base * 2^n)], n failures before.
TEST(Backoff, IsUniformUpToABoundThatDoublesToItsCap) {
  constexpr std::uint64_t seed = 7;
  constexpr int jobs = 4000;
  constexpr int bins = 10;
  const auto time = [](std::int64_t ms) { return Instant(milliseconds(1'000'000 + ms)); };
  Machine machine({.epoch = 1, .seed = seed, .started = time(0)});
  const StageId stage = machine.add_stage("compute");
  machine.add_kind({.name = "k",
                    .route = {stage},
                    .retries = 6,
                    .backoff_base = milliseconds(100),
                    .backoff_cap = milliseconds(1000)});
  machine.replay_finished(time(0));
  const auto worker = machine.hello({.incarnation = "w",
                                     .limit = {Credits(4096), Bytes(1 << 20)},
                                     .unsettled_limit = Credits(1 << 20)},
                                    {}, time(0));
  ASSERT_TRUE(worker);
  machine.lane_up(*worker, time(0));
  for (int i = 0; i < jobs; ++i) {
    machine.submit({.client = "a", .size = Bytes(1), .intake = time(0)}, time(0));
    machine.committed(machine.head(), {}, time(0));
  }
  constexpr std::int64_t most_ms[] = {100, 200, 400, 800, 1000, 1000};
  struct Drawn {
    std::vector<int> histogram = std::vector<int>(bins);
    double sum = 0;
    int n = 0;
  };
  std::vector<Drawn> drawn(std::size(most_ms));  // by failures before
  std::vector<std::size_t> failures(jobs + 1);
  const Duration service = std::chrono::microseconds(1);
  for (std::int64_t ms = 0; ms < 10'000; ms += 10) {
    machine.beat(*worker, {}, 0, 0, time(ms));
    machine.tick(time(ms));
    machine.dispatch(time(ms));
    const auto effects = std::exchange(machine.effects(), {});
    for (const Effect& effect : effects) {
      const auto* sent = std::get_if<Dispatch>(&effect);
      if (sent == nullptr) continue;
      machine.done({.token = sent->token,
                    .worker = *worker,
                    .outcome = Finished::Outcome::error,
                    .retry = true,
                    .error = Error{Errc::away, "not now"},
                    .service = std::span(&service, 1)},
                   time(ms));
      const auto* note = std::get_if<Remark>(&machine.effects().back());
      if (note == nullptr) continue;  // that was the last attempt
      const std::size_t before = failures[static_cast<std::size_t>(sent->token.job)]++;
      const Duration most = milliseconds(most_ms[before]);
      const Duration delay = *note->due - time(ms);
      ASSERT_GE(delay, Duration(0)) << "seed " << seed;
      ASSERT_LE(delay, most) << "seed " << seed;
      const double share = static_cast<double>(delay.count()) / static_cast<double>(most.count());
      Drawn& of = drawn[before];
      ++of.histogram[static_cast<std::size_t>(std::min(bins - 1, static_cast<int>(share * bins)))];
      of.sum += share;
      ++of.n;
    }
  }
  for (const Drawn& of : drawn) {
    ASSERT_EQ(of.n, jobs) << "seed " << seed;
    double chi_square = 0;
    constexpr double expected = static_cast<double>(jobs) / bins;
    for (const int n : of.histogram) chi_square += std::pow(n - expected, 2) / expected;
    // 9 degrees of freedom: above 27.9 in one of 1,000 draws.
    EXPECT_LT(chi_square, 27.9) << "seed " << seed;
    EXPECT_NEAR(of.sum / jobs, 0.5, 0.02) << "seed " << seed;
  }
}

TEST_F(Settlement, AJobThatItsWorkerStoppedUnaskedGoesBackFree) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  machine_.done({.token = token, .worker = id, .outcome = Finished::Outcome::stopped}, at(5));
  EXPECT_EQ(machine_.state(job), State::ready);
  EXPECT_EQ(machine_.counts().handed_back, 1);
  EXPECT_EQ(words(token), std::vector{Word::void_});
}

TEST_F(Settlement, AJobWhoseBodyIsBeingReadIsNotLostAndOneThatCouldNotBeReadIsSentAgain) {
  const WorkerId id = worker("w", 0);
  const JobId job = submit(0);
  const Token token = dispatch(0);
  for (std::int64_t ms = 100; ms <= 5000; ms += 100) {
    beat(id, {}, ms);
    machine_.reading(token, at(ms));
    machine_.tick(at(ms));
  }
  EXPECT_TRUE(machine_.is_leased(token));
  machine_.not_sent(token, at(5000));
  EXPECT_FALSE(machine_.is_leased(token));
  EXPECT_EQ(machine_.state(job), State::ready);
  EXPECT_EQ(places_taken(id), 0);
  EXPECT_TRUE(machine_.snapshot().balanced());
  for (const auto& lane : machine_.snapshot().lanes) EXPECT_TRUE(lane.count.balanced());
  machine_.not_sent(token, at(5000));  // of a lease that is gone: nothing
  const Token again = dispatch(5001);
  EXPECT_EQ(again.attempt, token.attempt + 1);
  ok(id, again, 5002);
}

TEST(FullJitter, StaysBelowItsCapHoweverLongTheBaseAndOften) {
  std::mt19937_64 random(1);
  const Duration cap = std::chrono::seconds(60);
  Duration longest{};
  for (const int n : {0, 1, 29, 30, 31, 100})
    for (int draw = 0; draw < 100; ++draw) {
      const Duration wait = full_jitter(std::chrono::seconds(9), cap, n, random);
      EXPECT_GE(wait, Duration(0));
      EXPECT_LE(wait, cap);
      if (n >= 30) longest = std::max(longest, wait);
    }
  EXPECT_GT(longest, cap / 2);  // an overflow would leave no wait at all
}

// ---- cancel and deadline ----

TEST_F(Settlement, AWaitingJobIsCancelledWhenThatIsOnDisk) {
  const JobId job = submit(0);
  machine_.cancel(9, job, at(1));
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  worker("w", 2);
  EXPECT_TRUE(dispatch_all(2).empty());
  machine_.committed(ends[0].seq, {}, at(3));
  const auto said = take<Cancelled>();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].state, "cancelled");
  EXPECT_EQ(said[0].reply_to, 9U);
}

TEST_F(Settlement, ALeasedJobIsCancellingUntilItsWorkerSaysStopped) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  machine_.cancel(9, job, at(1));
  EXPECT_EQ(machine_.state(job), State::leased);
  std::vector<std::int64_t> notes;
  for (const Effect& effect : machine_.effects()) {
    EXPECT_FALSE(std::holds_alternative<TellWorker>(effect));
    if (const auto* note = std::get_if<Remark>(&effect)) notes.push_back(note->seq);
  }
  ASSERT_EQ(notes.size(), 1U);
  machine_.effects().clear();
  machine_.committed(notes[0], {}, at(2));
  std::vector<Cancelled> said;
  std::vector<Word> told;
  for (const Effect& effect : machine_.effects()) {
    if (const auto* one = std::get_if<Cancelled>(&effect)) said.push_back(*one);
    if (const auto* one = std::get_if<TellWorker>(&effect)) told.push_back(one->word);
  }
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].state, "cancelling");
  EXPECT_EQ(told, std::vector{Word::cancel});
  EXPECT_EQ(places_taken(id), 1);
  machine_.done({.token = token, .worker = id, .outcome = Finished::Outcome::stopped}, at(5));
  EXPECT_EQ(places_taken(id), 0);
  EXPECT_EQ(take<Settle>().at(0).state, EndState::cancelled);
}

TEST_F(Settlement, ACancelThatIsAskedForAgainIsOneNoteAndEachAskerIsAnsweredAfterIt) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  for (const ReplyTo asker : {9U, 10U, 11U}) machine_.cancel(asker, job, at(1));
  std::vector<std::int64_t> notes;
  for (const Effect& effect : machine_.effects()) {
    EXPECT_FALSE(std::holds_alternative<Cancelled>(effect));
    if (const auto* note = std::get_if<Remark>(&effect)) notes.push_back(note->seq);
  }
  ASSERT_EQ(notes.size(), 1U);
  machine_.effects().clear();
  machine_.committed(notes[0], {}, at(2));
  std::vector<ReplyTo> answered;
  for (const Cancelled& one : take<Cancelled>()) answered.push_back(one.reply_to);
  EXPECT_EQ(answered, (std::vector<ReplyTo>{9, 10, 11}));
  machine_.cancel(12, job, at(3));  // it is on disk: answered at once
  EXPECT_EQ(take<Cancelled>().size(), 1U);
}

TEST_F(Settlement, AResultThatWasQueuedBeforeTheCancelWins) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  ok(id, token, 1);
  EXPECT_EQ(take<Settle>().at(0).state, EndState::done);
  machine_.cancel(9, job, at(2));
  EXPECT_EQ(take<Refuse>().at(0).error.code, Errc::wrong_state);
}

TEST_F(Settlement, AResultAfterTheCancelWasQueuedIsDroppedAndCounted) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  machine_.cancel(9, job, at(1));
  machine_.effects().clear();
  ok(id, token, 2);
  const auto ends = take<Settle>();
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].state, EndState::cancelled);
  EXPECT_FALSE(ends[0].with_result);
  EXPECT_EQ(machine_.counts().dropped_stopping, 1);
}

TEST_F(Settlement, ACancelledJobWhoseWorkerFailsItIsNotRetried) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  machine_.cancel(9, job, at(1));
  machine_.effects().clear();
  fails(id, token, true, 2);
  EXPECT_EQ(take<Settle>().at(0).state, EndState::cancelled);
  EXPECT_EQ(machine_.counts().retried, 0);
}

TEST_F(Settlement, ACancelledJobWhoseWorkerDiesEndsUncharged) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  machine_.cancel(9, job, at(1));
  commit_all(2);
  machine_.effects().clear();
  machine_.died(id, "signal SIGKILL", at(3));
  EXPECT_EQ(take<Settle>().at(0).state, EndState::cancelled);
  EXPECT_EQ(machine_.counts().charged, 0);
}

TEST_F(Settlement, ACancelledJobThatItsWorkerDoesNotStopEndsAfterItsKindsStall) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  machine_.cancel(9, job, at(0));
  commit_all(0);
  std::int64_t ms = 0;
  for (; machine_.state(job) == State::leased; ms += 100) {
    ASSERT_LE(ms, 3200);
    beat(id, {{token, 1}}, ms);
    machine_.tick(at(ms));
  }
  EXPECT_GT(ms, 3000);
  EXPECT_EQ(places_taken(id), 0);
  EXPECT_EQ(take<Settle>().at(0).state, EndState::cancelled);
}

TEST_F(Settlement, ADeadlineExpiresAWaitingJobAndStopsARunningOne) {
  const WorkerId id = worker("w", 0);
  Submission with_deadline = submission(0);
  with_deadline.deadline = at(50);
  const JobId runs = submit(with_deadline, 0);
  const Token token = dispatch(0);
  machine_.hop(id, token, Point::started, at(0));
  machine_.leaving(id);  // nothing else is sent
  const JobId waits = submit(with_deadline, 0);
  machine_.tick(at(49));
  EXPECT_EQ(machine_.state(waits), State::ready);
  machine_.effects().clear();
  machine_.tick(at(50));
  EXPECT_EQ(machine_.state(waits), State::settling);
  EXPECT_EQ(machine_.state(runs), State::leased);
  commit_all(51);
  EXPECT_EQ(words(token), std::vector{Word::expire});
  ok(id, token, 60);
  EXPECT_EQ(take<Settle>().at(0).state, EndState::expired);
}

TEST_F(Settlement, OfACancelAndADeadlineTheOneQueuedFirstWins) {
  const WorkerId id = worker("w", 0);
  Submission with_deadline = submission(0);
  with_deadline.deadline = at(50);
  const JobId job = submit(with_deadline, 0);
  const Token token = dispatch(0);
  machine_.cancel(9, job, at(49));
  machine_.tick(at(50));
  machine_.effects().clear();
  machine_.done({.token = token, .worker = id, .outcome = Finished::Outcome::stopped}, at(60));
  EXPECT_EQ(take<Settle>().at(0).state, EndState::cancelled);

  const JobId other = submit(
      [&] {
        Submission later = submission(100);
        later.deadline = at(150);
        return later;
      }(),
      100);
  dispatch(100);
  machine_.tick(at(150));
  machine_.effects().clear();
  machine_.cancel(9, other, at(151));
  EXPECT_EQ(take<Refuse>().at(0).error.code, Errc::wrong_state);
}

TEST_F(Settlement, AScheduledJobWaitsForItsTimeAndExpiresIfThatIsTooLate) {
  worker("w", 0);
  Submission later = submission(0);
  later.not_before = at(100);
  const JobId job = submit(later, 0);
  EXPECT_EQ(machine_.snapshot().waiting.scheduled, 1);
  EXPECT_TRUE(dispatch_all(99).empty());
  machine_.tick(at(100));
  EXPECT_EQ(dispatch(100).job, job.raw());
  later.not_before = at(300);
  later.deadline = at(200);
  const JobId never = submit(later, 100);
  machine_.tick(at(200));
  EXPECT_EQ(machine_.state(never), State::settling);
}

TEST_F(Settlement, ACancelOfAnUnknownOrUncommittedJobIsRefused) {
  machine_.cancel(9, JobId(77), at(0));
  EXPECT_EQ(take<Refuse>().at(0).error.code, Errc::not_found);
  machine_.submit(submission(0), at(0));
  const JobId job = take<Append>().at(0).job;
  machine_.cancel(9, job, at(0));
  EXPECT_EQ(take<Refuse>().at(0).error.code, Errc::not_found);
}

TEST_F(Settlement, ADrainedFrontHasNothingLeasedAndNothingUncommitted) {
  const WorkerId id = worker("w", 0);
  const auto [job, token] = running(id, 0);
  submit(0);
  machine_.drain(at(1));
  EXPECT_TRUE(take<Drained>().empty());
  EXPECT_TRUE(dispatch_all(1).empty());
  ok(id, token, 2);
  const auto ends = take<Settle>();
  machine_.committed(ends.at(0).seq, {}, at(3));
  EXPECT_EQ(take<Drained>().size(), 1U);
  EXPECT_EQ(machine_.live_jobs(), 1);
}

// ---- priority and fairness, in time ----

// One worker of one thread and jobs of 10 ms in virtual time; what each job waited from its submit
// to its start there.
class InTime : public MachineTest {
 protected:
  static constexpr std::int64_t service_ms = 10;
  // Plays `count` services; `arrive` is called before each.
  template <class F>
  void play(WorkerId id, int count, F arrive) {
    std::vector<Token> there;
    std::int64_t ms = 0;
    for (int n = 0; n < count; ++n, ms += service_ms) {
      arrive(ms);
      for (const Dispatch& sent : dispatch_all(ms)) there.push_back(sent.token);
      if (there.empty()) continue;
      const Token token = there.front();
      there.erase(there.begin());
      started[token.job] = ms;
      beat(id, held(there, token), ms);
      machine_.tick(at(ms));
      const Duration service = milliseconds(service_ms);
      machine_.done({.token = token, .worker = id, .service = std::span(&service, 1)},
                    at(ms + service_ms));
      commit_all(ms + service_ms);
    }
  }
  static std::vector<Held> held(const std::vector<Token>& there, const Token& running) {
    std::vector<Held> all{{running, 1}};
    for (const Token& token : there) all.push_back({token, 0});
    return all;
  }
  std::map<std::int64_t, std::int64_t> started;  // by job
};

TEST_F(InTime, AnUrgentJobWaitsTwoServiceTimesAtMostWhileLowOnesFlood) {
  const WorkerId id = worker("w", 0);
  Submission low = submission(0);
  low.priority = 0;
  for (int n = 0; n < 2000; ++n) submit(low, 0);
  std::map<std::int64_t, std::int64_t> submitted;
  std::mt19937 rng(5);
  play(id, 1500, [&](std::int64_t ms) {
    if (rng() % 10 != 0) return;
    Submission high = submission(ms);
    high.priority = 9;
    submitted[submit(high, ms).raw()] = ms;
  });
  ASSERT_GE(submitted.size(), 100U);
  std::vector<std::int64_t> waits;
  for (const auto& [job, ms] : submitted)
    if (started.contains(job)) waits.push_back(started.at(job) - ms);
  std::ranges::sort(waits);
  ASSERT_GE(waits.size() + 2, submitted.size());
  EXPECT_LE(waits[waits.size() * 99 / 100], 2 * service_ms);
}

TEST_F(InTime, ALowJobIsServedWhileUrgentOnesFlood) {
  const WorkerId id = worker("w", 0);
  Submission high = submission(0);
  high.priority = 9;
  for (int n = 0; n < 300; ++n) submit(high, 0);
  Submission low = submission(0);
  low.priority = 0;
  const JobId job = submit(low, 0);
  play(id, 100, [](std::int64_t) {});
  ASSERT_TRUE(started.contains(job.raw()));
  EXPECT_LE(started.at(job.raw()), (limits::starvation_turn + 3) * service_ms);
}

TEST_F(InTime, OneJobWaitsTwoServiceTimesBehindAnotherClientsHundredThousand) {
  const WorkerId id = worker("w", 0);
  Submission flood = submission(0);
  flood.client = "a";
  for (int n = 0; n < 100'000; ++n) submit(flood, 0);
  std::vector<std::pair<std::int64_t, std::int64_t>> single;  // job, submitted
  play(id, 300, [&](std::int64_t ms) {
    if (ms % 150 != 50) return;
    Submission one = submission(ms);
    one.client = "b";
    single.emplace_back(submit(one, ms).raw(), ms);
  });
  ASSERT_GE(single.size(), 15U);
  single.pop_back();
  for (const auto& [job, ms] : single) {
    ASSERT_TRUE(started.contains(job));
    // One runs, one is sent behind it, and it may be the other client's turn.
    EXPECT_LE(started.at(job) - ms, 3 * service_ms);
  }
}

}  // namespace
}  // namespace tallymill::front
