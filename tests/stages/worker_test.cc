// The worker runtime, seen from the front. Goal: what it promises of times, fencing, stopping and
// leaving. Method: the real worker and a fake front on real ipc sockets; each test waits for
// conditions.
#include "stages/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/stages/running_worker.h"

namespace tallymill::stages {
namespace {

using bus::Token;
using bus::Work;
using fakes::FakeFront;
using fakes::SeenDone;
using nlohmann::json;

Work job(std::int64_t id, std::string_view kind = "echo") {
  return {.token = {id, 1, 1}, .kind = kind};
}

TEST(Worker, AJobsStampsRiseAndItsSpansLieInsideItsService) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  front.send({job(1)}, {{{"x", 7}}});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  const std::int64_t now = fakes::monotonic_ns();
  const SeenDone& done = *front.done({1, 1, 1});
  EXPECT_EQ(done.outcome, "ok");
  EXPECT_EQ(done.values, json({{"x", 7}}));
  EXPECT_EQ(done.worker, worker->incarnation());
  ASSERT_EQ(done.hops.size(), 1U);
  const fakes::SeenHop& hop = done.hops[0];
  EXPECT_EQ(hop.stage, "compute");
  EXPECT_EQ(hop.worker, worker->incarnation());
  EXPECT_LE(hop.sent_ns, hop.received_ns);
  EXPECT_LE(hop.received_ns, hop.started_ns);
  EXPECT_LE(hop.started_ns, hop.finished_ns);
  EXPECT_LE(hop.finished_ns, hop.handed_ns);
  EXPECT_LE(hop.handed_ns, now);
  ASSERT_EQ(hop.spans.size(), 2U);
  EXPECT_EQ(hop.spans[0].name, "outer");
  EXPECT_EQ(hop.spans[1].name, "inner");
  EXPECT_EQ(hop.spans[1].depth, 1);
  EXPECT_LE(hop.started_ns, hop.spans[0].begin_ns);
  EXPECT_LE(hop.spans[0].begin_ns, hop.spans[1].begin_ns);
  EXPECT_LE(hop.spans[1].end_ns, hop.spans[0].end_ns);
  EXPECT_LE(hop.spans[0].end_ns, hop.finished_ns);
}

TEST(Worker, ItsHelloSaysWhatItServesAndHolds) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()}, 3);
  EXPECT_EQ(front.hello().stage, "compute");
  EXPECT_EQ(front.hello().lane, 1);
  EXPECT_EQ(front.hello().concurrency, 3);
  EXPECT_EQ(front.hello().held, json::array());
  EXPECT_EQ(kind_from_json(front.hello().kinds.at(0)).value().name, "echo");
}

TEST(Worker, ABatchComesBackInFewMessages) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  std::vector<Work> works;
  for (int i = 1; i <= 500; ++i) works.push_back(job(i));
  front.send(std::move(works));
  ASSERT_TRUE(front.wait([&] { return front.all_done.size() == 500; }));
  for (int i = 1; i <= 500; ++i) EXPECT_EQ(front.dones({i, 1, 1}), 1) << i;
  EXPECT_LT(front.result_messages, 250);
}

TEST(Worker, ATokenThatItHoldsAlreadyRunsOnce) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {echo_kind(), gate_kind(gate)});
  front.send({job(1, "gate")});
  front.send({job(1, "gate")});
  front.send({job(2)});
  gate.open();
  ASSERT_TRUE(front.wait([&] { return front.done({2, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.dones({1, 1, 1}), 1);
}

TEST(Worker, BadJobsEndWithTheirCodeAndField) {
  FakeFront front;
  StageKind throws = {
      .spec = {.name = "throws", .route = {"compute"}, .help = "Throws.", .params = {}},
      .handler = [](const Job&, Context&) -> Result<Output> {
        throw std::runtime_error("no\xff");
      }};
  StageKind away = {
      .spec = {.name = "away", .route = {"compute"}, .help = "Fails.", .params = {}},
      .handler = [](const Job&, Context&) -> Result<Output> { return fail(Errc::away, "gone"); }};
  RunningWorker worker(front, {echo_kind(), throws, away});
  front.send({job(1), job(2, "throws"), job(3, "nobody"), job(4, "away")}, {{{"x", -1}}});
  ASSERT_TRUE(front.wait([&] { return front.all_done.size() == 4; }));
  const SeenDone& params = *front.done({1, 1, 1});
  EXPECT_EQ(params.outcome, "error");
  EXPECT_EQ(params.code, "E_PARAMS");
  EXPECT_EQ(params.field, "/x");
  EXPECT_FALSE(params.retry);
  EXPECT_EQ(front.done({2, 1, 1})->code, "E_STAGE");
  EXPECT_EQ(front.done({2, 1, 1})->message, "the handler threw: no?");
  EXPECT_EQ(front.done({3, 1, 1})->code, "E_NO_ROUTE");
  EXPECT_EQ(front.done({4, 1, 1})->code, "E_AWAY");
  EXPECT_TRUE(front.done({4, 1, 1})->retry);
}

TEST(Worker, AJobWhoseDeadlineHasPassedDoesNotStart) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  Work late = job(1);
  late.deadline_ns = fakes::monotonic_ns() - 1;
  front.send({late});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->outcome, "stopped");
  EXPECT_EQ(front.done({1, 1, 1})->code, "E_DEADLINE");
  EXPECT_EQ(front.done({1, 1, 1})->hops.at(0).started_ns, 0);
}

TEST(Worker, CancelStopsTheRunningJobAndAnswersForTheWaitingOneAtOnce) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {echo_kind(), gate_kind(gate)});
  front.send({job(1, "gate"), job(2)});
  ASSERT_TRUE(front.wait([&] { return front.listed({1, 1, 1}, 1) && front.listed({2, 1, 1}, 0); }));
  front.tell({2, 1, 1}, "cancel");
  ASSERT_TRUE(front.wait([&] { return front.done({2, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({2, 1, 1})->outcome, "stopped");
  EXPECT_EQ(front.done({2, 1, 1})->code, "E_CANCELLED");
  EXPECT_EQ(front.done({1, 1, 1}), nullptr);
  front.tell({1, 1, 1}, "cancel");
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->outcome, "stopped");
  EXPECT_GT(front.done({1, 1, 1})->hops.at(0).started_ns, 0);
}

TEST(Worker, AVoidedJobEndsWithoutAWord) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {echo_kind(), gate_kind(gate)});
  front.send({job(1, "gate"), job(2)});
  ASSERT_TRUE(front.wait([&] { return front.listed({1, 1, 1}, 1); }));
  front.tell({1, 1, 1}, "void");
  ASSERT_TRUE(front.wait([&] { return front.done({2, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1}), nullptr);
}

TEST(Worker, AResultIsKeptAndSentAgainUntilItIsSettled) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  front.send({job(1), job(2)}, {{{"x", 5}}, {{"x", 6}}}, {"input bytes"});
  ASSERT_TRUE(front.wait([&] { return front.listed({2, 1, 1}, 2); }));
  // Within one beat of its sending a keep is not answered: the first copy is most likely on its
  // way.
  ASSERT_TRUE(front.wait([&] {
    front.tell({2, 1, 1}, "keep");
    return front.dones({2, 1, 1}) >= 2;
  }));
  const SeenDone& again = front.all_done.back();
  EXPECT_TRUE(again.on_control);
  EXPECT_EQ(again.token, (Token{2, 1, 1}));
  EXPECT_EQ(again.values, json({{"x", 6}}));
  ASSERT_EQ(again.files.size(), 1U);
  EXPECT_EQ(again.files[0].bytes, "input bytes");
  front.tell({2, 1, 1}, "settled");
  ASSERT_TRUE(front.wait([&] { return !front.listed({2, 1, 1}, 2); }));
  EXPECT_TRUE(front.listed({1, 1, 1}, 2));
}

TEST(Worker, ALongJobIsReportedAndItsProgressNeverFalls) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {gate_kind(gate)});
  front.send({job(1, "gate")});
  ASSERT_TRUE(front.wait([&] { return front.lives.size() >= 5; }));
  gate.open();
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  ASSERT_NE(front.event({1, 1, 1}, "received"), nullptr);
  ASSERT_NE(front.event({1, 1, 1}, "started"), nullptr);
  EXPECT_EQ(front.event({1, 1, 1}, "received")->at_ns, front.done({1, 1, 1})->hops[0].received_ns);
  EXPECT_EQ(front.event({1, 1, 1}, "started")->at_ns, front.done({1, 1, 1})->hops[0].started_ns);
  EXPECT_TRUE(std::ranges::is_sorted(front.lives, {}, &fakes::SeenLive::fraction));
  EXPECT_LE(front.lives.size(), 20U);  // thinned: 85 steps of 1 % were said
}

TEST(Worker, AShortJobIsNotReportedBeforeItsEnd) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  front.send({job(1)});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  const std::size_t beats = front.beats.size();
  ASSERT_TRUE(front.wait([&] { return front.beats.size() > beats + 2; }));
  const auto& hop = front.done({1, 1, 1})->hops[0];
  if (hop.finished_ns - hop.received_ns < 5'000'000) {
    EXPECT_TRUE(front.events.empty());
  }
}

TEST(Worker, APreviewReachesTheFront) {
  FakeFront front;
  StageKind kind = {.spec = {.name = "show", .route = {"compute"}, .help = "Shows.", .params = {}},
                    .handler = [](const Job&, Context& context) -> Result<Output> {
                      context.preview({"coarse.jpg", "image/jpeg", "pixels"});
                      return Output{};
                    }};
  RunningWorker worker(front, {kind});
  front.send({job(1, "show")});
  ASSERT_TRUE(front.wait([&] { return !front.lives.empty(); }));
  EXPECT_EQ(front.lives[0].preview, "pixels");
}

TEST(Worker, MissingLaneNumbersAreCounted) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  front.send({job(1)});
  front.skip_numbers(3);
  front.send({job(2)});
  ASSERT_TRUE(front.wait([&] { return front.beats.back().missing == 3; }));
}

TEST(Worker, AFrontThatCameBackHearsOfAllThatItHolds) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {echo_kind(), gate_kind(gate)}, 2);
  front.send({job(1, "gate"), job(2)});
  ASSERT_TRUE(front.wait([&] { return front.listed({2, 1, 1}, 2) && front.listed({1, 1, 1}, 1); }));
  const std::size_t before = front.hellos.size();
  front.restart();
  ASSERT_TRUE(front.wait([&] { return front.hellos.size() > before; }));
  json held = front.hello().held;
  std::sort(held.begin(), held.end());
  EXPECT_EQ(held, json({{1, 1, 1, 1}, {2, 1, 1, 2}}));
  front.tell({2, 1, 1}, "keep");
  ASSERT_TRUE(front.wait([&] {
    front.tell({2, 1, 1}, "keep");
    return front.dones({2, 1, 1}) >= 2;
  }));
  gate.open();
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
}

TEST(Worker, AWelcomeThatAnswersNoHelloAsksForOne) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  const std::size_t before = front.hellos.size();
  front.welcome();
  ASSERT_TRUE(front.wait([&] { return front.hellos.size() > before; }));
}

TEST(Worker, ToldThatItsLaneBrokeItBindsTheNextAndKeepsItsJobs) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {echo_kind(), gate_kind(gate)});
  front.send({job(1, "gate")});
  ASSERT_TRUE(front.wait([&] { return front.listed({1, 1, 1}, 1); }));
  const std::string endpoint = front.hello().endpoint;
  front.tell(bus::Tell{.rebind = true});
  ASSERT_TRUE(front.wait([&] { return front.hello().lane == 2; }));
  EXPECT_NE(front.hello().endpoint, endpoint);
  EXPECT_EQ(front.hello().held, json({{1, 1, 1, 1}}));
  front.send({job(2)});
  gate.open();
  ASSERT_TRUE(front.wait([&] { return front.done({2, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.dones({1, 1, 1}), 1);
}

TEST(Worker, DrainingItHandsBackWhatWaitsFinishesTheRestAndLeavesWhenAllIsSettled) {
  FakeFront front;
  Gate gate;
  RunningWorker worker(front, {echo_kind(), gate_kind(gate)});
  front.send({job(1, "gate"), job(2), job(3)});
  ASSERT_TRUE(front.wait([&] { return front.listed({1, 1, 1}, 1) && front.listed({3, 1, 1}, 0); }));
  worker->drain();
  ASSERT_TRUE(front.wait([&] { return front.event({3, 1, 1}, "back") != nullptr; }));
  EXPECT_EQ(front.event({2, 1, 1}, "back")->reason, "draining");
  ASSERT_TRUE(front.wait([&] { return front.beats.back().draining; }));
  front.send({job(4)});
  ASSERT_TRUE(front.wait([&] { return front.event({4, 1, 1}, "back") != nullptr; }));
  gate.open();
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_FALSE(worker.left());
  front.tell({1, 1, 1}, "settled");
  ASSERT_TRUE(front.wait([&] { return worker.left(); }));
}

TEST(Worker, ToldToDrainAnIdleWorkerLeaves) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  front.tell(bus::Tell{.drain = true});
  ASSERT_TRUE(front.wait([&] { return worker.left(); }));
  EXPECT_TRUE(front.beats.back().draining);
}

TEST(Worker, OptionsThatCannotBeAreRefusedByName) {
  const auto refused = [](WorkerOptions options) {
    const SystemClock clock;
    options.kinds = {echo_kind()};
    const auto made = Worker::make(std::move(options), clock);
    return made ? Errc{} : made.error().code;
  };
  EXPECT_EQ(refused({.stage = "", .control = "ipc://c", .results = "ipc://r"}), Errc::bad_params);
  EXPECT_EQ(refused({.stage = "s", .control = "c", .results = "ipc://r"}), Errc::bad_params);
  EXPECT_EQ(refused({.stage = "s", .control = "ipc://c", .results = "ipc://r", .concurrency = 0}),
            Errc::bad_params);
  EXPECT_EQ(refused({.stage = "s", .control = "ipc://c", .results = "ipc://r", .places = 5000}),
            Errc::bad_params);
  EXPECT_EQ(refused({.stage = "s",
                     .control = "ipc://c",
                     .results = "ipc://r",
                     .run_dir = std::string(100, 'x')}),
            Errc::bad_params);
  EXPECT_EQ(
      refused(
          {.stage = "s", .control = "ipc://c", .results = "ipc://r", .run_dir = "/no/such/folder"}),
      Errc::away);
}

}  // namespace
}  // namespace tallymill::stages
