// Goal: a backtest is asked for as JSON or as a rule file with the same answer; one runs at a time
// and for as long as it may; what is wrong begins none. Method: a real server over samples in
// memory, which can be held up; raw requests.
#include "alerting/backtest_api.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>

#include "alerting/memory_store.h"
#include "tests/alerting/rules_of.h"
#include "tests/alerting/sink_fixture.h"
#include "tests/http/raw_client.h"

namespace tallymill::alerting {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* path = "/api/v1/rules/backtest";
const std::string rules =
    "groups:\n- name: g\n  rules:\n  - {alert: Deep, expr: depth > 5, labels: {severity: page}}\n";

// Samples that nobody gets while it is held.
class HeldStore final : public MemoryStore {
 public:
  Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers,
                                    std::int64_t from_ms, std::int64_t to_ms) const override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !held_; });
    }
    return MemoryStore::select(matchers, from_ms, to_ms);
  }
  void hold(bool whether) {
    const std::lock_guard lock(mutex_);
    held_ = whether;
    changed_.notify_all();
  }

 private:
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  bool held_ = false;
};

class BacktestApiTest : public ::testing::Test {
 protected:
  BacktestApiTest() {
    // Above 5 in every second five minutes of an hour.
    for (std::int64_t minute = 0; minute <= 60; ++minute)
      EXPECT_TRUE(store_.add(labels_of({{"__name__", "depth"}}), minute * 60'000,
                             minute / 5 % 2 == 1 ? 7 : 1));
  }
  ~BacktestApiTest() override {
    store_.hold(false);
    if (server_) server_->stop();
    api_.stop();
  }
  void serve(const BacktestApi::Options& options = {}) {
    backtests_ = std::make_unique<BacktestApi>(store_, options, registry_);
    http::Router router;
    backtests_->add_routes(router, api_);
    server_ = std::make_unique<http::Server>(std::move(router), http::ServerOptions{});
    ASSERT_TRUE(server_->open());
    api_.start(*server_);
    server_->start();
  }
  std::pair<int, json> post(const std::string& target, const std::string& type,
                            const std::string& body) const {
    http::RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    const auto reply = client.ask(
        "POST " + target,
        "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n",
        body);
    return {reply.status, json::parse(reply.body, nullptr, false)};
  }
  std::pair<int, json> post_json(const json& more = json::object()) const {
    json body = {{"rules", {{"rules.yml", rules}}}, {"from", 0}, {"to", 3600}};
    body.update(more);
    return post(path, "application/json", body.dump());
  }
  std::pair<int, json> post_yaml(const std::string& query, const std::string& body = rules) const {
    return post(path + query, "text/yaml", body);
  }
  double metric(const std::string& name) {
    for (const auto& family : registry_.snapshot().families)
      if (family.name == "tallymill_alerting_" + name) return family.samples.at(0).value;
    ADD_FAILURE() << name;
    return -1;
  }

  HeldStore store_;
  metrics::Registry registry_;
  collector::Api api_{store_};
  std::unique_ptr<BacktestApi> backtests_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(BacktestApiTest, JsonAndARuleFileAsItIsHaveTheSameAnswer) {
  serve();
  const auto [status, by_json] = post_json({{"interval", "1m"}});
  ASSERT_EQ(status, 200) << by_json;
  EXPECT_EQ(by_json["data"]["firings"].size(), 6U);
  EXPECT_EQ(by_json["data"]["firings"][0]["labels"]["severity"], "page");
  const auto [other_status, by_yaml] =
      post_yaml("?name=rules.yml&from=0&to=1970-01-01T01:00:00Z&interval=1m");
  ASSERT_EQ(other_status, 200) << by_yaml;
  EXPECT_EQ(by_yaml["data"], by_json["data"]);
  EXPECT_EQ(metric("backtests_total"), 2);
}

TEST_F(BacktestApiTest, TheIntervalIsThatOfGroupsThatSayNone) {
  serve({.interval = 30s});
  const auto evaluations = [](const std::pair<int, json>& answer) {
    return answer.second["data"]["evaluations"].get<int>();
  };
  const int minutes = evaluations(post_yaml("?from=0&to=3600&interval=1m"));
  EXPECT_EQ(evaluations(post_yaml("?from=0&to=3600")), 2 * minutes);
  EXPECT_EQ(evaluations(post_json()), 2 * minutes);
  std::string own = rules;
  own.insert(own.find("  rules:"), "  interval: 5m\n");
  EXPECT_EQ(evaluations(post_yaml("?from=0&to=3600&interval=1m", own)), minutes / 5);
}

TEST_F(BacktestApiTest, WhatIsWrongIsSaidAndBeginsNone) {
  serve();
  const auto said = [](const std::pair<int, json>& answer) {
    EXPECT_EQ(answer.first, 400) << answer.second;
    return answer.second["error"].get<std::string>();
  };
  EXPECT_NE(said(post_yaml("?to=3600")).find("'from' is no time"), std::string::npos);
  EXPECT_NE(said(post_yaml("?from=0&to=soon")).find("'to' is no time"), std::string::npos);
  for (const char* interval : {"soon", "0s", "-1m"})
    EXPECT_NE(said(post_yaml(std::string("?from=0&to=3600&interval=") + interval))
                  .find("'interval' is no length of time"),
              std::string::npos)
        << interval;
  EXPECT_NE(said(post_yaml("?name=own.yml&from=0&to=9", "groups:\n- name: g\n  rulez: []\n"))
                .find("own.yml:3:"),
            std::string::npos);
  EXPECT_NE(said(post_yaml("?from=0&to=9", "groups: [\n")).find("rules:"), std::string::npos);
  said(post(path, "application/json", "{"));
  said(post_json({{"from", "soon"}}));
  EXPECT_EQ(metric("backtests_total"), 0);
  EXPECT_EQ(post_json({{"from", 3600}, {"to", 0}}).first, 422) << "this one is found wrong later";
  EXPECT_EQ(metric("backtest_running"), 0);
}

TEST_F(BacktestApiTest, OneRunsAtATimeAndWhoComesMeanwhileIsToldToComeLater) {
  serve();
  store_.hold(true);
  auto first = std::async(std::launch::async, [this] { return post_json().first; });
  ASSERT_TRUE(eventually([&] { return metric("backtest_running") == 1; }));
  const auto [status, body] = post_json();
  EXPECT_EQ(status, 503) << body;
  EXPECT_NE(body["error"].get<std::string>().find("another backtest is running"),
            std::string::npos);
  EXPECT_EQ(metric("refused_backtests_total"), 1);
  store_.hold(false);
  EXPECT_EQ(first.get(), 200);
  ASSERT_TRUE(eventually([&] { return metric("backtest_running") == 0; }));
  EXPECT_EQ(post_json().first, 200);
  EXPECT_EQ(metric("backtests_total"), 2);
  EXPECT_EQ(metric("refused_backtests_total"), 1);
}

TEST_F(BacktestApiTest, OneThatTakesLongerThanItMayEndsAndTheNextBegins) {
  serve({.time = 0ms});
  const auto [status, body] = post_json();
  EXPECT_EQ(status, 503) << body;
  EXPECT_EQ(body["errorType"], "timeout") << body;
  EXPECT_EQ(metric("refused_backtests_total"), 0);
  ASSERT_TRUE(eventually([&] { return metric("backtest_running") == 0; }));
  EXPECT_EQ(post_json().second["errorType"], "timeout");
}

TEST_F(BacktestApiTest, AsManyEvaluationsAsMayBeAndNotOneMore) {
  serve({.evaluations = 60});
  EXPECT_EQ(post_json({{"to", 3600}}).first, 200);
  const auto [status, body] = post_json({{"to", 3660}});
  EXPECT_EQ(status, 422) << body;
  EXPECT_NE(body["error"].get<std::string>().find("more than the 60"), std::string::npos) << body;
}

}  // namespace
}  // namespace tallymill::alerting
