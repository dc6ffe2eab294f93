// Goal: the rules of a group see one another, fail alone, and leave stale markers behind. Method: a
// store in memory, moments that the test says.
#include "alerting/group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "alerting/limits.h"
#include "alerting/memory_store.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;
using What = Transition::What;

constexpr std::int64_t minute = 60'000;

// Full when it is told so.
class BreakableStore final : public MemoryStore {
 public:
  std::optional<Error> broken;
  Status append(std::span<const Sample> samples) override {
    if (broken) return std::unexpected(*broken);
    return MemoryStore::append(samples);
  }
};

class GroupTest : public testing::Test {
 protected:
  BreakableStore store;
  std::vector<Rule> rules;
  std::size_t limit = 0;
  std::unique_ptr<Group> group;

  std::unique_ptr<Group> made() {
    return std::make_unique<Group>(
        RuleGroup{.file = "f", .name = "g", .limit = limit, .rules = rules}, Group::Options(),
        store, store);
  }
  std::vector<Group::Happened> at(std::int64_t minutes) {
    if (!group) group = made();
    return group->evaluate(minutes * minute);
  }
  void put(const Texts& labels, std::int64_t minutes, double value) {
    ASSERT_TRUE(store.add(labels_of(labels), minutes * minute, value));
  }
  // "1", "stale" or "".
  std::string stored(const Texts& labels, std::int64_t minutes) {
    const auto value = store.at(labels_of(labels), minutes * minute);
    if (!value) return "";
    return collector::is_stale(*value) ? "stale" : promql::number_text(*value);
  }
  RuleStatus status(std::size_t rule) { return group->status().at(rule); }
};

const Texts m{{"__name__", "m"}, {"i", "a"}};
const Texts pending{
    {"__name__", "ALERTS"}, {"alertname", "Hot"}, {"alertstate", "pending"}, {"i", "a"}};
const Texts firing{
    {"__name__", "ALERTS"}, {"alertname", "Hot"}, {"alertstate", "firing"}, {"i", "a"}};
const Texts for_state{{"__name__", "ALERTS_FOR_STATE"}, {"alertname", "Hot"}, {"i", "a"}};

TEST_F(GroupTest, ARuleSeesWhatTheRulesBeforeItStoredAtTheSameMoment) {
  rules = {recording_rule("early", "late + 1"), recording_rule("late", "m * 2"),
           alerting_rule("Hot", "late > 5"), recording_rule("seen", "count(ALERTS)")};
  put(m, 1, 3);
  const auto happened = at(1);
  ASSERT_EQ(happened.size(), 1U);
  EXPECT_EQ(happened[0].rule, 2U);
  EXPECT_EQ(happened[0].transition.what, What::fired);
  EXPECT_EQ(stored({{"__name__", "late"}, {"i", "a"}}, 1), "6");
  EXPECT_EQ(stored({{"__name__", "seen"}}, 1), "1");
  EXPECT_EQ(stored({{"__name__", "early"}, {"i", "a"}}, 1), "") << "not what comes after it";
  (void)at(2);
  EXPECT_EQ(stored({{"__name__", "early"}, {"i", "a"}}, 2), "7") << "but that of the last time";
}

TEST_F(GroupTest, AnExpressionThatIsARangeVectorOrAStringFailsAloneAtEachMoment) {
  rules = {alerting_rule("Range", "m[5m]"), recording_rule("text", "\"x\""),
           alerting_rule("Hot", "m > 1")};
  put(m, 1, 3);
  for (const std::int64_t minutes : {1, 2}) {
    (void)at(minutes);
    for (const std::size_t rule : {0U, 1U}) {
      EXPECT_EQ(status(rule).health, Health::err);
      EXPECT_EQ(status(rule).last_error, "rule result is not a vector or scalar");
    }
    EXPECT_EQ(status(2).health, Health::ok);
    EXPECT_EQ(stored(firing, minutes), "1");
  }
}

TEST_F(GroupTest, ARecordingRuleSetsItsNameAndLabelsAndTakesAnEmptyOneAway) {
  rules = {recording_rule("r", "m", {{"i", ""}, {"j", "b"}}),
           recording_rule("s", "1", {{"k", "c"}})};
  put(m, 1, 3);
  (void)at(1);
  EXPECT_EQ(stored({{"__name__", "r"}, {"j", "b"}}, 1), "3");
  EXPECT_EQ(stored({{"__name__", "s"}, {"k", "c"}}, 1), "1");
}

TEST_F(GroupTest, WhatARuleNoLongerGivesEndsWithOneStaleMarker) {
  rules = {recording_rule("r", "m > 1")};
  const Texts r{{"__name__", "r"}, {"i", "a"}};
  put(m, 1, 3);
  (void)at(1);
  put(m, 2, 0);
  (void)at(2);
  (void)at(3);
  EXPECT_EQ(stored(r, 1), "3");
  EXPECT_EQ(stored(r, 2), "stale");
  EXPECT_EQ(stored(r, 3), "");
}

TEST_F(GroupTest, AnAlertThatChangesItsStateEndsOneSeriesAndBeginsAnother) {
  rules = {alerting_rule("Hot", "m > 1")};
  rules[0].hold = 1min;
  put(m, 1, 3);
  (void)at(1);
  (void)at(2);
  put(m, 3, 0);
  (void)at(3);
  EXPECT_EQ(stored(pending, 1), "1");
  EXPECT_EQ(stored(pending, 2), "stale");
  EXPECT_EQ(stored(firing, 2), "1");
  EXPECT_EQ(stored(firing, 3), "stale");
  EXPECT_EQ(stored(for_state, 2), "60");
  EXPECT_EQ(stored(for_state, 3), "stale");
}

TEST_F(GroupTest, ARuleThatFailsKeepsItsAlertsAndSeriesAndTheOthersGoOn) {
  rules = {alerting_rule("Hot", "m * on () group_left () n > 1"), recording_rule("r", "m")};
  put(m, 1, 3);
  put({{"__name__", "n"}, {"i", "a"}}, 1, 1);
  (void)at(1);
  EXPECT_EQ(status(0).health, Health::ok);
  EXPECT_EQ(status(0).evaluated_ms, minute);
  put({{"__name__", "n"}, {"i", "b"}}, 2, 1);
  EXPECT_TRUE(at(2).empty());
  EXPECT_EQ(status(0).health, Health::err);
  EXPECT_NE(status(0).last_error, "");
  ASSERT_EQ(status(0).alerts.size(), 1U);
  EXPECT_EQ(status(0).alerts[0].state, AlertState::firing);
  EXPECT_EQ(stored(firing, 2), "");
  EXPECT_EQ(status(1).health, Health::ok);
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 2), "3");
  put({{"__name__", "n"}, {"i", "b"}}, 3, collector::stale_marker);
  put(m, 3, 0);
  const auto happened = at(3);
  ASSERT_EQ(happened.size(), 1U);
  EXPECT_EQ(happened[0].transition.what, What::resolved);
  EXPECT_EQ(status(0).last_error, "");
  EXPECT_EQ(stored(firing, 3), "stale");
}

TEST_F(GroupTest, ARuleOverItsLimitGivesItsAlertsUpAndStoresNothing) {
  limit = 1;
  rules = {alerting_rule("Hot", "m > 1"), recording_rule("r", "m")};
  put(m, 1, 3);
  (void)at(1);
  put({{"__name__", "m"}, {"i", "b"}}, 2, 3);
  const auto happened = at(2);
  ASSERT_EQ(happened.size(), 1U);
  EXPECT_EQ(happened[0].transition.what, What::dropped);
  EXPECT_EQ(status(0).last_error, "exceeded limit of 1 with 2 alerts");
  EXPECT_EQ(status(1).last_error, "exceeded limit of 1 with 2 series");
  EXPECT_TRUE(status(0).alerts.empty());
  EXPECT_EQ(stored(firing, 2), "");
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 2), "");
  put(m, 3, 0);
  (void)at(3);
  EXPECT_EQ(stored(firing, 3), "stale") << "of what it gave before that";
}

TEST_F(GroupTest, ARecordingRuleStoresAsManyRowsAsItMayAndNoneWhenThereIsOneMore) {
  rules = {recording_rule("r", "m")};
  const auto row = [](const char* name, std::size_t i) {
    return Texts{{"__name__", name}, {"i", std::to_string(i)}};
  };
  for (std::size_t i = 0; i < limits::rule_rows; ++i) put(row("m", i), 1, 3);
  (void)at(1);
  EXPECT_EQ(status(0).health, Health::ok);
  EXPECT_EQ(stored(row("r", limits::rule_rows - 1), 1), "3");
  put(m, 2, 3);
  (void)at(2);
  EXPECT_EQ(status(0).last_error, "exceeded limit of 10000 with 10001 series");
  EXPECT_EQ(stored(row("r", 0), 2), "");
}

TEST_F(GroupTest, RowsThatGetTheSameLabelsFailARecordingRule) {
  rules = {recording_rule("r", "m", {{"i", "same"}})};
  put(m, 1, 3);
  (void)at(1);
  put({{"__name__", "m"}, {"i", "b"}}, 2, 3);
  for (const std::int64_t minutes : {2, 3}) {
    (void)at(minutes);
    EXPECT_EQ(status(0).last_error,
              "vector contains metrics with the same labelset after applying rule labels");
  }
}

TEST_F(GroupTest, OfTwoRulesThatGiveTheSameSeriesTheSecondFails) {
  rules = {recording_rule("r", "m"), recording_rule("r", "m + 1")};
  put(m, 1, 3);
  (void)at(1);
  EXPECT_EQ(status(0).health, Health::ok);
  EXPECT_EQ(status(1).health, Health::err);
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 1), "3");
}

TEST_F(GroupTest, AStaleMarkerThatCouldNotBeStoredIsStoredTheNextTime) {
  rules = {recording_rule("r", "m > 1")};
  put(m, 1, 3);
  (void)at(1);
  put(m, 2, 0);
  store.broken = Error{Errc::disk, "full"};
  (void)at(2);
  store.broken.reset();
  (void)at(3);
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 3), "stale");
  (void)at(4);
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 4), "");
}

TEST_F(GroupTest, WhatCannotBeStoredIsTheRulesErrorAndItsAlertsGoOn) {
  rules = {alerting_rule("Hot", "m > 1")};
  put(m, 1, 3);
  store.broken = Error{Errc::disk, "full"};
  EXPECT_EQ(at(1).size(), 1U);
  EXPECT_EQ(status(0).health, Health::err);
  EXPECT_EQ(status(0).last_error, "full");
  EXPECT_EQ(status(0).alerts.size(), 1U);
}

TEST_F(GroupTest, AnInputThatIsGoneShowsAsNoDataWhenTheRuleAsksForIt) {
  rules = {alerting_rule("Hot", "m > 1"), alerting_rule("Hotter", "m > 1")};
  rules[1].no_data = Rule::NoData::resolve;
  put(m, 1, 0);
  (void)at(1);
  EXPECT_EQ(status(1).health, Health::ok);
  put(m, 2, collector::stale_marker);
  (void)at(2);
  EXPECT_EQ(status(0).health, Health::ok);
  EXPECT_EQ(status(1).health, Health::nodata);
}

TEST_F(GroupTest, HysteresisAndNoDataAreAskedOfTheStore) {
  rules = {alerting_rule("Hot", "m > 5"), alerting_rule("Gone", "sum by (i) (m) > 5")};
  rules[0].resolve_node = parsed("m < 3");
  rules[0].no_data = Rule::NoData::resolve;
  rules[1].no_data = Rule::NoData::fire;
  const auto state = [&] { return group->state(0).state(); };
  put(m, 1, 7);
  (void)at(1);
  put(m, 2, 4);
  (void)at(2);
  EXPECT_EQ(state(), AlertState::firing) << "between the two it stays";
  put(m, 3, 2);
  (void)at(3);
  EXPECT_EQ(state(), AlertState::inactive);
  put(m, 4, 7);
  (void)at(4);
  put(m, 5, 4);
  (void)at(5);
  EXPECT_EQ(state(), AlertState::firing);
  EXPECT_EQ(group->state(1).state(), AlertState::inactive);
  put(m, 6, collector::stale_marker);
  (void)at(6);
  EXPECT_EQ(state(), AlertState::inactive);
  EXPECT_EQ(group->state(1).state(), AlertState::firing);
}

TEST_F(GroupTest, AReloadKeepsTheStatesOfRulesOfTheSameNameAndLabels) {
  rules = {alerting_rule("Hot", "m > 1"), alerting_rule("Cold", "m > 2"), recording_rule("r", "m")};
  rules[0].hold = 2min;
  put(m, 1, 3);
  (void)at(1);
  rules = {alerting_rule("Cold", "m > 2", {{"severity", "page"}}), alerting_rule("Hot", "m > 0")};
  rules[1].hold = 1min;
  auto next = made();
  next->take_over(*group);
  group = std::move(next);
  const auto happened = at(2);
  ASSERT_EQ(happened.size(), 2U);
  EXPECT_EQ(happened[0].rule, 0U) << "other labels: another rule";
  EXPECT_EQ(happened[1].rule, 1U);
  EXPECT_EQ(happened[1].transition.what, What::fired);
  EXPECT_EQ(happened[1].transition.alert.active_ms, minute);
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 2), "stale") << "it is no more";
  EXPECT_EQ(stored(pending, 2), "stale");
}

TEST_F(GroupTest, OfSeveralRulesOfOneNameAReloadFindsTheOneWithTheSameExpression) {
  rules = {alerting_rule("Hot", "m > 1"), alerting_rule("Hot", "m{i=\"none\"} > 1")};
  put(m, 1, 3);
  (void)at(1);
  std::swap(rules[0], rules[1]);
  auto next = made();
  next->take_over(*group);
  EXPECT_TRUE(next->state(0).alerts().empty());
  EXPECT_EQ(next->state(1).alerts().size(), 1U);
}

TEST_F(GroupTest, AGroupThatIsRemovedLeavesStaleMarkersForAllThatItGave) {
  rules = {alerting_rule("Hot", "m > 1"), recording_rule("r", "m")};
  put(m, 1, 3);
  (void)at(1);
  group->end(2 * minute);
  EXPECT_EQ(stored(firing, 2), "stale");
  EXPECT_EQ(stored(for_state, 2), "stale");
  EXPECT_EQ(stored({{"__name__", "r"}, {"i", "a"}}, 2), "stale");
  group->end(3 * minute);
  EXPECT_EQ(stored(firing, 3), "");
}

TEST_F(GroupTest, ATemplateAsksTheStoreAtTheMomentOfTheEvaluation) {
  rules = {alerting_rule("Hot", "m > 1", {}, {{"q", "{{ query \"m + 1\" | first | value }}"}})};
  put(m, 1, 3);
  (void)at(1);
  EXPECT_EQ(status(0).alerts[0].annotations.get("q"), "4");
  put(m, 2, 4);
  (void)at(2);
  EXPECT_EQ(status(0).alerts[0].annotations.get("q"), "5");
}

TEST_F(GroupTest, TheIntervalIsItsOwnOrTheDefault) {
  EXPECT_EQ(made()->interval(), 60s);
  const Group own({.file = "f", .name = "g", .interval = 5s, .rules = {}}, {}, store, store);
  EXPECT_EQ(own.interval(), 5s);
}

TEST_F(GroupTest, StatusMayBeAskedWhileItIsEvaluated) {
  rules = {alerting_rule("Hot", "m > 1", {}, {{"v", "{{ $value }}"}}), recording_rule("r", "m")};
  group = made();
  std::atomic<bool> over = false;
  std::thread asks([&] {
    while (!over)
      for (const RuleStatus& one : group->status())
        for (const Alert& alert : one.alerts) EXPECT_EQ(alert.labels.get("alertname"), "Hot");
  });
  for (std::int64_t minutes = 1; minutes < 300; ++minutes) {
    put(m, minutes, static_cast<double>(minutes % 5));
    (void)at(minutes);
  }
  over = true;
  asks.join();
}

}  // namespace
}  // namespace tallymill::alerting
