// The client. Goal: every submit gets one answer and every wait its end, whatever the connection
// does; nothing is done twice because of it. Method: the real client and a real ROUTER socket on
// one loop, whose front breaks connections, loses answers, restarts and forgets on demand.
#include "bus/client.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bus/client_state.h"
#include "bus/messages.h"
#include "tests/fakes/front_desk.h"

namespace tallymill::bus {
namespace {

using fakes::FrontDesk;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

const SystemClock system_clock;
constexpr Duration patience = seconds(20);

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() { connect(client); }
  void connect(Client& c) {
    const auto connected = c.connect(front.endpoint(), patience);
    ASSERT_TRUE(connected.has_value()) << connected.error().message;
  }
  template <class Done>
  [[nodiscard]] bool run_until(Done done) {
    const Instant end = system_clock.now() + patience;
    while (!done() && system_clock.now() < end) {
      client.flush();
      loop.turn(milliseconds(50));
    }
    return done();
  }
  JobId submit(const JobRequest& request = {.kind = "synthetic"}) {
    auto job = client.submit(request, patience);
    EXPECT_TRUE(job.has_value()) << job.error().message;
    return job.value_or(JobId(0));
  }

  Loop loop{system_clock};
  FrontDesk front{loop};
  Client client{loop, {.name = "tester", .timeout = patience, .ping_every = milliseconds(50)}};
};

TEST_F(ClientTest, SubmitsWaitsAndGetsTheResult) {
  front.result_files = {{"out.txt", "hello"}, {"big.bin", std::string(100'000, 'x'), false}};
  front.result_values = {{"width", 3}};
  JobRequest request{
      .kind = "thumbs", .inputs = {{.name = "in.txt", .bytes = "abc"}}, .priority = 7};
  ASSERT_TRUE(request.set_params({{"size", 80}}));
  const JobId job = submit(request);
  const auto& taken = front.jobs.at(job.raw());
  EXPECT_EQ(taken.kind, "thumbs");
  EXPECT_EQ(taken.priority, 7);
  EXPECT_EQ(taken.client, "tester");
  EXPECT_EQ(taken.inputs.at(0).second, "abc");

  front.end(job.raw());
  const auto end = client.wait(job);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_TRUE(end->done());
  EXPECT_EQ(end->values_json(), (json{{"width", 3}}));
  ASSERT_EQ(end->files.size(), 2u);
  EXPECT_EQ(client.fetch(end->files[0]).value(), "hello");
  EXPECT_EQ(client.fetch(end->files[1]).value(), std::string(100'000, 'x'));
  EXPECT_EQ(front.asked[Verb::status], 0) << "an own job's end comes by itself";
}

TEST_F(ClientTest, TheEndThatCameBeforeTheWaitIsNotLost) {
  front.end_at_once = true;
  const JobId first = submit();
  const JobId second = submit();
  EXPECT_TRUE(client.wait(second)->done());
  EXPECT_TRUE(client.wait(first)->done());
}

// With results of 1 MiB, of which limits::client_ends_bytes has room for 63.
TEST_F(ClientTest, EndsThatWereTakenLeaveRoomForOthers) {
  front.result_files = {{"out.bin", std::string(1 << 20, 'x')}};
  for (int i = 0; i < 100; ++i) {
    const JobId job = submit();
    front.end(job.raw());
    ASSERT_TRUE(run_until([&] { return client.last_seq() == front.seq; }));
    ASSERT_TRUE(client.wait(job)->done());
  }
  EXPECT_EQ(front.asked[Verb::status], 0);
}

TEST_F(ClientTest, OfMoreEndsThanItKeepsTheOldestAreAskedFor) {
  front.result_files = {{"out.bin", std::string(1 << 20, 'x')}};
  std::vector<JobId> jobs;
  for (int i = 0; i < 70; ++i) {
    jobs.push_back(submit());
    front.end(jobs.back().raw());
    ASSERT_TRUE(run_until([&] { return client.last_seq() == front.seq; }));
  }
  for (int i = 7; i < 70; ++i) {
    const auto end = client.wait(jobs[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(end.has_value()) << end.error().message;
    EXPECT_EQ(end->files.at(0).bytes.size(), 1u << 20);
  }
  EXPECT_EQ(front.asked[Verb::status], 0);
  for (int i = 0; i < 7; ++i) EXPECT_TRUE(client.wait(jobs[static_cast<std::size_t>(i)])->done());
  EXPECT_EQ(front.asked[Verb::status], 7);
}

TEST_F(ClientTest, AFailedJobComesWithItsCode) {
  const JobId job = submit();
  front.end(job.raw(), "failed");
  const auto end = client.wait(job);
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(end->done());
  EXPECT_EQ(end->error.code, Errc::stage_failed);
  EXPECT_EQ(end->error.message, "planted");
}

TEST_F(ClientTest, WaitsForAnotherClientsJobThatHasEndedAndForOneThatHasNot) {
  front.result_files = {{"out.txt", "hello"}};
  Client other(loop, {.name = "other", .timeout = patience});
  connect(other);
  const JobId ended = submit();
  const JobId open = submit();
  front.end(ended.raw());
  const auto first = other.wait(ended);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->files.at(0).bytes, "hello");
  std::optional<Result<JobResult>> second;
  other.wait_async(open, [&](Result<JobResult> end) { second = std::move(end); });
  ASSERT_TRUE(run_until([&] { return front.asked[Verb::status] == 2; }));
  EXPECT_FALSE(second.has_value());
  front.end(open.raw(), "cancelled");
  ASSERT_TRUE(run_until([&] { return second.has_value(); }));
  EXPECT_EQ((*second)->state, "cancelled");
  EXPECT_EQ((*second)->error.code, Errc::cancelled);
}

TEST_F(ClientTest, WaitsForFiveThousandJobsOfOthersAtOnce) {
  Client other(loop, {.name = "other", .timeout = patience});
  connect(other);
  constexpr std::size_t n = 5'000;
  static_assert(n > limits::client_asks);
  std::vector<RawJob> raw(n, RawJob{.kind = "box"});
  ASSERT_EQ(client.submit_many(raw), n);
  ASSERT_TRUE(run_until([&] { return client.pending() == 0; }));
  std::vector<std::int64_t> ids;
  for (const auto& [id, job] : front.jobs) ids.push_back(id);
  for (std::size_t i = 0; i < n; i += 2) front.end(ids[i]);
  std::size_t done = 0;
  for (const std::int64_t id : ids)
    other.wait_async(JobId(id), [&](Result<JobResult> end) {
      ASSERT_TRUE(end.has_value()) << end.error().message;
      done += end->done() ? 1 : 0;
    });
  EXPECT_TRUE(other.ask_async(Verb::ping, {}, {})) << "there is room for other questions";
  ASSERT_TRUE(run_until([&] { return front.asked[Verb::status] == static_cast<int>(n); }));
  for (std::size_t i = 1; i < n; i += 2) front.end(ids[i]);
  EXPECT_TRUE(run_until([&] { return done == n; }));
  EXPECT_EQ(front.asked[Verb::result], static_cast<int>(n / 2));
  EXPECT_EQ(front.asked[Verb::status], static_cast<int>(n));
}

TEST_F(ClientTest, BeyondItsBoundAWaitIsBusyAndTheOthersGoOn) {
  const JobId job = submit();
  front.stop();
  std::size_t busy = 0;
  std::size_t ended = 0;
  for (std::size_t i = 0; i <= limits::client_waits; ++i)
    client.wait_async(job, [&](Result<JobResult> end) {
      end ? ++ended : ++busy;
      EXPECT_TRUE(end || end.error().code == Errc::busy);
    });
  EXPECT_EQ(busy, 1u);
  front.end(job.raw());
  front.start();
  EXPECT_TRUE(run_until([&] { return ended == limits::client_waits; }));
  EXPECT_EQ(busy, 1u);
  EXPECT_TRUE(client.wait(submit(), milliseconds(1)).error().code == Errc::deadline)
      << "their places are free again";
}

TEST_F(ClientTest, AWaitForAJobThatDoesNotExistSaysSo) {
  const auto end = client.wait(JobId(4711));
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code, Errc::not_found);
}

TEST_F(ClientTest, AWaitThatTakesTooLongEndsWithDeadlineAndTheJobGoesOn) {
  const JobId job = submit();
  const auto end = client.wait(job, milliseconds(20));
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code, Errc::deadline);
  front.end(job.raw());
  EXPECT_TRUE(client.wait(job)->done());
}

TEST_F(ClientTest, ASubmitWhoseAnswerWasLostIsSentAgainAndIsOneJob) {
  front.lose_answers = true;
  std::optional<JobId> job;
  ASSERT_TRUE(client.submit_async({.kind = "box"}, [&](const Submitted& s) { job = s.job; }));
  ASSERT_TRUE(run_until([&] { return front.jobs.size() == 1; }));
  front.stop();
  front.lose_answers = false;
  front.start();
  ASSERT_TRUE(run_until([&] { return job.has_value(); }));
  EXPECT_EQ(front.jobs.size(), 1u);
  EXPECT_EQ(front.jobs.begin()->second.submits, 2);
  EXPECT_EQ(client.reconnects(), 1);
}

TEST_F(ClientTest, ASubmitWhoseAnswerTheFrontDroppedIsSentAgainOnTheSameConnection) {
  front.lose_answers = true;
  std::optional<JobId> job;
  ASSERT_TRUE(client.submit_async({.kind = "box"}, [&](const Submitted& s) { job = s.job; }));
  ASSERT_TRUE(run_until([&] { return front.jobs.size() == 1; }));
  front.lose_answers = false;
  ASSERT_TRUE(run_until([&] { return job.has_value(); }));
  EXPECT_EQ(front.jobs.size(), 1u);
  EXPECT_EQ(client.reconnects(), 0);
}

TEST_F(ClientTest, WithoutKeysASubmitWhoseAnswerWasLostIsNotSentAgain) {
  Client careless(loop, {.name = "careless", .automatic_keys = false, .timeout = patience});
  connect(careless);
  front.lose_answers = true;
  std::optional<Errc> error;
  ASSERT_TRUE(careless.submit_async({.kind = "box"}, [&](const Submitted& s) {
    ASSERT_NE(s.error, nullptr);
    error = s.error->code;
  }));
  ASSERT_TRUE(run_until([&] { return front.jobs.size() == 1; }));
  front.stop();
  front.lose_answers = false;
  front.start();
  ASSERT_TRUE(run_until([&] { return error.has_value(); }));
  EXPECT_EQ(*error, Errc::away);
  EXPECT_EQ(careless.pending(), 0u);
}

TEST_F(ClientTest, ARetryWhoseAnswerWasLostWithItsConnectionIsAwayAndNotSentAgain) {
  const JobId job = submit();
  front.end(job.raw(), "failed");
  front.lose_answers = true;
  std::optional<Result<Answer>> answer;
  ASSERT_TRUE(client.ask_async(Verb::retry, {.job = job.raw()},
                               [&](Result<Answer> got) { answer = std::move(got); }));
  ASSERT_TRUE(run_until([&] { return front.jobs.size() == 2; }));
  front.stop();
  front.lose_answers = false;
  front.start();
  ASSERT_TRUE(run_until([&] { return answer.has_value(); }));
  ASSERT_FALSE(answer->has_value());
  EXPECT_EQ(answer->error().code, Errc::away);
  EXPECT_TRUE(client.ping());
  EXPECT_EQ(front.asked[Verb::retry], 1);
  EXPECT_EQ(front.jobs.size(), 2u);
}

TEST_F(ClientTest, ARetryWithoutAnAnswerIsNotSentAgainWhenASubmitIs) {
  const JobId job = submit();
  front.end(job.raw(), "failed");
  front.lose_answers = true;
  ASSERT_TRUE(client.ask_async(Verb::retry, {.job = job.raw()}, {}));
  ASSERT_TRUE(client.submit_async({.kind = "box"}, {}));
  ASSERT_TRUE(run_until([&] { return front.jobs.size() == 3; }));
  const FrontDesk::Job& box = front.jobs.rbegin()->second;
  ASSERT_TRUE(run_until([&] { return box.submits == 2; }));
  EXPECT_EQ(front.asked[Verb::retry], 1);
  EXPECT_EQ(client.reconnects(), 0);
}

TEST_F(ClientTest, EndsThatCameWhileItWasAwayAreReplayed) {
  const JobId job = submit();
  front.stop();
  front.end(job.raw());
  front.start();
  const auto end = client.wait(job);
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_TRUE(end->done());
  EXPECT_EQ(front.asked[Verb::status], 0);
}

TEST_F(ClientTest, AGapMakesItAskForTheJobsItWaitsFor) {
  const JobId job = submit();
  std::pair<std::int64_t, std::int64_t> gap;
  client.on_gap([&](std::int64_t from, std::int64_t to) { gap = {from, to}; });
  std::optional<Result<JobResult>> end;
  client.wait_async(job, [&](Result<JobResult> result) { end = std::move(result); });
  front.stop();
  front.end(job.raw());
  front.oldest = front.seq;
  front.start();
  ASSERT_TRUE(run_until([&] { return end.has_value(); }));
  EXPECT_TRUE((*end)->done());
  EXPECT_EQ(gap.second, front.seq);
  EXPECT_EQ(client.last_seq(), front.seq);
}

TEST_F(ClientTest, AGapAsksForMoreJobsThanThereIsRoomForQuestions) {
  constexpr std::size_t n = 3'000;
  std::vector<RawJob> raw(n, RawJob{.kind = "box"});
  ASSERT_EQ(client.submit_many(raw), n);
  ASSERT_TRUE(run_until([&] { return client.pending() == 0; }));
  std::size_t done = 0;
  for (const auto& [id, job] : front.jobs)
    client.wait_async(JobId(id), [&](Result<JobResult> end) {
      ASSERT_TRUE(end.has_value()) << end.error().message;
      done += end->done() ? 1 : 0;
    });
  front.stop();
  for (auto& [id, job] : front.jobs) front.end(id);
  front.oldest = front.seq;
  front.start();
  EXPECT_TRUE(run_until([&] { return done == n; }));
}

TEST_F(ClientTest, AnotherLedgerForgetsNoWait) {
  const JobId job = submit();
  std::optional<Result<JobResult>> end;
  client.wait_async(job, [&](Result<JobResult> result) { end = std::move(result); });
  front.stop();
  front.ledger = "ledger-2";
  front.jobs.clear();
  front.start();
  ASSERT_TRUE(run_until([&] { return end.has_value(); }));
  ASSERT_FALSE(end->has_value());
  EXPECT_EQ(end->error().code, Errc::not_found);
}

TEST_F(ClientTest, AFrontThatGoesSilentIsLeftAndFoundAgain) {
  front.silent = true;
  ASSERT_TRUE(run_until([&] { return !client.connected(); }));
  EXPECT_GE(front.asked[Verb::ping], 1);
  front.silent = false;
  EXPECT_TRUE(client.ping().has_value());
  EXPECT_GE(client.reconnects(), 1);
}

TEST_F(ClientTest, NobodyListeningIsSaidAtOnceWithFailFastAndInTimeWithout) {
  const std::string endpoint = front.endpoint();
  front.stop();
  Client hasty(loop, {.fail_fast = true});
  const auto refused = hasty.connect(endpoint, patience);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::away);
  EXPECT_NE(refused.error().message.find("nobody listens"), std::string::npos);
  Client patient(loop, {});
  EXPECT_EQ(patient.connect(endpoint, milliseconds(30)).error().code, Errc::away);
  front.start();
  EXPECT_TRUE(patient.ping(patience).has_value()) << "it goes on trying";
}

TEST_F(ClientTest, AnEndpointThatIsNoneIsABadParameter) {
  Client lost(loop, {});
  EXPECT_EQ(lost.connect("tcp://nowhere").error().code, Errc::bad_params);
}

TEST_F(ClientTest, CallsWithoutAnAnswerEndWithAwayAndLeaveNothingBehind) {
  front.silent = true;
  EXPECT_EQ(client.ping(milliseconds(10)).error().code, Errc::away);
  const auto job = client.submit({.kind = "box"}, milliseconds(10));
  ASSERT_FALSE(job.has_value());
  EXPECT_EQ(job.error().code, Errc::away);
  EXPECT_EQ(client.pending(), 0u);
}

TEST_F(ClientTest, ABusyFrontIsAskedAgainAndARefusalIsNot) {
  int refusals = 0;
  front.refuse = [&](const FrontDesk::Job& job) -> std::optional<Error> {
    if (job.kind == "bad") return Error{Errc::bad_params, "no such thing", "/params/width"};
    if (++refusals <= 3) return Error{Errc::busy, "full", {}, milliseconds(1)};
    return std::nullopt;
  };
  EXPECT_NE(submit().raw(), 0);
  EXPECT_EQ(refusals, 4);
  const auto refused = client.submit({.kind = "bad"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::bad_params);
  EXPECT_EQ(refused.error().field, "/params/width");
}

TEST_F(ClientTest, ABatchKeepsToTheWindowAndIsAnsweredInOrder) {
  front.stop();
  front.window_jobs = 10;
  front.start();
  std::vector<JobRequest> requests(1000);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].kind = "k" + std::to_string(i);
  const auto answers = client.submit_batch(requests);
  ASSERT_EQ(answers.size(), requests.size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    ASSERT_TRUE(answers[i].has_value()) << answers[i].error().message;
    EXPECT_EQ(front.jobs.at(answers[i]->raw()).kind, requests[i].kind);
  }
  front.answer_later = true;
  std::vector<RawJob> raw(100, RawJob{.kind = "later"});
  EXPECT_EQ(client.submit_now(raw), 100u);
  ASSERT_TRUE(run_until([&] { return front.most_unanswered == 10; }));
  front.answer_later = false;
  front.answer_submits();
  ASSERT_TRUE(run_until([&] { return client.pending() == 0; }));
  EXPECT_EQ(front.most_unanswered, 10u);
}

TEST_F(ClientTest, ManySubmitsTravelInFewMessagesAndEachIsAnsweredOnce) {
  constexpr std::size_t n = 50'000;
  std::vector<RawJob> raw(n, RawJob{.kind = "synthetic", .params = "\x80"});
  for (std::size_t i = 0; i < n; ++i) raw[i].tag = i;
  std::vector<int> answers(n);
  client.on_submitted([&](const Submitted& s) {
    ASSERT_EQ(s.error, nullptr);
    ++answers[s.tag];
  });
  const int before = front.envelopes;
  EXPECT_EQ(client.submit_many(raw), n);
  ASSERT_TRUE(run_until([&] { return client.pending() == 0; }));
  EXPECT_EQ(std::ranges::count(answers, 1), static_cast<std::ptrdiff_t>(n));
  EXPECT_LT(front.envelopes - before, 1000);
}

TEST_F(ClientTest, BeyondItsBoundASubmitIsBusyAndNothingIsLost) {
  front.answer_later = true;
  std::vector<RawJob> raw(limits::client_jobs + 1, RawJob{.kind = "synthetic"});
  EXPECT_EQ(client.submit_now(raw), limits::client_jobs);
  EXPECT_EQ(client.submit_async({.kind = "box"}, {}).error().code, Errc::busy);
  EXPECT_EQ(client.pending(), limits::client_jobs);
}

TEST_F(ClientTest, LargeInputsGoByDigestAndSmallOnesInline) {
  const std::string large(3'000'000, 'p');
  const JobId job =
      submit({.kind = "engrave",
              .inputs = {{.name = "large", .bytes = large}, {.name = "small", .bytes = "s"}}});
  EXPECT_EQ(front.jobs.at(job.raw()).inputs.at(0).second, large);
  EXPECT_EQ(front.jobs.at(job.raw()).inputs.at(1).second, "s");
  EXPECT_EQ(front.asked[Verb::put], 3);
  EXPECT_EQ(front.blobs.size(), 1u);
}

TEST_F(ClientTest, APieceThatTheFrontHasNoRoomForIsPutAndFetchedAgain) {
  std::string large(5'000'000, 'p');
  for (std::size_t i = 0; i < large.size(); i += 4096) large[i] = static_cast<char>(i >> 12);
  front.busy_blobs = 7;
  const auto digest = client.put(large);
  ASSERT_TRUE(digest.has_value()) << digest.error().message;
  EXPECT_EQ(front.busy_blobs, 0);
  EXPECT_EQ(front.blobs.at(*digest), large);
  // Only what was refused, and what was under way behind it, came again.
  EXPECT_LT(front.asked[Verb::put], 5 + 7 * limits::blob_pieces_ahead);
  front.busy_blobs = 3;
  ResultFile file;
  file.digest = *digest;
  file.size = Bytes(static_cast<std::int64_t>(large.size()));
  const auto bytes = client.fetch(file);
  ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
  EXPECT_EQ(*bytes, large);
  EXPECT_EQ(front.busy_blobs, 0);
}

TEST_F(ClientTest, AFrontThatStaysBusyIsSaidInTheEnd) {
  front.busy_blobs = 1'000'000;
  const auto digest = client.put(std::string(2'000'000, 'p'), milliseconds(100));
  ASSERT_FALSE(digest.has_value());
  EXPECT_EQ(digest.error().code, Errc::busy);
  EXPECT_EQ(client.pending(), 0u);
}

TEST_F(ClientTest, AnEmptyBlobIsStoredAndFetched) {
  const auto digest = client.put("");
  ASSERT_TRUE(digest.has_value()) << digest.error().message;
  EXPECT_EQ(front.asked[Verb::put], 1);
  ASSERT_TRUE(front.blobs.contains(*digest));
  EXPECT_EQ(client.fetch({.digest = *digest}).value(), "");
}

TEST_F(ClientTest, APutWhosePiecesWereCollectedBeginsAgain) {
  const std::string large(3'000'000, 'p');
  front.forget_at_put = 2;
  const auto digest = client.put(large);
  ASSERT_TRUE(digest) << digest.error().message;
  EXPECT_EQ(front.blobs.at(*digest), large);
  EXPECT_GT(front.asked[Verb::put], 3);
}

TEST_F(ClientTest, AFileThatCannotBeReadIsSaidBeforeAnythingIsSent) {
  const auto job = client.submit({.kind = "engrave", .inputs = {{.path = "/no/such/photo.jpg"}}});
  ASSERT_FALSE(job.has_value());
  EXPECT_EQ(job.error().code, Errc::bad_params);
  EXPECT_NE(job.error().message.find("/no/such/photo.jpg"), std::string::npos);
  EXPECT_EQ(front.asked[Verb::submit], 0);
}

TEST_F(ClientTest, ABlobThatIsNotItsDigestIsCorrupt) {
  front.result_files = {{"big.bin", std::string(70'000, 'x'), false}};
  const JobId job = submit();
  front.end(job.raw());
  auto end = client.wait(job);
  ASSERT_TRUE(end.has_value());
  front.blobs.begin()->second[5] = 'y';
  const auto bytes = client.fetch(end->files.at(0));
  ASSERT_FALSE(bytes.has_value());
  EXPECT_EQ(bytes.error().code, Errc::corrupt);
}

TEST_F(ClientTest, AsksWhatIsThereAndCancels) {
  const JobId job = submit();
  EXPECT_EQ(client.status(job)->at("state"), "waiting");
  EXPECT_EQ(client.cancel(job)->at("state"), "cancelled");
  EXPECT_EQ(client.wait(job)->state, "cancelled");
  EXPECT_NE(client.retry(job)->raw(), job.raw());
  front.replies[Verb::kinds] = {{"kinds", json::array()}};
  EXPECT_TRUE(client.kinds()->at("kinds").empty());
}

TEST_F(ClientTest, ProgressComesToTheOneWhoListens) {
  const JobId job = submit();
  std::vector<double> fractions;
  client.on_event([&](const Event& event, const Item&) {
    if (event.what == "progress") fractions.push_back(event.fraction);
  });
  front.progress(job.raw(), 0.25);
  front.progress(job.raw(), 0.5);
  front.end(job.raw());
  EXPECT_TRUE(client.wait(job)->done());
  EXPECT_EQ(fractions, (std::vector<double>{0.25, 0.5}));
}

TEST_F(ClientTest, StrangersHaveNamesOfTheirOwnAndShareNoKeys) {
  Client one(loop, {});
  Client two(loop, {});
  connect(one);
  connect(two);
  EXPECT_NE(one.name(), two.name());
  EXPECT_EQ(front.names.size(), 3u);
}

}  // namespace
}  // namespace tallymill::bus
