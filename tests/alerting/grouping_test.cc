// Grouping. Goal: what belongs together goes together, when its times say so, and a message that is
// tried again is the same. Method: no clock, no disk: what is due in, messages and holds out.
#include "alerting/grouping.h"

#include <gtest/gtest.h>

#include "alerting/alert_json.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

Outbox::Due due_of(std::int64_t id, const std::string& name, const std::string& stage,
                   std::int64_t at_ms, std::int64_t resolved_ms = 0) {
  Notice notice = notice_of(alert_of(name, stage, 500, resolved_ms), at_ms);
  notice.id = id;
  return {.notice = std::move(notice)};
}

Route by_name(std::int64_t wait = 0, std::int64_t interval = 0, std::int64_t repeat = 0) {
  return {false, {"alertname"}, milliseconds(wait), milliseconds(interval), milliseconds(repeat)};
}

TEST(Grouping, EachAlertIsAGroupOfItsOwnWhenNothingElseIsSaid) {
  Grouping grouping({});
  const auto plan = grouping.plan({due_of(1, "A", "x", 10), due_of(2, "A", "y", 10)}, 10);
  ASSERT_EQ(plan.messages.size(), 2U);
  EXPECT_EQ(plan.messages[0].key, plan.messages[0].notices[0].key);
  EXPECT_TRUE(plan.holds.empty());
}

TEST(Grouping, AlertsOfOneNameGoInOneMessage) {
  Grouping grouping(by_name());
  const auto plan = grouping.plan(
      {due_of(1, "A", "x", 10), due_of(2, "B", "x", 10), due_of(3, "A", "y", 10)}, 10);
  ASSERT_EQ(plan.messages.size(), 2U);
  EXPECT_EQ(plan.messages[0].notices.size(), 2U);
  EXPECT_EQ(plan.messages[0].group_key, "{}:{alertname=\"A\"}");
  EXPECT_NE(plan.messages[0].key, plan.messages[1].key);
}

TEST(Grouping, EmptyGroupByIsOneGroup) {
  Grouping grouping({.by_all = false});
  const auto plan = grouping.plan({due_of(1, "A", "x", 10), due_of(2, "B", "x", 10)}, 10);
  ASSERT_EQ(plan.messages.size(), 1U);
  EXPECT_EQ(plan.messages[0].group_key, "{}:{}");
}

TEST(Grouping, FirstOfANewGroupWaitsForTheOthers) {
  Grouping grouping(by_name(100));
  auto plan = grouping.plan({due_of(1, "A", "x", 10)}, 10);
  ASSERT_EQ(plan.holds, (std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 110}}));
  plan = grouping.plan({due_of(2, "A", "y", 90)}, 90);
  ASSERT_EQ(plan.holds, (std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 110}}));
  plan = grouping.plan({due_of(1, "A", "x", 10), due_of(2, "A", "y", 90)}, 109);
  EXPECT_TRUE(plan.messages.empty());
  plan = grouping.plan({due_of(1, "A", "x", 10), due_of(2, "A", "y", 90)}, 110);
  ASSERT_EQ(plan.messages.size(), 1U);
  EXPECT_EQ(plan.messages[0].notices.size(), 2U);
}

TEST(Grouping, NextOfAGroupWaitForItsIntervalAndShowWhatStands) {
  Grouping grouping(by_name(0, 1000));
  auto plan = grouping.plan({due_of(1, "A", "x", 10)}, 10);
  grouping.under_way(plan.messages[0], 10);
  grouping.taken(plan.messages[0], 20);
  plan = grouping.plan({due_of(2, "A", "y", 30)}, 30);
  ASSERT_EQ(plan.holds, (std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 1020}}));
  plan = grouping.plan({due_of(2, "A", "y", 30)}, 1020);
  ASSERT_EQ(plan.messages.size(), 1U);
  ASSERT_EQ(plan.messages[0].standing.size(), 1U);
  EXPECT_EQ(plan.messages[0].standing[0].id, 1);
}

TEST(Grouping, IsFiringAsLongAsOneOfItsAlertsIs) {
  Grouping grouping(by_name());
  auto plan = grouping.plan({due_of(1, "A", "x", 10), due_of(2, "A", "y", 10)}, 10);
  grouping.taken(plan.messages[0], 10);
  plan = grouping.plan({due_of(3, "A", "x", 20, 20)}, 20);
  EXPECT_NE(webhook_json(plan.messages[0], "r", "").find("\"status\":\"firing\",\"alerts\""),
            std::string::npos);
  grouping.taken(plan.messages[0], 20);
  EXPECT_FALSE(grouping.is_standing(alert_of("A", "x", 1).labels));
  EXPECT_TRUE(grouping.is_standing(alert_of("A", "y", 1).labels));
  plan = grouping.plan({due_of(4, "A", "y", 30, 30)}, 30);
  EXPECT_NE(webhook_json(plan.messages[0], "r", "").find("\"status\":\"resolved\",\"alerts\""),
            std::string::npos);
}

TEST(Grouping, MessageThatIsTriedAgainIsTheSame) {
  Grouping grouping(by_name());
  auto plan = grouping.plan({due_of(1, "A", "x", 10), due_of(2, "A", "y", 10)}, 10);
  const Message first = plan.messages[0];
  grouping.under_way(first, 500);
  // Another one of the group comes meanwhile: it waits.
  plan = grouping.plan({due_of(3, "A", "z", 20)}, 20);
  ASSERT_EQ(plan.holds.size(), 1U);
  EXPECT_GT(plan.holds[0].second, 500);
  auto one = due_of(1, "A", "x", 10);
  auto two = due_of(2, "A", "y", 10);
  one.message = two.message = first.key;
  plan = grouping.plan({one, due_of(3, "A", "z", 20), two}, 500);
  ASSERT_EQ(plan.messages.size(), 1U);
  EXPECT_EQ(plan.messages[0].key, first.key);
  EXPECT_EQ(webhook_json(plan.messages[0], "r", ""), webhook_json(first, "r", ""));
}

TEST(Grouping, AfterARestartTheSame) {
  Grouping before(by_name());
  auto plan = before.plan({due_of(1, "A", "x", 10)}, 10);
  before.taken(plan.messages[0], 10);
  plan = before.plan({due_of(2, "A", "y", 20)}, 20);
  Grouping after(by_name());
  const Outbox::Due stands = due_of(1, "A", "x", 10);
  Outbox::Due claimed = due_of(2, "A", "y", 20);
  const std::vector<Outbox::Held> held{{stands.notice, 10, 0}, {claimed.notice, 0, 20}};
  after.restore(held);
  claimed.message = plan.messages[0].key;
  const auto again = after.plan({claimed, due_of(3, "A", "z", 25)}, 30);
  ASSERT_EQ(again.messages.size(), 1U);
  EXPECT_EQ(webhook_json(again.messages[0], "r", ""), webhook_json(plan.messages[0], "r", ""));
  EXPECT_EQ(again.holds.size(), 1U);
}

TEST(Grouping, AboveItsLimitAGroupGoesInTwoMessages) {
  Grouping grouping(by_name(0, 1000));
  std::vector<Outbox::Due> due;
  for (std::size_t i = 0; i <= limits::sink_message_notices; ++i)
    due.push_back(due_of(static_cast<std::int64_t>(i + 1), "A", std::to_string(i), 10));
  const Outbox::Due last = due.back();
  auto plan = grouping.plan(std::move(due), 10);
  ASSERT_EQ(plan.messages.size(), 1U);
  EXPECT_EQ(plan.messages[0].notices.size(), limits::sink_message_notices);
  grouping.under_way(plan.messages[0], 10);
  grouping.taken(plan.messages[0], 11);
  plan = grouping.plan({last}, 11);
  ASSERT_EQ(plan.messages.size(), 1U);
  EXPECT_EQ(plan.messages[0].notices.size(), 1U);
}

TEST(Grouping, ShowsSoManyThatStandAndSaysHowManyMore) {
  Grouping grouping(by_name());
  std::vector<Outbox::Held> held;
  for (std::size_t i = 0; i <= limits::sink_message_standing; ++i)
    held.push_back(
        {due_of(static_cast<std::int64_t>(i + 1), "A", std::to_string(i), 10).notice, 10, 0});
  grouping.restore(std::span(held).first(limits::sink_message_standing));
  auto plan = grouping.plan({due_of(999, "A", "new", 20)}, 20);
  EXPECT_EQ(plan.messages[0].left_out, 0U);
  grouping.restore(held);
  plan = grouping.plan({due_of(999, "A", "new", 20)}, 20);
  EXPECT_EQ(plan.messages[0].standing.size(), limits::sink_message_standing);
  EXPECT_EQ(plan.messages[0].left_out, 1U);
}

TEST(Grouping, RemindsOfWhatStandsAndOfNothingElse) {
  Grouping grouping(by_name(0, 0, 100));
  EXPECT_FALSE(grouping.reminder(1'000'000));
  auto plan = grouping.plan({due_of(1, "A", "x", 10)}, 10);
  grouping.taken(plan.messages[0], 10);
  EXPECT_EQ(grouping.next_reminder(), 110);
  EXPECT_FALSE(grouping.reminder(109));
  auto reminder = grouping.reminder(110);
  ASSERT_TRUE(reminder);
  EXPECT_TRUE(reminder->notices.empty());
  EXPECT_EQ(reminder->standing.size(), 1U);
  grouping.put_off(*reminder, 150);
  EXPECT_FALSE(grouping.reminder(149));
  EXPECT_EQ(grouping.reminder(150)->key, reminder->key);
  grouping.taken(*reminder, 150);
  EXPECT_NE(grouping.reminder(250)->key, reminder->key);
  plan = grouping.plan({due_of(2, "A", "x", 260, 260)}, 260);
  grouping.taken(plan.messages[0], 260);
  EXPECT_FALSE(grouping.reminder(1'000'000));
}

}  // namespace
}  // namespace tallymill::alerting
