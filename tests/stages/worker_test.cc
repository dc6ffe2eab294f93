// The worker runtime, seen from the front. Goal: what it promises of times, fencing, stopping and
// leaving. Method: the real worker and a fake front on real ipc sockets; each test waits for
// conditions.
#include "stages/worker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <thread>

#include "base/sha256.h"
#include "bus/codec_json.h"
#include "bus/loop.h"
#include "stages/synthetic.h"
#include "store/blobs.h"
#include "tests/fakes/failing_sync.h"
#include "tests/fakes/front_desk.h"
#include "tests/metrics_doc.h"
#include "tests/stages/running_worker.h"

namespace tallymill::stages {
namespace {

using bus::Token;
using bus::Work;
using fakes::FakeFront;
using fakes::SeenDone;
using nlohmann::json;

int lane_files(const FakeFront& front) {
  int n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(front.folder()))
    n += entry.path().filename().string().starts_with("lane-") ? 1 : 0;
  return n;
}

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
  {
    RunningWorker worker(front, {echo_kind()});
    EXPECT_EQ(lane_files(front), 1);
    front.tell(bus::Tell{.drain = true});
    ASSERT_TRUE(front.wait([&] { return worker.left(); }));
  }
  EXPECT_EQ(lane_files(front), 0);
  EXPECT_TRUE(front.beats.back().draining);
}

TEST(Worker, ItsMetricsAreThoseThatTheDocumentationPromises) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()}, 2);
  std::ifstream file(std::string(TALLYMILL_SOURCE_DIR) + "/docs/metrics.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string> promised;
  for (const auto& [name, metric] : tests::documented_metrics(text))
    if (name.starts_with("tallymill_stage_")) promised.insert(name);
  std::set<std::string> exported;
  for (const auto& family : worker->metrics().families) exported.insert(family.name);
  EXPECT_EQ(exported, promised);
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

// ---- the way to the next hop ----

// An image worker's lane, as the compute worker sees it.
class NextLaneEnd {
 public:
  explicit NextLaneEnd(FakeFront& front)
      : socket_(context_, zmq::socket_type::pull),
        endpoint_("ipc://" + (front.folder() / "w-next-1").string()) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.bind(endpoint_);
  }
  [[nodiscard]] bus::LaneRef ref() const { return {"image", "next", endpoint_}; }
  void close() { socket_.close(); }
  // The next message; waits for ten seconds.
  bus::Envelope receive() {
    socket_.set(zmq::sockopt::rcvtimeo, 10'000);
    bus::Frames frames;
    do {
      frames.emplace_back();
      TM_CHECK(socket_.recv(frames.back()).has_value());
    } while (frames.back().more());
    return bus::Envelope::decode(std::move(frames)).value();
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
  std::string endpoint_;
};

StageKind two_hop_kind() {
  return {.spec = {.name = "two",
                   .route = {"compute", "image"},
                   .help = "Hands on.",
                   .params = {},
                   .inputs_max = 4},
          .handler = [](const Job& job, Context&) -> Result<Output> {
            Output output;
            output.values["from"] = job.carried.values.value("from", 0) + 1;
            output.files.push_back({"plan", "text/plain", "carried bytes"});
            for (const Input& file : job.carried.files)
              output.files.push_back({"got", "text/plain", std::string(file.bytes)});
            return output;
          }};
}

Work two_hop_job(std::int64_t id, const FakeFront& front, const bus::LaneRef& next) {
  Work work = job(id, "two");
  work.route = {{"compute", front.hello().incarnation, {}}, next};
  return work;
}

// Announces the lane and sends jobs of their own until one went over it: lanes and jobs come over
// different sockets, and a job that overtakes the word of its lane is handed back.
void reach(FakeFront& front, const bus::LaneRef& next) {
  front.lanes({next});
  for (Token token{1000, 1, 1};; ++token.job) {
    front.send({two_hop_job(token.job, front, next)});
    const auto heard = [&](const char* what) { return front.event(token, what) != nullptr; };
    TM_CHECK(front.wait([&] { return heard("finished") || heard("back"); }));
    if (heard("finished")) return;
  }
}

TEST(WorkerHandOver, TheNextHopGetsParamsInputsAndWhatThisOneMade) {
  FakeFront front;
  NextLaneEnd next(front);
  RunningWorker worker(front, {two_hop_kind()});
  reach(front, next.ref());
  (void)next.receive();
  front.send({two_hop_job(1, front, next.ref())}, {json::object()}, {"a photo"});
  const bus::Envelope envelope = next.receive();
  ASSERT_EQ(envelope.items().size(), 1U);
  const bus::Item& item = envelope.items()[0];
  const auto work = bus::read<Work>(item).value();
  EXPECT_EQ(work.token, (Token{1, 1, 1}));
  EXPECT_EQ(work.hop, 1);
  EXPECT_EQ(work.from, worker->incarnation());
  EXPECT_EQ(work.number, 2);
  EXPECT_EQ(bus::json_of_msgpack(item.params).value(),
            json({{"params", json::object()}, {"carried", {{"from", 1}}}}));
  ASSERT_EQ(work.inputs.size(), 1U);
  ASSERT_EQ(work.carried.size(), 1U);
  ASSERT_EQ(item.blobs.size(), 2U);
  EXPECT_EQ(item.blobs[static_cast<std::size_t>(work.inputs[0].blob)].to_string(), "a photo");
  EXPECT_EQ(item.blobs[static_cast<std::size_t>(work.carried[0].blob)].to_string(),
            "carried bytes");
  ASSERT_EQ(work.hops.size(), 2U);
  EXPECT_GT(work.hops[0].handed_ns, 0);
  EXPECT_EQ(work.hops[1].sent_ns, work.hops[0].handed_ns);
  EXPECT_EQ(work.hops[1].stage, "image");
  ASSERT_TRUE(front.wait([&] { return front.event({1, 1, 1}, "finished") != nullptr; }));
  const std::size_t beats = front.beats.size();
  ASSERT_TRUE(front.wait([&] { return front.beats.size() > beats + 1; }));
  EXPECT_EQ(front.beats.back().held, json::array());  // another worker lists it now
}

TEST(WorkerHandOver, TwoRealWorkersMakeOneJobsTwoHops) {
  FakeFront front;
  RunningWorker image(front, {two_hop_kind()}, 1, "image");
  const std::string endpoint = front.hello().endpoint;
  const std::string image_worker = front.hello().incarnation;
  RunningWorker compute(front, {two_hop_kind()});
  const bus::LaneRef next{"image", image_worker, endpoint};
  reach(front, next);
  std::vector<Work> works;
  for (int i = 1; i <= 100; ++i) works.push_back(two_hop_job(i, front, next));
  front.send(std::move(works));
  ASSERT_TRUE(front.wait([&] { return front.all_done.size() == 101; }));
  const SeenDone& done = *front.done({7, 1, 1});
  EXPECT_EQ(done.outcome, "ok") << done.message;
  EXPECT_EQ(done.worker, image_worker);
  EXPECT_EQ(done.values, json({{"from", 2}}));
  ASSERT_EQ(done.files.size(), 2U);
  EXPECT_EQ(done.files[1].bytes, "carried bytes");
  ASSERT_EQ(done.hops.size(), 2U);
  std::int64_t before = 0;
  for (const fakes::SeenHop& hop : done.hops)
    for (const std::int64_t at :
         {hop.sent_ns, hop.received_ns, hop.started_ns, hop.finished_ns, hop.handed_ns}) {
      EXPECT_LE(before, at);
      before = at;
    }
}

TEST(WorkerHandOver, AJobForALaneThatIsNotThereGoesBack) {
  FakeFront front;
  NextLaneEnd next(front);
  RunningWorker worker(front, {two_hop_kind()});
  front.send({two_hop_job(1, front, next.ref())});  // never announced
  ASSERT_TRUE(front.wait([&] { return front.event({1, 1, 1}, "back") != nullptr; }));
  EXPECT_EQ(front.event({1, 1, 1}, "back")->reason, "lane_gone");
  EXPECT_EQ(front.done({1, 1, 1}), nullptr);
}

TEST(WorkerHandOver, AJobForALaneThatBrokeGoesBackAndTheLaneIsNotUsedAgain) {
  FakeFront front;
  auto next = std::make_unique<NextLaneEnd>(front);
  const bus::LaneRef ref = next->ref();
  const std::string endpoint(ref.endpoint);
  const bus::LaneRef kept{"image", "next", endpoint};
  RunningWorker worker(front, {two_hop_kind()});
  reach(front, kept);
  (void)next->receive();
  next.reset();
  std::int64_t id = 1;
  ASSERT_TRUE(front.wait([&] {
    front.send({two_hop_job(++id, front, kept)});
    return front.event({id - 1, 1, 1}, "back") != nullptr;
  }));
  const NextLaneEnd successor(front);  // binds the same endpoint
  const std::int64_t last = id + 1;
  front.send({two_hop_job(last, front, kept)});
  ASSERT_TRUE(front.wait([&] { return front.event({last, 1, 1}, "back") != nullptr; }));
}

TEST(WorkerHandOver, AnErrorOfAnEarlierHopEndsTheAttempt) {
  FakeFront front;
  NextLaneEnd next(front);
  StageKind kind = two_hop_kind();
  kind.handler = [](const Job&, Context&) -> Result<Output> { return fail(Errc::busy, "later"); };
  RunningWorker worker(front, {kind});
  front.lanes({next.ref()});
  front.send({two_hop_job(1, front, next.ref())});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->outcome, "error");
  EXPECT_TRUE(front.done({1, 1, 1})->retry);
}

// ---- blobs ----

TEST(WorkerBlobs, LargeInputsAreMappedAndLargeResultsAreStored) {
  FakeFront front;
  front.blobs = (front.folder() / "blobs").string();
  const auto blobs = store::Blobs::open(front.blobs, true).value();
  front.store = blobs->id();
  const std::string photo(100'000, 'p');
  const std::string digest = blobs->put(photo).value();
  RunningWorker worker(front, {echo_kind()});
  Work work = job(1);
  work.inputs = {{"photo", "image/jpeg", digest, 100'000, -1}};
  front.send({work});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  const SeenDone& done = *front.done({1, 1, 1});
  ASSERT_EQ(done.outcome, "ok") << done.message;
  ASSERT_EQ(done.files.size(), 1U);
  EXPECT_EQ(done.files[0].digest, digest);
  EXPECT_EQ(done.files[0].size, 100'000);
  EXPECT_EQ(done.files[0].bytes, "");
}

// The blob store behind a jobs door, for a worker that cannot map it.
class JobsDoor {
 public:
  JobsDoor() { run(); }
  ~JobsDoor() { stop(); }
  JobsDoor(const JobsDoor&) = delete;
  JobsDoor& operator=(const JobsDoor&) = delete;

  [[nodiscard]] const std::string& endpoint() const { return front_desk_.endpoint(); }
  // REQUIRES: its thread has ended.
  void run() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  // Ends its thread; then it may be looked at.
  fakes::FrontDesk& stop() {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
    }
    return front_desk_;
  }
  // REQUIRES: no job is on its way.
  void holds(const std::string& digest, const std::string& bytes) {
    stop();
    front_desk_.blobs[digest] = bytes;
    run();
  }

 private:
  SystemClock clock_;
  bus::Loop loop_{clock_};
  fakes::FrontDesk front_desk_{loop_};
  std::thread thread_;
};

Work with_photo(std::int64_t id, const std::string& digest, std::int64_t size) {
  Work work = job(id);
  work.inputs = {{"photo", "image/jpeg", digest, size, -1}};
  return work;
}

TEST(WorkerBlobs, AResultWhoseSyncFailsIsNoResultAndItsJobMayRunAgain) {
  FakeFront front;
  front.blobs = (front.folder() / "blobs").string();
  const auto blobs = store::Blobs::open(front.blobs, true).value();
  front.store = blobs->id();
  RunningWorker worker(front, {synthetic_kind("compute")});
  const json large{{"bytes_out", 100'000}};
  {
    const fakes::FailingSync disk(blobs->folder() / "tmp" / "");
    front.send({job(1, "synthetic")}, {large});
    ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  }
  const SeenDone& failed = *front.done({1, 1, 1});
  EXPECT_EQ(failed.code, "E_DISK") << failed.message;
  EXPECT_TRUE(failed.retry);
  EXPECT_TRUE(failed.files.empty());
  EXPECT_TRUE(std::filesystem::is_empty(blobs->folder() / "tmp"));
  front.send({job(2, "synthetic")}, {large});
  ASSERT_TRUE(front.wait([&] { return front.done({2, 1, 1}) != nullptr; }));
  const SeenDone& stored = *front.done({2, 1, 1});
  ASSERT_EQ(stored.outcome, "ok") << stored.message;
  EXPECT_TRUE(blobs->verify(stored.files.at(0).digest));
}

TEST(WorkerBlobs, FromAnotherHostTheyAreFetchedOnceAndResultsArePut) {
  FakeFront front;
  JobsDoor door;
  const std::string photo(2'500'000, 'p');
  const std::string digest = sha256_hex(photo);
  door.holds(digest, photo);
  // A folder of that name is here too, but it is another store.
  front.blobs = (front.folder() / "blobs").string();
  (void)store::Blobs::open(front.blobs, true).value();
  front.store = "another";
  front.jobs = door.endpoint();
  RunningWorker worker(front, {echo_kind()});
  // What the job says of the size is its client's word and counts for nothing.
  front.send({with_photo(1, digest, 5)});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  front.send({with_photo(2, digest, 2'500'000)});
  ASSERT_TRUE(front.wait([&] { return front.done({2, 1, 1}) != nullptr; }));
  const SeenDone& first = *front.done({1, 1, 1});
  ASSERT_EQ(first.outcome, "ok") << first.message;
  EXPECT_EQ(first.files.at(0).digest, digest);
  const auto names = [](const SeenDone& done) {
    std::vector<std::string> found;
    for (const auto& span : done.hops.at(0).spans) {
      found.push_back(span.name);
      EXPECT_LE(done.hops[0].started_ns, span.begin_ns);
      EXPECT_LE(span.end_ns, done.hops[0].finished_ns);
    }
    return found;
  };
  EXPECT_EQ(names(first), (std::vector<std::string>{"fetch", "outer", "inner", "put"}));
  EXPECT_EQ(names(*front.done({2, 1, 1})), (std::vector<std::string>{"outer", "inner", "put"}));
  auto& desk = door.stop();
  EXPECT_EQ(desk.asked[bus::Verb::get], 3);
  EXPECT_EQ(desk.names, std::set<std::string>{"stage:compute"});
}

TEST(WorkerBlobs, FromAnotherHostAMissingOrSpoiltOneEndsItsJobByName) {
  FakeFront front;
  JobsDoor door;
  const std::string spoilt = sha256_hex("a photograph");
  door.holds(spoilt, "another photograph");
  front.store = "another";
  front.jobs = door.endpoint();
  RunningWorker worker(front, {echo_kind()});
  front.send({with_photo(1, sha256_hex("none"), 4), with_photo(2, spoilt, 12)});
  ASSERT_TRUE(front.wait([&] { return front.all_done.size() >= 2; }));
  EXPECT_EQ(front.done({1, 1, 1})->code, "E_NOT_FOUND");
  EXPECT_EQ(front.done({2, 1, 1})->code, "E_CORRUPT");
  EXPECT_FALSE(front.done({2, 1, 1})->retry);
}

TEST(WorkerBlobs, AFrontThatIsAwayIsWaitedForWithoutAStall) {
  FakeFront front;
  JobsDoor door;
  const std::string photo(1'500'000, 'p');
  const std::string digest = sha256_hex(photo);
  door.holds(digest, photo);
  door.stop().stop();
  front.store = "another";
  front.jobs = door.endpoint();
  RunningWorker worker(front, {echo_kind()});
  Work work = with_photo(1, digest, 1'500'000);
  work.stall_ms = 200;
  front.send({work});
  ASSERT_TRUE(front.wait([&] { return front.listed({1, 1, 1}, 1); }));
  // For three times as long as a handler may be silent.
  const std::int64_t away_until = fakes::monotonic_ns() + 600'000'000;
  ASSERT_TRUE(front.wait([&] { return fakes::monotonic_ns() > away_until; }));
  EXPECT_EQ(front.done({1, 1, 1}), nullptr);
  door.stop().start();
  door.run();
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->outcome, "ok") << front.done({1, 1, 1})->message;
}

TEST(WorkerBlobs, AFetchThatDragsOnEndsWhenItsJobIsCancelled) {
  FakeFront front;
  front.store = "another";
  front.jobs = "tcp://127.0.0.1:1";  // nobody is there
  RunningWorker worker(front, {echo_kind()});
  front.send({with_photo(1, sha256_hex("x"), 1)});
  ASSERT_TRUE(front.wait([&] { return front.listed({1, 1, 1}, 1); }));
  front.tell({1, 1, 1}, "cancel");
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->outcome, "stopped");
  EXPECT_EQ(front.done({1, 1, 1})->code, "E_CANCELLED");
}

TEST(WorkerBlobs, WithoutTheStoresFolderOrADoorAJobThatNeedsItIsToldSoAndMayRetryElsewhere) {
  FakeFront front;
  RunningWorker worker(front, {echo_kind()});
  Work work = job(1);
  const std::string digest = sha256_hex("x");
  work.inputs = {{"photo", "image/jpeg", digest, 1, -1}};
  front.send({work});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->code, "E_AWAY");
  EXPECT_TRUE(front.done({1, 1, 1})->retry);
}

// ---- synthetic, and the ends of a process ----

TEST(WorkerSynthetic, ItsServiceTimeSizeAndFateAreAsTold) {
  FakeFront front;
  RunningWorker worker(front, {synthetic_kind("compute")});
  front.send({job(1, "synthetic"), job(2, "synthetic"), job(3, "synthetic"), job(4, "synthetic"),
              job(5, "synthetic"), job(6, "synthetic")},
             {{{"service_us", 3000}},
              {{"service_us", 2000}, {"mode", "spin"}},
              {{"bytes_out", 10}},
              {{"outcome", "fail"}},
              {{"fail_first_n", 1}},
              {{"colour", 1}}});
  ASSERT_TRUE(front.wait([&] { return front.all_done.size() == 6; }));
  const auto service = [&](std::int64_t id) {
    const fakes::SeenHop& hop = front.done({id, 1, 1})->hops[0];
    return hop.finished_ns - hop.started_ns;
  };
  EXPECT_GE(service(1), 3'000'000);
  EXPECT_GE(service(2), 2'000'000);
  EXPECT_EQ(front.done({3, 1, 1})->files.at(0).bytes.size(), 10U);
  EXPECT_EQ(front.done({4, 1, 1})->code, "E_STAGE");
  EXPECT_FALSE(front.done({4, 1, 1})->retry);
  EXPECT_TRUE(front.done({5, 1, 1})->retry);
  EXPECT_EQ(front.done({6, 1, 1})->code, "E_PARAMS");
  EXPECT_EQ(front.done({6, 1, 1})->field, "/colour");
}

// In a process of its own: the watch ends the process.
[[noreturn]] void run_a_job_that_stalls() {
  FakeFront front;
  RunningWorker worker(front, {synthetic_kind("compute")});
  Work work = job(1, "synthetic");
  work.stall_ms = 50;
  front.send({work}, {{{"outcome", "hang"}}});
  (void)front.wait([] { return false; });
  std::_Exit(0);
}

TEST(WorkerStallDeathTest, AHandlerWithoutASignOfLifeEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_a_job_that_stalls(), testing::ExitedWithCode(stalled_exit),
              "gave no sign of life");
}

TEST(Worker, ALongJobThatSaysHowFarItIsDoesNotStall) {
  FakeFront front;
  RunningWorker worker(front, {synthetic_kind("compute")});
  Work work = job(1, "synthetic");
  work.stall_ms = 250;
  front.send({work}, {{{"service_us", 700'000}, {"progress_every_ms", 10}}});
  ASSERT_TRUE(front.wait([&] { return front.done({1, 1, 1}) != nullptr; }));
  EXPECT_EQ(front.done({1, 1, 1})->outcome, "ok");
}

}  // namespace
}  // namespace tallymill::stages
