// Waits for a job's end. Goal: each is answered once, whatever comes first: the end, its time, its
// client's going, the server's. Method: a real server and line, and a ROUTER in the front's place;
// answers without a connection behind them.
#include "front/gateway/waits.h"

#include <nlohmann/json.hpp>

#include "http/handles.h"
#include "tests/front/gateway/front_side.h"

namespace tallymill::gateway {
namespace {

constexpr std::chrono::seconds long_time{60};

class WaitsTest : public FrontSide {
 protected:
  WaitsTest() { server_.start(); }
  ~WaitsTest() override {
    // Who still waits is held by its answer: where there is a connection, that one lets go.
    on_thread([&] {
      waits_.give_up();
      return true;
    });
    server_.stop();
  }

  // Waits for the job's end; where the answer will be.
  std::shared_ptr<http::Exchange> wait(std::int64_t job, std::chrono::seconds time = long_time) {
    auto exchange = std::make_shared<http::Exchange>(probe_, nullptr);
    on_thread([&] {
      http::Response otherwise{.status = 202, .body = {}};
      otherwise.headers.add("Location", "/v1/jobs/" + std::to_string(job));
      waits_.add(job, time, std::move(otherwise), http::Answer(exchange));
      return true;
    });
    return exchange;
  }
  int status(const std::shared_ptr<http::Exchange>& exchange) {
    return on_thread([&] { return exchange->response ? exchange->response->status : 0; });
  }
  std::string field(const std::shared_ptr<http::Exchange>& exchange, const char* name) {
    return on_thread([&] { return std::string(exchange->response->headers.get(name)); });
  }
  std::size_t size() {
    return on_thread([&] { return waits_.size(); });
  }
  void live(std::int64_t request) { page(request, {{"job", 7}, {"state", "in_flight"}}); }
  void ended(std::int64_t request) {
    page(request, {{"job", 7}, {"state", "done"}, {"end_unix_ns", 5}});
  }

  http::Probe probe_{nullptr};
  Waits waits_{*line_, server_};
};

TEST_F(WaitsTest, AllOfAJobAreAnsweredAtItsEndAndNoOthers) {
  const auto first = wait(7);
  live(next_of(bus::Verb::status));
  const auto second = wait(7);
  live(next_of(bus::Verb::status));
  const auto other = wait(8);
  live(next_of(bus::Verb::status));
  on_thread([&] { return waits_.on_end(7), true; });
  ended(next_of(bus::Verb::status));
  becomes([&] { return waits_.size() == 1; });
  for (const auto& one : {first, second}) {
    EXPECT_EQ(status(one), 200);
    EXPECT_EQ(field(one, "Location"), "/v1/jobs/7");
    EXPECT_EQ(field(one, "Preference-Applied"), "wait=60");
  }
  EXPECT_EQ(status(other), 0);
}

TEST_F(WaitsTest, AnEndBeforeTheWaitIsFound) {
  const auto late = wait(7);
  ended(next_of(bus::Verb::status));
  becomes([&] { return waits_.size() == 0; });
  EXPECT_EQ(status(late), 200);
}

TEST_F(WaitsTest, WhereEndsMayHaveBeenMissedEachJobIsAskedForOnce) {
  const auto seven = wait(7);
  live(next_of(bus::Verb::status));
  const auto again = wait(7);
  live(next_of(bus::Verb::status));
  on_thread([&] { return waits_.on_end(0), true; });
  ended(next_of(bus::Verb::status));
  becomes([&] { return waits_.size() == 0; });
  EXPECT_EQ(status(seven) + status(again), 400);
}

TEST_F(WaitsTest, ABusyFrontIsAskedAgain) {
  const auto waiting = wait(7);
  answer(bus::Failure{.request = next_of(bus::Verb::status), .code = "E_BUSY", .message = "busy"});
  ended(next_of(bus::Verb::status));
  becomes([&] { return waits_.size() == 0; });
  EXPECT_EQ(status(waiting), 200);
}

TEST_F(WaitsTest, WhoseTimeIsUpIsAnsweredWithWhatThereWas) {
  const auto waiting = wait(7, std::chrono::seconds(0));
  becomes([&] { return waits_.size() == 0; });
  EXPECT_EQ(status(waiting), 202);
  EXPECT_EQ(field(waiting, "Preference-Applied"), "wait=0");
}

TEST_F(WaitsTest, WhoLeavesIsAnsweredAtOnceAndDidNotWait) {
  const auto waiting = wait(7);
  on_thread([&] { return waiting->half_close(), true; });
  EXPECT_EQ(status(waiting), 202);
  EXPECT_EQ(field(waiting, "Preference-Applied"), "");
  const auto gone = wait(7);
  on_thread([&] { return gone->lose(), true; });
  EXPECT_EQ(size(), 0U);
}

TEST_F(WaitsTest, AfterTheyAreGivenUpNobodyWaits) {
  const auto waiting = wait(7);
  on_thread([&] { return waits_.give_up(), true; });
  const auto late = wait(8);
  EXPECT_EQ(status(waiting), 202);
  EXPECT_EQ(status(late), 202);
  EXPECT_EQ(size(), 0U);
}

TEST_F(WaitsTest, TheEndOfTheLineAnswersItsQuestions) {
  const auto waiting = wait(7);
  next_of(bus::Verb::status);
  on_thread([&] { return line_.reset(), true; });
  EXPECT_EQ(size(), 1U);
  EXPECT_EQ(status(waiting), 0);
  on_thread([&] { return waits_.give_up(), true; });
  EXPECT_EQ(status(waiting), 202);
}

}  // namespace
}  // namespace tallymill::gateway
