// Alertmanager. Goal: it is told how things are, in good time, and nothing that is over. Method: a
// server on a real socket that keeps what it was sent, and fails when told to. The real one:
// alertmanager_test.py.
#include "alerting/alertmanager.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "alerting/alert_json.h"
#include "tests/alerting/sink_fixture.h"
#include "tests/http/raw_server.h"

namespace tallymill::alerting {
namespace {

using http::RawPeer;
using http::RawServer;
using nlohmann::json;
using std::chrono::milliseconds;

class AlertmanagerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Alertmanager::Options options{.name = "am"};
    options.http.url = Secret(server_.url("/"));
    options.resend_delay = milliseconds(60'000);
    options.external_labels = collector::Labels::of({{"mill", "north"}, {"stage", "none"}});
    options.again = {.first = milliseconds(5), .slowest = milliseconds(20)};
    alertmanager_ = std::make_unique<Alertmanager>(std::move(options), registry_, clock_);
    ASSERT_TRUE(alertmanager_->start());
  }
  void TearDown() override { alertmanager_.reset(); }

  void update(std::vector<Alert> alerts, std::int64_t at_ms, const std::string& group = "g") {
    std::vector<Alertmanager::Current> all;
    for (Alert& alert : alerts) all.push_back({std::move(alert), "http://mill/graph"});
    alertmanager_->update(group, milliseconds(15'000), std::move(all), at_ms);
  }
  bool all_told() {
    return eventually([&] { return alertmanager_->waiting() == 0; });
  }
  std::vector<json> got() {
    const std::lock_guard lock(mutex_);
    return got_;
  }
  void serve(RawPeer& peer) {
    for (std::string head; !(head = peer.head()).empty();) {
      const std::size_t at = head.find("Content-Length: ");
      const std::string body = peer.take(std::stoul(head.substr(at + 16)));
      if (!head.starts_with("POST /api/v2/alerts ")) return;
      const int status = status_;
      if (status == 200) {
        const std::lock_guard lock(mutex_);
        got_.push_back(json::parse(body));
      }
      ++asked_;
      if (!peer.send("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: 0\r\n\r\n"))
        return;
    }
  }

  std::mutex mutex_;  // guards got_
  std::vector<json> got_;
  std::atomic<int> status_{200};
  std::atomic<int> asked_{0};
  RawServer server_{[this](RawPeer& peer, int) { serve(peer); }};
  metrics::Registry registry_;
  SystemClock clock_;
  std::unique_ptr<Alertmanager> alertmanager_;
};

TEST_F(AlertmanagerTest, AlertThatFiresIsToldWithAnEndThatIsSoon) {
  const std::int64_t before = wall_ms();
  update({alert_of("Wait", "image", 1000)}, 1000);
  ASSERT_TRUE(all_told());
  const auto told = got();
  ASSERT_EQ(told.size(), 1U);
  const json& alert = told[0][0];
  EXPECT_EQ(alert["labels"]["alertname"], "Wait");
  EXPECT_EQ(alert["labels"]["mill"], "north");
  EXPECT_EQ(alert["labels"]["stage"], "image");
  EXPECT_EQ(alert["generatorURL"], "http://mill/graph");
  EXPECT_EQ(alert["startsAt"], "1970-01-01T00:00:01.000Z");
  EXPECT_GE(alert["endsAt"].get<std::string>(), rfc3339(before + 240'000));
  EXPECT_LE(alert["endsAt"].get<std::string>(), rfc3339(wall_ms() + 240'000));
}

TEST_F(AlertmanagerTest, IsToldAgainWhenTheResendDelayIsOverAndNotBefore) {
  update({alert_of("Wait", "image", 1000)}, 1000);
  ASSERT_TRUE(all_told());
  update({alert_of("Wait", "image", 1000)}, 60'999);
  EXPECT_EQ(alertmanager_->waiting(), 0U);
  update({alert_of("Wait", "image", 1000)}, 61'000);
  ASSERT_TRUE(all_told());
  EXPECT_EQ(got().size(), 2U);
}

TEST_F(AlertmanagerTest, EndIsToldAtOnceThenForFifteenMinutes) {
  update({alert_of("Wait", "image", 1000)}, 1000);
  ASSERT_TRUE(all_told());
  const Alert over = alert_of("Wait", "image", 1000, 2000);
  update({over}, 2000);
  ASSERT_TRUE(all_told());
  EXPECT_EQ(got()[1][0]["endsAt"], "1970-01-01T00:00:02.000Z");
  update({over}, 30'000);
  EXPECT_EQ(alertmanager_->waiting(), 0U);
  update({over}, 2000 + 900'000);
  ASSERT_TRUE(all_told());
  EXPECT_EQ(got().size(), 3U);
  update({over}, 2000 + 900'001);
  EXPECT_EQ(alertmanager_->waiting(), 0U);
}

TEST_F(AlertmanagerTest, PendingAndWhatWasOverBeforeItFiredIsNotTold) {
  Alert pending = alert_of("Wait", "image", 0);
  pending.state = AlertState::pending;
  update({pending, alert_of("Slow", "image", 0, 5)}, 1000);
  EXPECT_EQ(alertmanager_->waiting(), 0U);
}

TEST_F(AlertmanagerTest, AfterAnOutageItIsToldHowThingsAreAndNotHowTheyWere) {
  status_ = 500;
  update({alert_of("Wait", "image", 1000), alert_of("Wait", "box", 1000)}, 1000);
  ASSERT_TRUE(eventually([&] { return asked_ >= 3; }));
  update({alert_of("Wait", "image", 1000, 2000)}, 2000);
  update({alert_of("Wait", "image", 3000)}, 3000);
  status_ = 200;
  ASSERT_TRUE(all_told());
  // The request that was under way may have told how it was when it began.
  const auto told = got();
  const json& last = told.back();
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0]["labels"]["stage"], "image");
  EXPECT_EQ(last[0]["startsAt"], "1970-01-01T00:00:03.000Z");
  EXPECT_GT(last[0]["endsAt"].get<std::string>(), rfc3339(wall_ms()));
  EXPECT_LE(told.size(), 2U);
}

TEST_F(AlertmanagerTest, GoesInBatchesOfSixtyFour) {
  std::vector<Alert> alerts;
  for (std::size_t i = 0; i <= 2 * limits::alertmanager_batch; ++i)
    alerts.push_back(alert_of("Wait", std::to_string(i), 1000));
  update(std::move(alerts), 1000);
  ASSERT_TRUE(all_told());
  std::vector<std::size_t> sizes;
  for (const json& one : got()) sizes.push_back(one.size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{64, 64, 1}));
}

TEST_F(AlertmanagerTest, BatchThatItRefusesHoldsUpNothing) {
  status_ = 400;
  update({alert_of("Bad", "image", 1000)}, 1000, "bad");
  ASSERT_TRUE(all_told());
  status_ = 200;
  update({alert_of("Wait", "image", 1000)}, 1000);
  ASSERT_TRUE(all_told());
  EXPECT_EQ(got().size(), 1U);
  EXPECT_EQ(asked_, 2);
}

TEST_F(AlertmanagerTest, GroupThatIsGoneIsNotToldAnyMore) {
  status_ = 500;
  update({alert_of("Wait", "image", 1000)}, 1000);
  ASSERT_TRUE(eventually([&] { return asked_ >= 1; }));
  alertmanager_->forget("g");
  EXPECT_EQ(alertmanager_->waiting(), 0U);
}

TEST(AlertmanagerStop, EndsARequestThatHangs) {
  std::atomic<bool> asked{false};
  RawServer server([&](RawPeer& peer, int) {
    (void)peer.head();
    asked = true;
    peer.wait_for_end();
  });
  metrics::Registry registry;
  const SystemClock clock;
  Alertmanager::Options options{.name = "am"};
  options.http.url = Secret(server.url("/"));
  options.http.timeout = milliseconds(60'000);
  Alertmanager alertmanager(std::move(options), registry, clock);
  ASSERT_TRUE(alertmanager.start());
  alertmanager.update("g", milliseconds(1000), {{alert_of("Wait", "image", 1000)}}, 1000);
  ASSERT_TRUE(eventually([&] { return asked.load(); }));
  const auto began = std::chrono::steady_clock::now();
  alertmanager.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(1000));
}

}  // namespace
}  // namespace tallymill::alerting
