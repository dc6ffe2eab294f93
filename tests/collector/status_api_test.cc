// Goal: what the API tells of the collector is in the form that Prometheus has. Method: a real
// server, a real store in a temporary folder, raw requests.
#include "collector/status_api.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "collector/rules.h"
#include "tests/http/raw_client.h"

namespace tallymill::collector {
namespace {

using nlohmann::json;

class OneRule final : public RuleSource {
 public:
  std::string groups(Kind kind) const override { return kind == Kind::alerting ? "[1]" : "[]"; }
  std::string alerts() const override { return "[2]"; }
};

class StatusApiTest : public ::testing::Test {
 protected:
  StatusApiTest() {
    std::string path = ::testing::TempDir() + "tallymill-status-XXXXXX";
    folder_ = ::mkdtemp(path.data());
    store_ = *Store::open(folder_, {.background = false});
  }
  ~StatusApiTest() override {
    if (server_) server_->stop();
    if (api_) api_->stop();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void serve(const RuleSource* rules = nullptr) {
    api_ = std::make_unique<Api>(*store_);
    status_ = std::make_unique<StatusApi>(
        *api_, StatusSources{.store = *store_,
                             .metadata = metadata_,
                             .rules = rules,
                             .flags = {{"http", "127.0.0.1:1"}, {"odd", "\"x\""}},
                             .retention = std::chrono::hours(24 * 35)});
    http::Router router;
    status_->add_routes(router);
    server_ = std::make_unique<http::Server>(std::move(router), http::ServerOptions{});
    ASSERT_TRUE(server_->open());
    api_->start(*server_);
    server_->start();
  }
  std::pair<int, json> ask(const std::string& line) {
    http::RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    const auto reply = client.ask(line);
    return {reply.status, json::parse(reply.body, nullptr, false)};
  }
  json data(const std::string& target) {
    const auto [status, body] = ask("GET " + target);
    EXPECT_EQ(status, 200) << body;
    EXPECT_EQ(body["status"], "success");
    return body["data"];
  }

  std::string folder_;
  MetadataStore metadata_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<StatusApi> status_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(StatusApiTest, MetadataIsListedWithinALimit) {
  metadata_.add({.name = "a", .type = MetricType::gauge_histogram, .help = "\"A\""});
  metadata_.add({.name = "b", .unit = "seconds"});
  serve();
  EXPECT_EQ(data("/api/v1/metadata"),
            json::parse(R"({"a": [{"type": "gaugehistogram", "help": "\"A\"", "unit": ""}],
                            "b": [{"type": "unknown", "help": "", "unit": "seconds"}]})"));
  EXPECT_EQ(data("/api/v1/metadata?limit=1").size(), 1u);
  EXPECT_EQ(data("/api/v1/metadata?limit=0"), json::object());
  EXPECT_EQ(data("/api/v1/metadata?limit=-1").size(), 2u);
  EXPECT_EQ(data("/api/v1/metadata?metric=b&limit=0"), json::object());
  EXPECT_EQ(data("/api/v1/metadata?metric=b").size(), 1u);
  EXPECT_EQ(data("/api/v1/metadata?metric=c"), json::object());
  const auto [status, body] = ask("GET /api/v1/metadata?limit=x");
  EXPECT_EQ(status, 400);
  EXPECT_EQ(body["error"], "limit must be a number");
}

TEST_F(StatusApiTest, WithoutTargetsAndRulesTheirListsAreEmpty) {
  serve();
  EXPECT_EQ(data("/api/v1/targets"), json::parse(R"({"activeTargets":[],"droppedTargets":[]})"));
  EXPECT_EQ(data("/api/v1/scrape_pools"), json::parse(R"({"scrapePools":[]})"));
  EXPECT_EQ(data("/api/v1/rules"), json::parse(R"({"groups":[]})"));
  EXPECT_EQ(data("/api/v1/alerts"), json::parse(R"({"alerts":[]})"));
  EXPECT_EQ(data("/api/v1/status/config"), json::parse(R"({"yaml":""})"));
  EXPECT_EQ(ask("GET /api/v1/rules?type=x").second["error"],
            "invalid parameter \"type\": not supported value \"x\"");
}

TEST_F(StatusApiTest, RulesAreThoseOfWhoHasThem) {
  const OneRule rules;
  serve(&rules);
  EXPECT_EQ(data("/api/v1/rules?type=alert"), json::parse(R"({"groups":[1]})"));
  EXPECT_EQ(data("/api/v1/rules?type=record"), json::parse(R"({"groups":[]})"));
  EXPECT_EQ(data("/api/v1/alerts"), json::parse(R"({"alerts":[2]})"));
}

TEST_F(StatusApiTest, ItSaysWhatItIsAndHowItWasStarted) {
  serve();
  EXPECT_EQ(data("/api/v1/status/buildinfo")["version"], "2.42.0");
  EXPECT_EQ(data("/api/v1/status/flags"), json::parse(R"({"http":"127.0.0.1:1","odd":"\"x\""})"));
  const json runtime = data("/api/v1/status/runtimeinfo");
  EXPECT_EQ(runtime["storageRetention"], "35d");
  EXPECT_EQ(runtime["reloadConfigSuccess"], true);
}

TEST_F(StatusApiTest, TheStoreIsToldByWhatFillsIt) {
  serve();
  EXPECT_EQ(data("/api/v1/status/tsdb")["headStats"]["minTime"], 9223372036854775807);
  const auto id = store_->series(Labels::of({{"__name__", "m"}, {"i", "1"}}));
  const Point point{*id, 5, 1};
  ASSERT_TRUE(store_->append({&point, 1}));
  const json tsdb = data("/api/v1/status/tsdb");
  EXPECT_EQ(tsdb["headStats"]["numSeries"], 1);
  EXPECT_EQ(tsdb["headStats"]["maxTime"], 5);
  EXPECT_EQ(tsdb["seriesCountByLabelValuePair"],
            json::parse(R"([{"name":"__name__=m","value":1},{"name":"i=1","value":1}])"));
}

TEST_F(StatusApiTest, ASnapshotIsMadeWhereItSays) {
  serve();
  const auto [status, body] = ask("POST /api/v1/admin/tsdb/snapshot");
  EXPECT_EQ(status, 200) << body;
  const std::string name = body["data"]["name"];
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/snapshots/" + name + "/log/series")) << name;
}

}  // namespace
}  // namespace tallymill::collector
