// Goal: what a sample begins between two evaluations is begun as at the timer, nothing else
// changes, and what is stored of it is enough to do it again. Method: a store in memory, moments
// that the test says.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "alerting/arrival_series.h"
#include "alerting/group.h"
#include "alerting/memory_store.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;
using collector::Labels;
using What = Transition::What;

constexpr std::int64_t minute = 60'000;

class BreakableStore final : public MemoryStore {
 public:
  bool is_full = false;
  Status append(std::span<const Sample> samples) override {
    if (is_full) return fail(Errc::disk, "full");
    return MemoryStore::append(samples);
  }
};

class OnArrivalTest : public testing::Test {
 protected:
  BreakableStore store;
  Rule rule = alerting_rule("Hot", "m > 5", {{"severity", "page"}}, {{"text", "is {{ $value }}"}});
  std::size_t limit = 0;
  std::unique_ptr<Group> group_;

  Group& group() {
    if (!group_)
      group_ = std::make_unique<Group>(
          RuleGroup{.file = "f", .name = "g", .limit = limit, .rules = {rule}}, Group::Options(),
          store, store);
    return *group_;
  }
  static Labels series(const std::string& i) { return labels_of({{"__name__", "m"}, {"i", i}}); }
  static Texts alerts(const std::string& i, const std::string& state) {
    return {{"__name__", "ALERTS"},
            {"alertname", "Hot"},
            {"alertstate", state},
            {"i", i},
            {"severity", "page"}};
  }
  void put(const std::string& i, std::int64_t t_ms, double value) {
    ASSERT_TRUE(store.add(series(i), t_ms, value));
  }
  static std::vector<What> whats(const std::vector<Group::Happened>& happened) {
    std::vector<What> all;
    for (const auto& one : happened) all.push_back(one.transition.what);
    return all;
  }
  std::vector<What> begin(std::int64_t t_ms, const std::vector<std::string>& series_of) {
    std::vector<Group::Arrival> arrivals;
    const auto found = store.select({}, 0, 0);
    for (const auto& one : *found)
      for (const std::string& i : series_of)
        if (one.labels == series(i)) arrivals.push_back({one.series, one.labels});
    return whats(group().begin(t_ms, 0, arrivals));
  }
  // One sample, judged as it comes.
  std::vector<What> arrives(const std::string& i, std::int64_t t_ms, double value) {
    put(i, t_ms, value);
    return begin(t_ms, {i});
  }
  std::vector<What> timer(std::int64_t t_ms) { return whats(group().evaluate(t_ms)); }
  std::string stored(const Texts& labels, std::int64_t t_ms) {
    const auto value = store.at(labels_of(labels), t_ms);
    if (!value) return "";
    return collector::is_stale(*value) ? "stale" : promql::number_text(*value);
  }
  std::vector<Alert> all() { return group().state(0).alerts(); }
};

TEST_F(OnArrivalTest, ASampleThatCrossesFiresARuleWithoutForAtOnce) {
  EXPECT_EQ(arrives("a", 1'234, 7), std::vector{What::fired});
  ASSERT_EQ(all().size(), 1U);
  const Alert alert = all()[0];
  EXPECT_EQ(alert.labels, labels_of({{"alertname", "Hot"}, {"i", "a"}, {"severity", "page"}}));
  EXPECT_EQ(alert.annotations, labels_of({{"text", "is 7"}}));
  EXPECT_EQ(alert.active_ms, 1'234);
  EXPECT_EQ(alert.fired_ms, 1'234);
  EXPECT_EQ(alert.value, 7);
  EXPECT_TRUE(arrives("a", 1'300, 8).empty()) << "it fires already";
}

TEST_F(OnArrivalTest, ASampleThatDoesNotCrossBeginsNothing) {
  EXPECT_TRUE(arrives("a", 1'000, 5).empty());
  EXPECT_TRUE(arrives("a", 1'001, collector::stale_marker).empty());
  EXPECT_TRUE(all().empty());
}

TEST_F(OnArrivalTest, OnlyTheTimerResolves) {
  (void)arrives("a", 1'000, 7);
  EXPECT_TRUE(arrives("a", 2'000, 1).empty());
  EXPECT_TRUE(arrives("a", 2'001, collector::stale_marker).empty());
  EXPECT_EQ(all()[0].state, AlertState::firing);
  EXPECT_EQ(timer(minute), std::vector{What::resolved});
  EXPECT_EQ(all()[0].resolved_ms, minute);
}

TEST_F(OnArrivalTest, AnAlertThatIsOverBeginsAnew) {
  (void)arrives("a", 1'000, 7);
  (void)arrives("a", 2'000, 1);
  (void)timer(minute);
  EXPECT_EQ(arrives("a", minute + 1, 9), std::vector{What::fired});
  EXPECT_EQ(all()[0].active_ms, minute + 1);
  EXPECT_EQ(all()[0].resolved_ms, 0);
  EXPECT_TRUE(timer(2 * minute).empty()) << "it goes on";
}

TEST_F(OnArrivalTest, TheTimerFindsItAsIfItHadBegunIt) {
  rule.hold = 2min;
  EXPECT_EQ(arrives("a", 30'000, 7), std::vector{What::pending});
  EXPECT_TRUE(timer(minute).empty());
  EXPECT_TRUE(timer(2 * minute).empty());
  EXPECT_EQ(all()[0].active_ms, 30'000) << "for counts from its own time";
  EXPECT_EQ(timer(150'000), std::vector{What::fired});
}

TEST_F(OnArrivalTest, WhatIsPendingAndDoesNotMatchAtTheTimerIsDropped) {
  rule.hold = 2min;
  (void)arrives("a", 30'000, 7);
  (void)arrives("a", 40'000, 1);
  EXPECT_EQ(timer(minute), std::vector{What::dropped});
}

TEST_F(OnArrivalTest, WhatWasAboveAllTheTimeFiresWithTheSampleThatFindsItsForOver) {
  rule.hold = 2min;
  (void)arrives("a", 30'000, 7);
  EXPECT_TRUE(arrives("a", 149'999, 7).empty());
  EXPECT_EQ(arrives("a", 150'000, 8), std::vector{What::fired});
  EXPECT_EQ(all()[0].fired_ms, 150'000);
  EXPECT_EQ(all()[0].active_ms, 30'000);
}

TEST_F(OnArrivalTest, WhatWasBelowMeanwhileWaitsForTheTimer) {
  rule.hold = 2min;
  (void)arrives("a", 30'000, 7);
  (void)arrives("a", 60'000, 5);
  EXPECT_TRUE(arrives("a", 90'000, 7).empty());
  EXPECT_TRUE(arrives("a", 160'000, 7).empty());
  EXPECT_EQ(all()[0].state, AlertState::pending);
}

TEST_F(OnArrivalTest, TheLastSampleIsWhatCountsWhateverCameBetween) {
  put("a", 1'000, 1);
  put("a", 900'000, 7);
  EXPECT_TRUE(begin(2'000, {"a"}).empty()) << "that sample's time has not come";
  EXPECT_TRUE(begin(900'000 + 5 * minute + 1, {"a"}).empty()) << "too old for the timer, too";
  EXPECT_EQ(begin(900'000 + 5 * minute, {"a"}), std::vector{What::fired});
}

TEST_F(OnArrivalTest, OthersOfTheRuleAreLeftAlone) {
  put("b", 1'000, 7);
  EXPECT_EQ(arrives("a", 1'000, 7), std::vector{What::fired});
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(timer(1'500), std::vector{What::fired}) << "b, by the timer";
}

TEST_F(OnArrivalTest, AboveTheLimitNothingBeginsAndNothingIsGivenUp) {
  limit = 2;
  for (const char* i : {"a", "b", "c"}) put(i, 1'000, 7);
  EXPECT_EQ(begin(1'000, {"a", "b", "c"}).size(), 2U);
  EXPECT_EQ(all().size(), 2U);
  EXPECT_TRUE(begin(1'001, {"c"}).empty());
}

TEST_F(OnArrivalTest, TwoSeriesThatBecomeTheSameAlertBeginOne) {
  rule.labels = templated({{"i", "one"}});
  for (const char* i : {"a", "b"}) put(i, 1'000, 7);
  EXPECT_EQ(begin(1'000, {"a", "b"}), std::vector{What::fired});
}

TEST_F(OnArrivalTest, ItsSeriesBeginAtItsMomentAndEndAtTheTimer) {
  rule.hold = 2min;
  (void)arrives("a", 30'000, 7);
  EXPECT_EQ(stored(alerts("a", "pending"), 30'000), "1");
  (void)arrives("a", 150'000, 8);
  EXPECT_EQ(stored(alerts("a", "pending"), 150'000), "stale");
  EXPECT_EQ(stored(alerts("a", "firing"), 150'000), "1");
  (void)arrives("a", 160'000, 1);
  EXPECT_EQ(stored(alerts("a", "firing"), 160'000), "");
  (void)timer(180'000);
  EXPECT_EQ(stored(alerts("a", "firing"), 180'000), "stale");
  EXPECT_EQ(stored(alerts("a", "pending"), 180'000), "") << "that is over already";
}

TEST_F(OnArrivalTest, WhatBeganItIsStoredAndBeginsItAgain) {
  rule.hold = 2min;
  (void)arrives("a", 30'000, 7);
  (void)arrives("a", 90'000, 9);
  (void)arrives("a", 150'000, 8);
  const Labels began = arrival_series(group().rules(), rule, series("a"));
  EXPECT_EQ(began.text(),
            R"(tallymill_rule_arrival{alertname="Hot", i="a", rule_group="g", rule_metric="m"})");
  EXPECT_TRUE(is_arrival_of(group().rules(), rule, began));
  EXPECT_EQ(store.at(began, 30'000), 7);
  EXPECT_EQ(store.at(began, 90'000), std::nullopt) << "it began nothing";
  EXPECT_EQ(store.at(began, 150'000), 8);

  MemoryStore other;
  Group again(RuleGroup{.file = "f", .name = "g", .rules = {rule}}, Group::Options(), other, other);
  for (const std::int64_t t_ms : {30'000, 150'000})
    (void)again.begin_again(t_ms, 0, {{match_of(began), *store.at(began, t_ms)}});
  ASSERT_EQ(again.state(0).alerts().size(), 1U);
  EXPECT_EQ(again.state(0).alerts()[0].labels, all()[0].labels);
  EXPECT_EQ(again.state(0).alerts()[0].fired_ms, 150'000);
  EXPECT_EQ(again.state(0).alerts()[0].active_ms, 30'000);
}

TEST_F(OnArrivalTest, WhatCannotBeStoredIsToldInTheRulesHealthAndTheAlertFires) {
  put("a", 1'000, 7);
  store.is_full = true;
  EXPECT_EQ(begin(1'000, {"a"}), std::vector{What::fired});
  EXPECT_EQ(group().status()[0].health, Health::err);
  EXPECT_EQ(group().status()[0].last_error, "full");
}

TEST_F(OnArrivalTest, WithResolveExprItGoesOnUntilThatReturnsItsLabels) {
  rule.resolve_expr = "m < 3";
  rule.resolve_node = parsed(rule.resolve_expr);
  (void)arrives("a", 1'000, 7);
  (void)arrives("a", 2'000, 4);
  EXPECT_TRUE(timer(minute).empty());
  (void)arrives("a", minute + 1, 2);
  EXPECT_EQ(timer(2 * minute), std::vector{What::resolved});
}

}  // namespace
}  // namespace tallymill::alerting
