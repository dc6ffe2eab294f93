// Alert JSON. Goal: receivers of Alertmanager's payload, and Slack, understand what is sent.
// Method: the JSON read again, field by field; hostile texts.
#include "alerting/alert_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

using nlohmann::json;

TEST(AlertJson, HasTheFieldsOfAlertmanagersPayload) {
  Message message = message_of({notice_of(alert_of("Wait", "image", 1'700'000'000'123), 1),
                                notice_of(alert_of("Wait", "box", 5000, 6000), 1)});
  message.group_labels = collector::Labels::of({{"alertname", "Wait"}});
  message.left_out = 2;
  const json payload = json::parse(webhook_json(message, "ops", "http://mill"));
  EXPECT_EQ(payload["version"], "4");
  EXPECT_EQ(payload["receiver"], "ops");
  EXPECT_EQ(payload["status"], "firing");
  EXPECT_EQ(payload["externalURL"], "http://mill");
  EXPECT_EQ(payload["groupLabels"], (json{{"alertname", "Wait"}}));
  EXPECT_EQ(payload["commonLabels"], (json{{"alertname", "Wait"}}));
  EXPECT_EQ(payload["commonAnnotations"], json::object());
  EXPECT_EQ(payload["truncatedAlerts"], 2);
  ASSERT_EQ(payload["alerts"].size(), 2U);
  const json& first = payload["alerts"][0];
  EXPECT_EQ(first["status"], "firing");
  EXPECT_EQ(first["startsAt"], "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(first["endsAt"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(first["labels"]["stage"], "image");
  EXPECT_EQ(payload["alerts"][1]["status"], "resolved");
  EXPECT_EQ(payload["alerts"][1]["endsAt"], "1970-01-01T00:00:06.000Z");
  EXPECT_EQ(first["idempotencyKey"], message.notices[0].key);
}

TEST(AlertJson, TextThatIsNoUtf8IsStillJson) {
  Alert alert = alert_of("Wait", "image", 5);
  alert.annotations = collector::Labels::of({{"summary", "bad \xff \" \n \x01"}});
  const Message message = message_of({notice_of(alert, 1)});
  EXPECT_FALSE(json::parse(webhook_json(message, "ops", ""), nullptr, false).is_discarded());
  EXPECT_FALSE(json::parse(slack_json(message), nullptr, false).is_discarded());
}

TEST(AlertJson, SlackTextHasNoMarkupOfAnAlert) {
  Alert alert = alert_of("Wait", "image", 5);
  alert.annotations = collector::Labels::of({{"summary", "<!channel> & co"}});
  const json said = json::parse(slack_json(message_of({notice_of(alert, 1)})));
  const std::string text = said["text"];
  EXPECT_NE(text.find("&lt;!channel&gt; &amp; co"), std::string::npos) << text;
  EXPECT_TRUE(text.starts_with("*[FIRING:1] Wait")) << text;
}

TEST(AlertJson, TitleIsOneLine) {
  Alert alert = alert_of("Wait", "a\r\nBcc: all@example.org", 5);
  const std::string title = title_of(message_of({notice_of(alert, 1)}));
  EXPECT_EQ(title.find_first_of("\r\n"), std::string::npos) << title;
}

TEST(AlertJson, TimesBeforeTheEpochAreTimes) {
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(rfc3339(std::numeric_limits<std::int64_t>::max()), "0001-01-01T00:00:00Z");
}

}  // namespace
}  // namespace tallymill::alerting
