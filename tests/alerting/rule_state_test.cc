// Goal: an alert lives as Prometheus has it, and as resolve_expr and no_data say. Method: matches
// made by hand at times that the test says.
#include "alerting/rule_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "alerting/limits.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;
using collector::Labels;
using What = Transition::What;

constexpr std::int64_t minute = 60'000;

// A rule, judged minute by minute.
class RuleStateTest : public testing::Test {
 protected:
  Rule rule = alerting_rule("Hot", "m > 5", {{"severity", "page"}}, {{"text", "is {{ $value }}"}});
  RuleState::Options options;
  std::optional<RuleState> state_;
  int queries_ = 0;

  RuleState& state() {
    if (!state_) state_.emplace(rule, options);
    return *state_;
  }
  static Match match(const std::string& i, double value = 7) {
    return {labels_of({{"__name__", "m"}, {"i", i}}), value};
  }
  static Labels alert(const std::string& i) {
    return labels_of({{"alertname", "Hot"}, {"i", i}, {"severity", "page"}});
  }
  std::vector<What> at(std::int64_t minutes, std::vector<Match> matches,
                       std::vector<Labels> resolving = {},
                       std::optional<std::vector<Labels>> input = {}) {
    last_.clear();
    auto transitions =
        state().match({.at_ms = minutes * minute,
                       .matches = std::move(matches),
                       .resolving = std::move(resolving),
                       .input = std::move(input),
                       .query =
                           [this](std::string_view) {
                             return std::vector<TemplateSample>{{{}, 1.0 * ++queries_}};
                           }},
                      limit);
    error_ = transitions ? "" : transitions.error().message;
    std::vector<What> all;
    if (!transitions) return all;
    last_ = std::move(*transitions);
    for (const Transition& one : last_) all.push_back(one.what);
    return all;
  }
  Alert only() {
    const auto alerts = state().alerts();
    EXPECT_EQ(alerts.size(), 1U);
    return alerts.empty() ? Alert{} : alerts[0];
  }
  std::vector<Transition> last_;
  std::string error_;
  std::size_t limit = 0;
};

TEST_F(RuleStateTest, AMatchWithoutForFiresAtOnceAndIsNeverPending) {
  EXPECT_EQ(at(1, {match("a")}), std::vector{What::fired});
  const Alert one = only();
  EXPECT_EQ(one.state, AlertState::firing);
  EXPECT_EQ(one.labels, alert("a"));
  EXPECT_EQ(one.annotations, labels_of({{"text", "is 7"}}));
  EXPECT_EQ(one.active_ms, minute);
  EXPECT_EQ(one.fired_ms, minute);
  EXPECT_EQ(one.matched_ms, minute);
  EXPECT_EQ(last_[0].alert.state, AlertState::firing);
}

TEST_F(RuleStateTest, AMatchIsPendingUntilItsForIsOverAndFiresInThatVeryMoment) {
  rule.hold = 2min;
  EXPECT_EQ(at(1, {match("a")}), std::vector{What::pending});
  EXPECT_EQ(state().state(), AlertState::pending);
  EXPECT_EQ(at(2, {match("a")}), std::vector<What>{});
  EXPECT_EQ(at(3, {match("a")}), std::vector{What::fired});
  EXPECT_EQ(only().active_ms, 1 * minute);
  EXPECT_EQ(only().fired_ms, 3 * minute);
  EXPECT_EQ(at(4, {match("a")}), std::vector<What>{});
}

TEST_F(RuleStateTest, APendingAlertWithoutAMatchIsForgottenAtOnce) {
  rule.hold = 2min;
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}), std::vector{What::dropped});
  EXPECT_TRUE(state().alerts().empty());
  EXPECT_EQ(at(3, {match("a")}), std::vector{What::pending});
  EXPECT_EQ(only().active_ms, 3 * minute);
}

TEST_F(RuleStateTest, AFiringAlertWithoutAMatchIsResolvedAndKeptFifteenMinutes) {
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}), std::vector{What::resolved});
  EXPECT_EQ(only().state, AlertState::inactive);
  EXPECT_EQ(only().resolved_ms, 2 * minute);
  EXPECT_EQ(state().state(), AlertState::inactive);
  EXPECT_EQ(at(17, {}), std::vector<What>{});
  EXPECT_EQ(state().alerts().size(), 1U) << "fifteen minutes later it is there";
  EXPECT_EQ(at(18, {}), std::vector<What>{});
  EXPECT_TRUE(state().alerts().empty());
}

TEST_F(RuleStateTest, AnAlertThatComesBackAfterItsEndBeginsAnew) {
  rule.hold = 1min;
  (void)at(1, {match("a")});
  (void)at(2, {match("a")});
  state().sent(alert("a"), 2 * minute, 6 * minute);
  EXPECT_EQ(only().last_sent_ms, 2 * minute);
  EXPECT_EQ(only().valid_until_ms, 6 * minute);
  (void)at(3, {});
  EXPECT_EQ(only().last_sent_ms, 2 * minute) << "its end is still to be told";
  EXPECT_EQ(at(4, {match("a", 9)}), std::vector{What::pending});
  const Alert back = only();
  EXPECT_EQ(back.active_ms, 4 * minute);
  EXPECT_EQ(back.fired_ms, 0);
  EXPECT_EQ(back.resolved_ms, 0);
  EXPECT_EQ(back.last_sent_ms, 0);
  EXPECT_EQ(back.value, 9);
  EXPECT_EQ(back.annotations, labels_of({{"text", "is 9"}}));
}

TEST_F(RuleStateTest, KeepFiringForBeginsWithTheFirstMissAndAnyMatchEndsIt) {
  rule.keep_firing = 2min;
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}), std::vector<What>{});
  EXPECT_EQ(at(3, {}), std::vector<What>{});
  EXPECT_EQ(only().matched_ms, minute);
  EXPECT_EQ(at(4, {match("a")}), std::vector<What>{}) << "it never ended";
  EXPECT_EQ(at(5, {}), std::vector<What>{});
  EXPECT_EQ(at(6, {}), std::vector<What>{});
  EXPECT_EQ(at(7, {}), std::vector{What::resolved});
}

TEST_F(RuleStateTest, KeepFiringForDoesNotKeepWhatIsPending) {
  rule.hold = 2min;
  rule.keep_firing = 5min;
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}), std::vector{What::dropped});
}

TEST_F(RuleStateTest, ValueAndAnnotationsAreThoseOfTheLastMatch) {
  (void)at(1, {match("a", 7)});
  (void)at(2, {match("a", 8)});
  EXPECT_EQ(only().value, 8);
  EXPECT_EQ(only().annotations, labels_of({{"text", "is 8"}}));
  (void)at(3, {});
  EXPECT_EQ(only().value, 8) << "also of one that is over";
}

TEST_F(RuleStateTest, ALabelWithTheValueInItMakesAnotherAlertWhenTheValueChanges) {
  rule.labels = templated({{"v", "{{ $value }}"}});
  EXPECT_EQ(at(1, {match("a", 7)}), std::vector{What::fired});
  EXPECT_EQ(at(2, {match("a", 8)}), (std::vector{What::resolved, What::fired}));
  EXPECT_EQ(at(3, {match("a", 7)}), (std::vector{What::fired, What::resolved}));
  EXPECT_EQ(state().alerts().size(), 2U);
}

TEST_F(RuleStateTest, TheRulesLabelsAndAlertnameStandAboveThoseOfTheMatch) {
  rule.labels = templated({{"alertname", "Cold"}, {"gone", ""}, {"i", "of {{ $labels.i }}"}});
  (void)at(1, {{labels_of({{"__name__", "m"}, {"alertname", "x"}, {"gone", "y"}, {"i", "a"}}), 1}});
  EXPECT_EQ(only().labels, labels_of({{"alertname", "Hot"}, {"i", "of a"}}));
}

TEST_F(RuleStateTest, TwoMatchesThatBecomeTheSameAlertAreAnErrorThatChangesNothing) {
  rule.labels = templated({{"i", "same"}});
  rule.hold = 1min;
  (void)at(1, {match("a")});
  (void)at(2, {match("a"), match("b")});
  EXPECT_EQ(error_, "vector contains metrics with the same labelset after applying alert labels");
  EXPECT_EQ(only().state, AlertState::pending);
  EXPECT_EQ(only().matched_ms, minute);
  (void)at(3, {match("a"), match("b")});
  EXPECT_NE(error_, "") << "also when nothing is new any more";
  EXPECT_EQ(at(4, {match("b")}), std::vector{What::fired}) << "it went on meanwhile";
}

TEST_F(RuleStateTest, MetricsThatDifferInTheirNameAloneBecomeTheSameAlert) {
  (void)at(1, {{labels_of({{"__name__", "m"}}), 1}, {labels_of({{"__name__", "n"}}), 1}});
  EXPECT_NE(error_, "");
}

TEST_F(RuleStateTest, AtTheLimitAllIsWellAndOneAboveItAllAlertsAreGivenUp) {
  limit = 2;
  (void)at(1, {match("a"), match("b")});
  EXPECT_EQ(error_, "");
  (void)at(2, {match("a"), match("b"), match("c")});
  EXPECT_EQ(error_, "exceeded limit of 2 with 3 alerts");
  EXPECT_EQ(state().alerts().size(), 2U);
  const auto given_up = state().give_up();
  ASSERT_EQ(given_up.size(), 2U);
  EXPECT_EQ(given_up[0].what, What::dropped);
  EXPECT_EQ(given_up[0].alert.state, AlertState::firing);
  EXPECT_TRUE(state().alerts().empty());
  EXPECT_EQ(at(3, {match("a")}), std::vector{What::fired});
}

TEST_F(RuleStateTest, WhatIsKeptFiringCountsTowardsTheLimitAndWhatIsOverDoesNot) {
  limit = 1;
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {match("b")}), (std::vector{What::resolved, What::fired}));
  rule.keep_firing = 5min;
  (void)at(3, {match("c")});
  EXPECT_EQ(error_, "exceeded limit of 1 with 2 alerts");
}

TEST_F(RuleStateTest, ARuleMayGiveAsManyRowsAsItMayAndNoneMore) {
  rule.annotations.clear();
  std::vector<Match> matches;
  for (std::size_t i = 0; i < limits::rule_rows; ++i) matches.push_back(match(std::to_string(i)));
  EXPECT_EQ(at(1, matches).size(), limits::rule_rows);
  matches.push_back(match("more"));
  (void)at(2, matches);
  EXPECT_EQ(error_, "exceeded limit of 10000 with 10001 alerts");
  EXPECT_EQ(state().alerts().size(), limits::rule_rows);
}

TEST_F(RuleStateTest, AboveTheBoundOfAllRulesARuleThatWouldHaveMoreFailsAndKeepsWhatItHas) {
  AlertCount count(3);
  options.all = &count;
  RuleState other(rule, options);
  const Evaluation one{.at_ms = minute, .matches = {match("x")}};
  ASSERT_TRUE(other.match(one, 0));
  (void)at(1, {match("a"), match("b")});
  EXPECT_EQ(error_, "") << "at the bound";
  EXPECT_EQ(count.all(), 3U);
  (void)at(2, {match("a"), match("b"), match("c")});
  EXPECT_EQ(error_, "exceeded limit of 3 alerts of all rules");
  EXPECT_EQ(state().alerts().size(), 2U);
  EXPECT_EQ(count.all(), 3U);
  EXPECT_TRUE(other.match(one, 0)) << "who has no more than before is not held up";
  EXPECT_TRUE(state()
                  .begin({.at_ms = 2 * minute, .matches = {match("c")}}, 0,
                         [](std::size_t, std::int64_t) { return true; })
                  .empty());
  (void)at(3, {match("a")});
  EXPECT_EQ(count.all(), 2U);
  (void)at(4, {match("a"), match("c")});
  EXPECT_EQ(error_, "") << "there is room again";
}

TEST_F(RuleStateTest, ItsEvenShareARuleHasHoweverManyAlertsThereAre) {
  AlertCount count(2 * limits::rules);
  count.set(0, 3 * limits::rules);
  options.all = &count;
  (void)at(1, {match("a"), match("b")});
  EXPECT_EQ(error_, "");
  EXPECT_EQ(count.all(), 3 * limits::rules + 2);
  (void)at(2, {match("a"), match("b"), match("c")});
  EXPECT_EQ(error_, "exceeded limit of 40000 alerts of all rules");
  (void)at(3, {match("a")});
  EXPECT_EQ(count.all(), 3 * limits::rules + 1);
}

TEST_F(RuleStateTest, TheCountOfAllRulesIsThatOfTheirAlertsWhateverBecomesOfThem) {
  AlertCount count;
  options.all = &count;
  (void)at(1, {match("a"), match("b"), match("c")});
  (void)at(2, {match("a")});
  EXPECT_EQ(count.all(), 1U) << "what is over does not count";
  (void)state().begin({.at_ms = 2 * minute, .matches = {match("a"), match("d")}}, 0,
                      [](std::size_t, std::int64_t) { return true; });
  EXPECT_EQ(count.all(), 2U);
  Alert stored = state().alerts()[0];
  state().restore(stored, 0, 3 * minute);
  EXPECT_EQ(count.all(), 2U) << "it was there";
  stored.labels = alert("e");
  state().restore(stored, 0, 3 * minute);
  EXPECT_EQ(count.all(), 3U);
  {
    RuleState fresh(rule, options);
    fresh.take_over(state());
    EXPECT_EQ(count.all(), 6U) << "until the old one is gone";
  }
  EXPECT_EQ(count.all(), 3U);
  (void)state().give_up();
  EXPECT_EQ(count.all(), 0U);
}

TEST_F(RuleStateTest, OfThoseThatAreOverTheLastAreKeptAsManyAsARuleMayGive) {
  const auto matches = [](const std::string& prefix, std::size_t count) {
    std::vector<Match> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(match(prefix + std::to_string(i)));
    return all;
  };
  (void)at(1, {match("oldest")});
  (void)at(2, matches("a", limits::rule_rows - 1));
  (void)at(3, {match("now")});
  EXPECT_EQ(state().alerts().size(), limits::rule_rows + 1);
  EXPECT_NE(state().find(alert("oldest")), nullptr) << "at the bound";
  (void)at(4, {});
  EXPECT_EQ(state().alerts().size(), limits::rule_rows);
  EXPECT_EQ(state().find(alert("oldest")), nullptr);
  EXPECT_NE(state().find(alert("now")), nullptr);
  EXPECT_NE(state().find(alert("a0")), nullptr);
}

TEST_F(RuleStateTest, AlertsOfDifferentLabelsLiveApart) {
  rule.hold = 1min;
  EXPECT_EQ(at(1, {match("b"), match("a")}), (std::vector{What::pending, What::pending}));
  EXPECT_EQ(last_[0].alert.labels, alert("a")) << "in the order of their labels";
  EXPECT_EQ(at(2, {match("b"), match("c")}),
            (std::vector{What::dropped, What::fired, What::pending}));
  EXPECT_EQ(state().state(), AlertState::firing);
}

// ---- what is expanded ----

TEST_F(RuleStateTest, ATextIsExpandedAgainWhenWhatItSaysMayHaveChangedAndOnlyThen) {
  rule.annotations =
      templated({{"i", "{{ $labels.i }}"}, {"q", "{{ query \"x\" | first | value }}"}});
  (void)at(1, {match("a")});
  (void)at(2, {match("a")});
  EXPECT_EQ(queries_, 2) << "who asks a query is told anew every time";
  EXPECT_EQ(only().annotations.get("q"), "2");
}

TEST_F(RuleStateTest, AValueThatIsNoNumberStaysTheSame) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  (void)at(1, {match("a", nan)});
  EXPECT_EQ(at(2, {match("a", nan)}), std::vector<What>{});
  EXPECT_TRUE(std::isnan(only().value));
}

// ---- resolve_expr ----

TEST_F(RuleStateTest, WithResolveExprAnAlertStaysUntilThatReturnsItsLabels) {
  rule.resolve_node = parsed("m < 3");
  const auto low = [](const std::string& i) { return labels_of({{"i", i}}); };
  (void)at(1, {match("a"), match("b")});
  EXPECT_EQ(at(2, {}), std::vector<What>{});
  EXPECT_EQ(at(3, {}, {low("b"), low("c")}), std::vector{What::resolved});
  EXPECT_EQ(last_[0].alert.labels, alert("b"));
  EXPECT_EQ(at(100, {}), std::vector<What>{}) << "however long it takes";
  EXPECT_EQ(at(101, {match("a")}, {low("a")}), std::vector<What>{}) << "a match is stronger";
  EXPECT_EQ(at(102, {}, {low("a")}), std::vector{What::resolved});
}

TEST_F(RuleStateTest, ResolveExprFindsTheAlertByTheLabelsOfTheMatchWhateverTheRuleMadeOfThem) {
  rule.resolve_node = parsed("m < 3");
  rule.labels = templated({{"i", "of {{ $labels.i }}"}, {"v", "{{ $value }}"}});
  (void)at(1, {match("a"), match("b")});
  EXPECT_EQ(at(2, {}, {labels_of({{"i", "a"}})}), std::vector{What::resolved});
  EXPECT_EQ(last_[0].alert.labels.get("i"), "of a");
}

TEST_F(RuleStateTest, WithResolveExprAPendingAlertIsForgottenAllTheSame) {
  rule.resolve_node = parsed("m < 3");
  rule.hold = 2min;
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}), std::vector{What::dropped});
}

TEST_F(RuleStateTest, ResolveExprAndKeepFiringForMustBothBeOver) {
  rule.resolve_node = parsed("m < 3");
  rule.keep_firing = 2min;
  const std::vector low = {labels_of({{"i", "a"}})};
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}, low), std::vector<What>{});
  EXPECT_EQ(at(3, {}, low), std::vector<What>{});
  EXPECT_EQ(at(4, {}, {}), std::vector<What>{});
  EXPECT_EQ(at(5, {}, low), std::vector{What::resolved});
}

// ---- no_data ----

TEST_F(RuleStateTest, WithNoDataResolveAnAlertWhoseInputIsGoneIsOver) {
  rule.resolve_node = parsed("m < 3");
  rule.no_data = Rule::NoData::resolve;
  const auto row = [](const std::string& i) { return labels_of({{"i", i}}); };
  (void)at(1, {match("a"), match("b")});
  EXPECT_EQ(at(2, {}, {}, std::vector{row("a"), row("b")}), std::vector<What>{});
  EXPECT_EQ(at(3, {}, {}, std::vector{row("b")}), std::vector{What::resolved});
  EXPECT_EQ(last_[0].alert.labels, alert("a")) << "its own input, not that of another";
  EXPECT_EQ(at(4, {}, {}, std::vector<Labels>{}), std::vector{What::resolved});
}

TEST_F(RuleStateTest, WithNoDataKeepAnAlertUnderResolveExprStaysWhenItsInputIsGone) {
  rule.resolve_node = parsed("m < 3");
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}, {}, std::vector<Labels>{}), std::vector<What>{});
}

TEST_F(RuleStateTest, WithNoDataFireARuleWithoutInputAlerts) {
  rule = alerting_rule("Hot", "m{job=\"mill\",i=~\"a.*\"} > 5");
  rule.no_data = Rule::NoData::fire;
  rule.hold = 1min;
  EXPECT_EQ(at(1, {}, {}, std::vector{labels_of({{"job", "mill"}})}), std::vector<What>{});
  EXPECT_EQ(at(2, {}, {}, std::vector<Labels>{}), std::vector{What::pending});
  EXPECT_EQ(at(3, {}, {}, std::vector<Labels>{}), std::vector{What::fired});
  EXPECT_EQ(only().labels, labels_of({{"alertname", "Hot"}, {"job", "mill"}}));
  EXPECT_TRUE(std::isnan(only().value));
  EXPECT_EQ(at(4, {}, {}, std::vector<Labels>{}), std::vector<What>{});
  EXPECT_EQ(at(5, {}, {}, std::vector{labels_of({{"job", "mill"}})}), std::vector{What::resolved});
}

TEST_F(RuleStateTest, WithNoDataFireAlertsGoOnAsIfTheyMatchedAndNoneIsMade) {
  rule.no_data = Rule::NoData::fire;
  rule.hold = 1min;
  (void)at(1, {match("a")});
  EXPECT_EQ(at(2, {}, {}, std::vector<Labels>{}), std::vector{What::fired});
  EXPECT_EQ(only().labels, alert("a"));
  EXPECT_EQ(only().value, 7);
  EXPECT_EQ(at(3, {match("b")}), (std::vector{What::resolved, What::pending}));
}

TEST_F(RuleStateTest, WithNoDataFireAndResolveExprTheAlertOfNoDataEndsWhenThereIsDataAgain) {
  rule.no_data = Rule::NoData::fire;
  rule.resolve_node = parsed("m < 3");
  EXPECT_EQ(at(1, {}, {}, std::vector<Labels>{}), std::vector{What::fired});
  EXPECT_EQ(at(2, {}, {}, std::vector{labels_of({{"i", "a"}})}), std::vector{What::resolved});
}

// ---- restart and reload ----

class RestoreTest : public RuleStateTest {
 protected:
  // Active at minute 100, down at `down`, back at `back`; the moment from which on it counts.
  std::int64_t active_after(std::int64_t down, std::int64_t back) {
    Alert stored{.state = AlertState::pending, .labels = alert("a"), .active_ms = 100 * minute};
    state().restore(stored, (back - down) * minute, back * minute);
    return only().active_ms / minute;
  }
};

TEST_F(RestoreTest, TheDowntimeIsAddedWhenForWasNotOver) {
  rule.hold = 30min;
  EXPECT_EQ(active_after(105, 125), 120);
  EXPECT_EQ(at(149, {match("a")}), std::vector<What>{});
  EXPECT_EQ(at(150, {match("a")}), std::vector{What::fired});
}

TEST_F(RestoreTest, AnAlertDoesNotFireSoonerThanAfterTheGracePeriod) {
  rule.hold = 30min;
  EXPECT_EQ(active_after(125, 135), 115) << "it would have fired five minutes later: in ten";
}

TEST_F(RestoreTest, WhatWasOverFiresAtTheNextMatch) {
  rule.hold = 30min;
  EXPECT_EQ(active_after(130, 140), 100);
  EXPECT_EQ(at(140, {match("a")}), std::vector{What::fired});
}

TEST_F(RestoreTest, AShortForBeginsAnew) {
  rule.hold = 9min;
  EXPECT_EQ(active_after(104, 106), 106);
}

TEST_F(RestoreTest, APendingAlertThatDoesNotMatchAfterwardsIsForgotten) {
  rule.hold = 30min;
  (void)active_after(105, 106);
  EXPECT_EQ(at(106, {}), std::vector{What::dropped});
}

TEST_F(RestoreTest, AFiringAlertFiresOnAsItWasStored) {
  rule.hold = 30min;
  const Alert stored{.state = AlertState::firing,
                     .labels = alert("a"),
                     .active_ms = 10 * minute,
                     .fired_ms = 40 * minute,
                     .last_sent_ms = 41 * minute};
  state().restore(stored, 5 * minute, 50 * minute);
  EXPECT_EQ(at(50, {match("a")}), std::vector<What>{});
  EXPECT_EQ(only().fired_ms, 40 * minute);
  EXPECT_EQ(only().last_sent_ms, 41 * minute);
  EXPECT_EQ(at(51, {}), std::vector{What::resolved});
}

TEST_F(RestoreTest, ResolveExprFindsAnAlertThatWasRestoredAndDidNotMatchSince) {
  rule.resolve_node = parsed("m < 3");
  state().restore({.state = AlertState::firing, .labels = alert("a")}, 0, 50 * minute);
  EXPECT_EQ(at(50, {}, {labels_of({{"i", "b"}})}), std::vector<What>{});
  EXPECT_EQ(at(51, {}, {labels_of({{"i", "a"}})}), std::vector{What::resolved});
}

TEST_F(RestoreTest, WhatWasResolvedIsKeptUntilItsFifteenMinutesAreOver) {
  state().restore({.state = AlertState::inactive, .labels = alert("a"), .resolved_ms = 50 * minute},
                  minute, 60 * minute);
  (void)at(60, {});
  EXPECT_EQ(state().alerts().size(), 1U);
  (void)at(66, {});
  EXPECT_TRUE(state().alerts().empty());
}

TEST_F(RuleStateTest, TheRuleThatReplacesAnotherTakesItsAlertsOver) {
  rule.hold = 2min;
  (void)at(1, {match("a")});
  Rule longer = rule;
  longer.hold = 3min;
  RuleState replaced(longer, options);
  replaced.take_over(state());
  for (const auto& [minutes, fires] : {std::pair{3, false}, std::pair{4, true}}) {
    const auto happened = replaced.match({.at_ms = minutes * minute, .matches = {match("a")}}, 0);
    ASSERT_TRUE(happened.has_value());
    EXPECT_EQ(happened->size(), fires ? 1U : 0U);
  }
}

// ---- ALERTS and ALERTS_FOR_STATE ----

TEST_F(RuleStateTest, ItsSeriesSayTheStateAndSinceWhenInWholeSeconds) {
  rule.hold = 1min;
  (void)state().match({.at_ms = 61'999, .matches = {match("a")}}, 0);
  auto samples = state().samples();
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(samples[0].labels.text(),
            R"(ALERTS{alertname="Hot", alertstate="pending", i="a", severity="page"})");
  EXPECT_EQ(samples[0].value, 1);
  EXPECT_EQ(samples[1].labels.text(),
            R"(ALERTS_FOR_STATE{alertname="Hot", i="a", severity="page"})");
  EXPECT_EQ(samples[1].value, 61);
  (void)at(3, {match("a")});
  EXPECT_EQ(state().samples()[0].labels.get("alertstate"), "firing");
  (void)at(4, {});
  EXPECT_TRUE(state().samples().empty()) << "what is over has none";
}

TEST_F(RuleStateTest, ALabelOfTheRuleThatBecameEmptyStandsInItsSeriesAsItWasWritten) {
  rule.labels = templated({{"gone", "{{ $labels.nope }}"}});
  (void)at(1, {match("a")});
  EXPECT_EQ(only().labels.get("gone"), "");
  EXPECT_EQ(state().samples()[0].labels.get("gone"), "{{ $labels.nope }}");
}

TEST_F(RuleStateTest, NamesOfStates) {
  EXPECT_EQ(name_of(AlertState::inactive), "inactive");
  EXPECT_EQ(name_of(AlertState::pending), "pending");
  EXPECT_EQ(name_of(AlertState::firing), "firing");
}

}  // namespace
}  // namespace tallymill::alerting
