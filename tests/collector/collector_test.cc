// The collector as a whole. Goal: before it is ready it says so, and refuses for now what it cannot
// answer; once it is, all is answered. Method: a Collector on a port and a folder of its own.
#include "collector/collector.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/http/raw_client.h"

namespace tallymill::collector {
namespace {

using http::RawClient;
using nlohmann::json;

class CollectorTest : public ::testing::Test {
 protected:
  CollectorTest() {
    std::string name = (std::filesystem::temp_directory_path() / "collector-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~CollectorTest() override { std::filesystem::remove_all(folder_); }
  CollectorOptions options(std::string front = {}) const {
    CollectorOptions options;
    options.http.listen = "127.0.0.1:0";
    options.folder = folder_;
    options.front_http = std::move(front);
    return options;
  }
  static http::WireReply ask(const Collector& collector, std::string_view line,
                             std::string_view fields = "", std::string_view body = "") {
    RawClient client(collector.port());
    EXPECT_TRUE(client.connect());
    return client.ask(line, fields, body);
  }
  std::filesystem::path folder_;
};

TEST_F(CollectorTest, UntilTheStoreIsReadItLivesAndIsNotReady) {
  Collector collector(options());
  ASSERT_TRUE(collector.open());
  EXPECT_EQ(ask(collector, "GET /healthz").status, 200);
  EXPECT_EQ(ask(collector, "GET /-/healthy").status, 200);
  EXPECT_EQ(ask(collector, "GET /metrics").status, 200);
  EXPECT_EQ(ask(collector, "GET /-/ready").status, 503);
  const auto ready = ask(collector, "GET /readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(json::parse(ready.body)["checks"]["store"]["state"], "down");
  const auto query = ask(collector, "GET /api/v1/query?query=up");
  EXPECT_EQ(query.status, 503);
  EXPECT_EQ(json::parse(query.body)["errorType"], "unavailable");
  EXPECT_EQ(query.header("Retry-After"), "1");
  // Whatever comes with it: a sender drops what is refused by 4xx.
  EXPECT_EQ(ask(collector, "POST /api/v1/write",
                "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
                "Content-Length: 20000000\r\n",
                "some of it")
                .status,
            503);
  ASSERT_TRUE(collector.start());
  EXPECT_EQ(ask(collector, "GET /-/ready").status, 200);
  EXPECT_EQ(json::parse(ask(collector, "GET /readyz").body)["state"], "ok");
  EXPECT_EQ(ask(collector, "GET /api/v1/query?query=up").status, 200);
  EXPECT_EQ(ask(collector, "GET /nothing").status, 404);
  EXPECT_EQ(ask(collector, "GET /v1/jobs").status, 404) << "nobody was named as the front";
}

// An alert that fired before the start and whose rule is gone is over before the doors open.
TEST_F(CollectorTest, WhatIsToldOfAlertsBeforeTheDoorsOpenIsPassedOver) {
  Collector collector(options());
  ASSERT_TRUE(collector.open());
  ASSERT_TRUE(collector.load());
  collector.tell_alert(1, "{}");
  EXPECT_EQ(ask(collector, "GET /-/ready").status, 503) << "its thread came past it";
  ASSERT_TRUE(collector.start());
  collector.tell_alert(2, "{}");
  EXPECT_EQ(ask(collector, "GET /-/ready").status, 200);
}

TEST_F(CollectorTest, AFrontThatIsAwayMakesItDegradedNotDown) {
  Collector collector(options("127.0.0.1:1"));
  ASSERT_TRUE(collector.open());
  EXPECT_EQ(ask(collector, "GET /v1/jobs").status, 502) << "what is the front's needs no store";
  ASSERT_TRUE(collector.start());
  const auto ready = ask(collector, "GET /readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(json::parse(ready.body)["state"], "degraded");
  EXPECT_EQ(json::parse(ready.body)["checks"]["front"]["state"], "degraded");
  EXPECT_EQ(json::parse(ask(collector, "GET /api/v1/waterfalls").body)["waterfalls"],
            json::array());
  EXPECT_EQ(ask(collector, "GET /api/v1/waterfalls/7").status, 404);
  EXPECT_EQ(ask(collector, "GET /api/v1/waterfalls?after=x").status, 422);
}

TEST_F(CollectorTest, DamagedWaterfallsArePutAsideAndTheRestStarts) {
  std::ofstream(folder_ / "waterfalls.db") << std::string(8192, 'x');
  Collector collector(options("127.0.0.1:1"));
  ASSERT_TRUE(collector.open());
  const Status started = collector.start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "waterfalls.db.damaged"));
  EXPECT_EQ(ask(collector, "GET /api/v1/waterfalls").status, 200);
}

TEST_F(CollectorTest, WhatIsNoFrontIsSaidAtOnce) {
  Collector collector(options("ws://127.0.0.1:1"));
  const Status opened = collector.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::bad_params);
}

}  // namespace
}  // namespace tallymill::collector
