// Lanes and the sockets under them. Goal: the sender knows at once that a lane broke, a broken lane
// stays so, nothing stale reaches a successor, and doors that must not open do not. Method: real
// sockets over ipc and tcp; the test waits on the loop for conditions, never for time.
#include "bus/lane.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/limits.h"
#include "bus/frames.h"
#include "bus/loop.h"

namespace tallymill::bus {
namespace {

class LaneTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "lane-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    loop_.every(std::chrono::seconds(30), [] { FAIL() << "nothing came for 30 s"; });
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string base() const {
    return std::string(GetParam()) == "ipc" ? "ipc://" + folder_ : "tcp://127.0.0.1";
  }
  Result<zmq::socket_t> bind_lane(std::int32_t number = 1) {
    return open_socket(context_, Role::lane_in, lane_endpoint(base(), "w1", number));
  }
  std::unique_ptr<Lane> connect(const std::string& endpoint, std::int32_t number = 1) {
    auto lane = Lane::connect(context_, {.worker = "w1", .number = number, .endpoint = endpoint});
    EXPECT_TRUE(lane) << lane.error().message;
    Lane& l = **lane;
    loop_.watch(l.events(), [&l] { l.update(); });
    return std::move(*lane);
  }
  void until(const std::function<bool()>& condition) {
    while (!condition() && !HasFailure()) loop_.turn(Duration::max());
  }
  Frames one_job(Lane& lane) {
    Work work;
    work.number = lane.take_number();
    packer_.add(work);
    return packer_.take();
  }

  zmq::context_t context_;
  const SystemClock clock_;
  Loop loop_{clock_};
  Packer packer_;
  std::string folder_;
};

TEST_P(LaneTest, CarriesEveryNumberInOrderToAnOpenWorker) {
  auto worker = bind_lane();
  ASSERT_TRUE(worker) << worker.error().message;
  const auto lane = connect(bound_endpoint(*worker));
  until([&] { return lane->state() == Lane::State::open; });
  constexpr std::int64_t jobs = 5'000;
  std::int64_t got = 0;
  Frames frames;
  loop_.watch(*worker, [&] {
    while (receive(*worker, frames)) {
      const auto envelope = Envelope::decode(std::move(frames));
      ASSERT_TRUE(envelope);
      ASSERT_EQ(read<Work>(envelope->items()[0])->number, ++got);
    }
  });
  for (std::int64_t i = 0; i < jobs; ++i) ASSERT_TRUE(lane->send(one_job(*lane)));
  until([&] { return got == jobs; });
  EXPECT_EQ(lane->numbered(), jobs);
  loop_.unwatch(lane->events());
}

TEST_P(LaneTest, TakesAsManyJobsAsAWorkerMayHoldWithoutAReader) {
  auto worker = bind_lane();
  ASSERT_TRUE(worker);
  const auto lane = connect(bound_endpoint(*worker));
  until([&] { return lane->state() == Lane::State::open; });
  for (std::int32_t i = 0; i < limits::max_places_per_worker.jobs.raw(); ++i)
    ASSERT_TRUE(lane->send(one_job(*lane))) << i;
  loop_.unwatch(lane->events());
}

TEST_P(LaneTest, BreaksWhenItsWorkerGoesAndASuccessorGetsNothingOfIt) {
  auto worker = bind_lane();
  ASSERT_TRUE(worker);
  const std::string endpoint = bound_endpoint(*worker);
  auto lane = connect(endpoint);
  until([&] { return lane->state() == Lane::State::open; });
  ASSERT_TRUE(lane->send(one_job(*lane)));
  worker->close();
  until([&] { return lane->state() == Lane::State::broken; });

  // Somebody else at the same address: the old lane does not come to it.
  Result<zmq::socket_t> successor = std::unexpected(Error{Errc::busy, ""});
  until([&] {
    successor = open_socket(context_, Role::lane_in, endpoint);
    return successor.has_value();
  });
  loop_.unwatch(lane->events());
  lane.reset();
  const auto fresh = connect(endpoint, 2);
  until([&] { return fresh->state() == Lane::State::open; });
  Work marker;
  marker.number = 1'000;
  packer_.add(marker);
  ASSERT_TRUE(fresh->send(packer_.take()));
  Frames frames;
  std::int64_t first = 0;
  loop_.watch(*successor, [&] {
    if (first == 0 && receive(*successor, frames))
      first = read<Work>(Envelope::decode(std::move(frames))->items()[0])->number;
  });
  until([&] { return first != 0; });
  EXPECT_EQ(first, 1'000);
  loop_.unwatch(fresh->events());
}

TEST_P(LaneTest, BreaksWhenNobodyIsThereToConnectTo) {
  std::string endpoint;
  {
    auto worker = bind_lane();
    ASSERT_TRUE(worker);
    endpoint = bound_endpoint(*worker);
  }
  const auto lane = connect(endpoint);
  until([&] { return lane->state() == Lane::State::broken; });
  loop_.unwatch(lane->events());
}

INSTANTIATE_TEST_SUITE_P(Over, LaneTest, ::testing::Values("ipc", "tcp"),
                         [](const auto& which) { return std::string(which.param); });

// A limit on open files for the time of a test.
class OpenFiles {
 public:
  explicit OpenFiles(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{std::min(most, before_.rlim_max), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~OpenFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;

 private:
  rlimit before_{};
};

// Lanes to nobody until there is no more room: the error.
Error use_up(zmq::context_t& context, std::vector<std::unique_ptr<Lane>>& lanes) {
  for (;;) {
    auto lane = Lane::connect(context, {.worker = "w", .endpoint = "tcp://127.0.0.1:1"});
    if (!lane) return std::move(lane).error();
    lanes.push_back(std::move(*lane));
  }
}

TEST(Sockets, WithoutOneMoreALaneIsRefusedInWords) {
  for (int more = 0; more < 4; ++more) {  // a lane needs three
    zmq::context_t context;
    context.set(zmq::ctxopt::max_sockets, 30 + more);
    std::vector<std::unique_ptr<Lane>> lanes;
    const Error error = use_up(context, lanes);
    EXPECT_EQ(lanes.size(), static_cast<std::size_t>(30 + more) / 3);
    EXPECT_EQ(error.code, Errc::away);
    EXPECT_NE(error.message.find("ulimit -n"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("fewer threads"), std::string::npos) << error.message;
    lanes.pop_back();
    // A socket is given back by libzmq's own thread.
    const auto given_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!Lane::connect(context, {.worker = "w", .endpoint = "tcp://127.0.0.1:1"}))
      ASSERT_LT(std::chrono::steady_clock::now(), given_up);
  }
}

// The sanitizer opens a pipe to look at an exception, and calls it none when there is no
// descriptor.
#ifndef __SANITIZE_ADDRESS__
TEST(Sockets, WithoutADescriptorALaneIsRefusedInWords) {
  for (int more = 0; more < 4; ++more) {
    zmq::context_t context;
    zmq::socket_t first(context, zmq::socket_type::pair);  // starts the context's threads
    const OpenFiles few(static_cast<rlim_t>(100 + more));
    std::vector<std::unique_ptr<Lane>> lanes;
    const Error error = use_up(context, lanes);
    EXPECT_EQ(error.code, Errc::away);
    EXPECT_NE(error.message.find(std::to_string(100 + more)), std::string::npos) << error.message;
    lanes.clear();
  }
}
#endif

TEST(Sockets, AContextHasHalfAsManyAsFilesMayBeOpenAndMoreThanLibzmqsOwn) {
  {
    const OpenFiles few(200);
    EXPECT_EQ(make_context().get(zmq::ctxopt::max_sockets), 100);
  }
  const OpenFiles start(1024);
  rlimit allowed{};
  ::getrlimit(RLIMIT_NOFILE, &allowed);
  allow_open_files();
  const auto most = std::min<rlim_t>(allowed.rlim_max, limits::open_files);
  ::getrlimit(RLIMIT_NOFILE, &allowed);
  EXPECT_EQ(allowed.rlim_cur, most);
  EXPECT_EQ(static_cast<rlim_t>(make_context().get(zmq::ctxopt::max_sockets)),
            std::min<rlim_t>(most / 2, limits::sockets));
}

TEST(Endpoints, AnAddressInUseIsNamedWithItsHolder) {
  zmq::context_t context;
  const std::string path = "ipc://" +
                           (std::filesystem::temp_directory_path() / "endpoints-").string() +
                           std::to_string(::getpid());
  for (const std::string& wish : {std::string("tcp://127.0.0.1:*"), path}) {
    auto first = open_socket(context, Role::front_jobs, wish);
    ASSERT_TRUE(first) << first.error().message;
    const auto second = open_socket(context, Role::front_jobs, bound_endpoint(*first));
    ASSERT_FALSE(second) << wish;
    EXPECT_EQ(second.error().code, Errc::busy);
    EXPECT_NE(second.error().message.find(bound_endpoint(*first)), std::string::npos);
    EXPECT_NE(second.error().message.find("process " + std::to_string(::getpid())),
              std::string::npos)
        << second.error().message;
  }
}

TEST(Endpoints, ASocketFileLeftBehindIsNoObstacle) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "left-").string() + std::to_string(::getpid());
  std::ofstream(path) << "";
  zmq::context_t context;
  EXPECT_TRUE(open_socket(context, Role::front_jobs, "ipc://" + path));
  std::filesystem::remove(path);
}

TEST(Endpoints, DoorsThatOtherHostsCanReachStayShutUnlessSaidInWords) {
  zmq::context_t context;
  for (const Role role : {Role::front_jobs, Role::front_results, Role::front_control, Role::lane_in,
                          Role::lane_out, Role::worker_control}) {
    const auto refused = open_socket(context, role, "tcp://0.0.0.0:5555");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::denied);
    EXPECT_NE(refused.error().message.find("--insecure"), std::string::npos);
  }
  for (const char* garbage : {"", "tcp://", "tcp://127.0.0.1", "udp://127.0.0.1:1", "ipc://"}) {
    const auto refused = open_socket(context, Role::front_jobs, garbage);
    ASSERT_FALSE(refused) << garbage;
    EXPECT_EQ(refused.error().code, Errc::bad_params) << garbage;
  }
  EXPECT_TRUE(open_socket(context, Role::lane_in, "tcp://0.0.0.0:*", {.insecure = true}));
}

}  // namespace
}  // namespace tallymill::bus
