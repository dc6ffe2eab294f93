// Goal: what is asked of alerts and silences is bounded, and refused in the form that the asker
// takes. Method: a real server, raw requests at a bound and one above it; what these endpoints
// tell is looked at in tests/e2e/alerts_test.py.
#include "alerting/alerts_api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/alerting/live_fixture.h"
#include "tests/http/raw_client.h"

namespace tallymill::alerting {
namespace {

using nlohmann::json;

class AlertsApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string file = folder_.path() / "rules.yml";
    write_file(file, "groups:\n- name: g\n  rules:\n  - {alert: Hot, expr: m > 1}\n");
    auto opened = Alerting::open({.rules = {file}, .outbox = folder_.path() / "alerts.db"}, store_,
                                 store_, context_, registry_, clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    alerting_ = std::move(*opened);
    alerts_ = std::make_unique<AlertsApi>(*alerting_);
    http::Router router;
    alerts_->add_routes(router, api_);
    server_ = std::make_unique<http::Server>(std::move(router), http::ServerOptions{});
    ASSERT_TRUE(server_->open());
    api_.start(*server_);
    server_->start();
  }
  void TearDown() override {
    server_->stop();
    api_.stop();
  }
  [[nodiscard]] http::WireReply get(const std::string& target,
                                    const std::string& fields = "") const {
    http::RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    return client.ask("GET " + target, fields);
  }
  [[nodiscard]] http::WireReply post(const std::string& body) const {
    http::RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    return client.post("/api/v2/silences", body);
  }
  [[nodiscard]] static std::string filters(std::size_t count) {
    std::string query = "?";
    for (std::size_t i = 0; i < count; ++i) query += "filter=a%3Db&";
    return query;
  }

  TempFolder folder_;
  zmq::context_t context_;
  LockedStore store_;
  MovedClock clock_;
  metrics::Registry registry_;
  std::unique_ptr<Alerting> alerting_;
  collector::Api api_{store_};
  std::unique_ptr<AlertsApi> alerts_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(AlertsApiTest, AFilterHasAsManyMatchersAsMayBeAndNotOneMore) {
  for (const std::string path : {"/api/v2/alerts", "/api/v2/silences"}) {
    EXPECT_EQ(get(path + filters(limits::silence_matchers)).status, 200) << path;
    const auto refused = get(path + filters(limits::silence_matchers + 1));
    EXPECT_EQ(refused.status, 400) << path;
    EXPECT_NE(refused.body.find("too many matchers"), std::string::npos) << refused.body;
  }
}

TEST_F(AlertsApiTest, TheExpressionsOfAFilterAreBoundedAloneAndTogether) {
  const auto status = [&](const std::string& query) {
    return get("/api/v2/alerts?" + query).status;
  };
  EXPECT_EQ(status("filter=a%3D~x%7B1,600%7D"), 200);
  EXPECT_EQ(status("filter=a%3D~x%7B1,600%7D&filter=b%3D~x%7B1,600%7D"), 400);
  EXPECT_EQ(status("filter=a%3D~x%7B1,1000%7D"), 400);
}

TEST_F(AlertsApiTest, TheBodyOfASilenceIsAsLargeAsItMayBeAndNotOneByteMore) {
  json silence = {{"matchers", {{{"name", "a"}, {"value", "b"}, {"isRegex", false}}}},
                  {"startsAt", "2100-01-01T00:00:00Z"},
                  {"endsAt", "2100-01-02T00:00:00Z"},
                  {"createdBy", "me"},
                  {"comment", "disks"}};
  std::string body = silence.dump();
  body.resize(limits::silence_bytes, ' ');
  EXPECT_EQ(post(body).status, 200);
  EXPECT_EQ(post(body + " ").status, 413);
  EXPECT_EQ(alerting_->silences().all()->size(), 1U);
}

TEST_F(AlertsApiTest, ARefusalIsAProblemOrATextInQuotesAsTheAskerTakesIt) {
  const std::string wrong = "/api/v2/alerts?active=perhaps";
  const auto problem = get(wrong);
  EXPECT_EQ(problem.header("Content-Type").substr(0, 24), "application/problem+json");
  EXPECT_EQ(json::parse(problem.body)["field"], "/active");
  const auto text = get(wrong, "Accept: application/json\r\n");
  EXPECT_EQ(text.status, 400);
  ASSERT_TRUE(json::parse(text.body).is_string()) << text.body;
  EXPECT_EQ(json::parse(text.body).get<std::string>().find("E_PARAMS /active: "), 0U) << text.body;
}

TEST_F(AlertsApiTest, WhatExplainIsNotToldRightIsNamed) {
  const auto field = [&](const std::string& query) {
    const auto reply = get("/api/v1/alerts/explain?" + query);
    EXPECT_EQ(reply.status, 400) << query;
    return json::parse(reply.body)["field"].get<std::string>();
  };
  EXPECT_EQ(field(""), "/name");
  EXPECT_EQ(field("name="), "/name");
  EXPECT_EQ(field("name=Hot&last=soon"), "/last");
  EXPECT_EQ(field("name=Hot&last=-1h"), "/last");
  EXPECT_EQ(field("name=Hot&filter=a"), "/filter");
  EXPECT_EQ(get("/api/v1/alerts/explain?name=Cold").status, 404);
  EXPECT_EQ(get("/api/v1/alerts/explain?name=Hot&last=1h&filter=a%3Db").status, 200);
}

}  // namespace
}  // namespace tallymill::alerting
