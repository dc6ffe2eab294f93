// Goal: what is watched is judged soon, what is not costs nothing, and a flood is bounded. Method:
// a clock that the test moves, and a judge that takes what waits and counts.
#include "alerting/arrivals.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "alerting/memory_store.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;
using collector::Point;
using collector::SeriesId;

class SetClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(1h) + since; }
  [[nodiscard]] WallTime wall() const override { return WallTime(1'000'000h) + since; }
  Duration since{0};
};

class ArrivalsTest : public testing::Test {
 protected:
  SetClock clock;
  MemoryStore store;
  metrics::Registry registry;
  Arrivals::Options options;
  Tried answer = Tried::done;
  Duration takes{0};
  std::vector<std::string> judged;  // "rule:series", or "rule:" of one that could not be
  std::map<std::size_t, int> judgements;
  std::unique_ptr<Arrivals> arrivals_;
  std::uint32_t ids_ = 0;

  Arrivals& arrivals() {
    if (!arrivals_)
      arrivals_ = std::make_unique<Arrivals>(
          store,
          [this](const OnArrivalRule& rule, const TakeArrivals& take) { return judge(rule, take); },
          registry, clock, options);
    return *arrivals_;
  }
  Tried judge(const OnArrivalRule& rule, const TakeArrivals& take) {
    const std::string number = std::to_string(rule.rule) + ":";
    clock.since += takes;
    if (answer != Tried::done) {
      judged.push_back(number);
      return answer;
    }
    ++judgements[rule.rule];
    for (const Group::Arrival& one : take())
      judged.push_back(number + std::string(one.labels.get("i")));
    return answer;
  }
  void watch(const std::vector<std::string>& exprs) {
    std::vector<OnArrivalRule> rules;
    for (const std::string& expr : exprs) rules.push_back({1, 0, rules.size(), parsed(expr)});
    arrivals().watch(std::move(rules));
  }
  std::uint32_t make(const std::string& metric, const std::string& i) {
    arrivals().made(SeriesId(ids_), labels_of({{"__name__", metric}, {"i", i}}));
    return ids_++;
  }
  [[nodiscard]] std::int64_t now_ms() const { return to_ns(clock.wall()) / 1'000'000; }
  void arrives(std::uint32_t series, double value, std::int64_t ahead_ms = 0) {
    const Point point{SeriesId(series), now_ms() + ahead_ms, value};
    arrivals().arrived(std::span(&point, 1));
  }
  // All steps that are due; what was judged.
  std::vector<std::string> steps() {
    judged.clear();
    while (arrivals().step() <= clock.now()) {
    }
    return std::exchange(judged, {});
  }
  using Judged = std::vector<std::string>;
  double metric(const std::string& name) {
    const metrics::Snapshot snapshot = registry.snapshot();
    for (const auto& family : snapshot.families)
      if (family.name == name) return family.samples.at(0).value;
    return -1;
  }
};

TEST_F(ArrivalsTest, ASampleOfAWatchedSeriesThatCrossesIsJudged) {
  watch({"m > 5", "n < 2"});
  const auto m = make("m", "a");
  const auto n = make("n", "b");
  arrives(m, 6);
  arrives(n, 1);
  EXPECT_EQ(steps(), (Judged{"0:a", "1:b"}));
  arrives(m, 5);
  arrives(n, 2);
  EXPECT_TRUE(steps().empty()) << "neither crosses";
  EXPECT_EQ(arrivals().step(), Instant::max()) << "nothing waits";
}

TEST_F(ArrivalsTest, OnlyWhatFitsTheWholeSelectorIsWatched) {
  watch({R"(m{i=~"a.*"} > 5)", R"({i="c"} > 5)"});
  const auto fits = make("m", "ab");
  const auto other = make("m", "b");
  const auto any = make("whatever", "c");
  for (const auto series : {fits, other, any}) arrives(series, 6);
  EXPECT_EQ(steps(), (Judged{"0:ab", "1:c"}));
}

TEST_F(ArrivalsTest, SeriesThatWereThereBeforeAreWatchedToo) {
  ASSERT_TRUE(store.add(labels_of({{"__name__", "m"}, {"i", "a"}}), now_ms(), 1));
  watch({"m > 5"});
  arrives(0, 6);
  EXPECT_EQ(steps(), Judged{"0:a"});
}

TEST_F(ArrivalsTest, AfterAReloadEachSeriesIsJudgedOnce) {
  for (const char* i : {"a", "b"})
    ASSERT_TRUE(store.add(labels_of({{"__name__", "m"}, {"i", i}}), now_ms(), 6));
  arrivals().watch({{2, 0, 0, parsed("m > 5")}}, true);
  EXPECT_EQ(steps(), (Judged{"0:a", "0:b"}));
  EXPECT_EQ(arrivals().step(), Instant::max());
}

TEST_F(ArrivalsTest, ASeriesOfTwoRulesIsJudgedForBoth) {
  watch({"m > 5", "m > 7"});
  const auto m = make("m", "a");
  arrives(m, 6);
  EXPECT_EQ(steps(), Judged{"0:a"});
  clock.since += 20ms;
  arrives(m, 8);
  EXPECT_EQ(steps(), (Judged{"0:a", "1:a"}));
}

TEST_F(ArrivalsTest, AFloodIsJudgedFiftyTimesASecond) {
  watch({"m > 5"});
  const auto m = make("m", "a");
  for (int i = 0; i < 100'000; ++i) {
    arrives(m, 6);
    (void)steps();
    clock.since += 10us;
  }
  EXPECT_EQ(judgements[0], 50);
  EXPECT_EQ(metric("tallymill_alerting_arrival_evaluations_total"), 50);
  EXPECT_EQ(metric("tallymill_alerting_arrivals_merged_total"), 100'000 - 50 - 1);
}

TEST_F(ArrivalsTest, TheSamplesThatCameMeanwhileAreJudgedTogether) {
  watch({"m > 5"});
  const auto a = make("m", "a");
  const auto b = make("m", "b");
  arrives(a, 6);
  EXPECT_EQ(steps(), Judged{"0:a"});
  arrives(b, 6);
  arrives(a, 6);
  EXPECT_TRUE(steps().empty()) << "it was judged just now";
  clock.since += limits::arrival_distance - 1ns;
  EXPECT_TRUE(steps().empty());
  clock.since += 1ns;
  EXPECT_EQ(steps(), (Judged{"0:b", "0:a"}));
}

TEST_F(ArrivalsTest, JudgingTakesAFifthOfTheTimeAtMost) {
  takes = 10ms;
  std::vector<std::string> rules;
  for (int i = 0; i < 100; ++i) rules.push_back("m > " + std::to_string(i));
  watch(rules);
  const auto m = make("m", "a");
  Duration busy{0};
  const Duration end = clock.since + 1s;
  while (clock.since < end) {
    arrives(m, 1'000);
    const auto before = clock.since;
    const Instant next = arrivals().step();
    busy += clock.since - before;
    if (next > clock.now()) clock.since = next - Instant(1h);
  }
  EXPECT_EQ(busy, 200ms);
  EXPECT_EQ(metric("tallymill_alerting_arrival_rests_total"), 20);
}

TEST_F(ArrivalsTest, AGroupThatIsBeingEvaluatedIsLookedAtAgain) {
  watch({"m > 5"});
  const auto m = make("m", "a");
  answer = Tried::later;
  arrives(m, 6);
  EXPECT_EQ(steps(), Judged{"0:"});
  EXPECT_TRUE(steps().empty()) << "not at once";
  answer = Tried::done;
  clock.since += limits::arrival_again;
  EXPECT_EQ(steps(), Judged{"0:a"});
}

TEST_F(ArrivalsTest, WhatIsOfRulesThatAreGoneIsDropped) {
  watch({"m > 5"});
  const auto m = make("m", "a");
  answer = Tried::gone;
  arrives(m, 6);
  EXPECT_EQ(steps(), Judged{"0:"});
  EXPECT_EQ(arrivals().step(), Instant::max());
  watch({"n > 5"});
  arrives(m, 6);
  EXPECT_EQ(arrivals().step(), Instant::max()) << "nobody watches it any more";
}

TEST_F(ArrivalsTest, ASampleOfALittleLaterIsJudgedWhenItsTimeHasCome) {
  watch({"m > 5"});
  const auto a = make("m", "a");
  const auto b = make("m", "b");
  arrives(a, 6, 100);
  arrives(b, 6, 50);
  EXPECT_TRUE(steps().empty());
  clock.since += 50ms;
  EXPECT_EQ(steps(), Judged{"0:b"});
  clock.since += 50ms;
  EXPECT_EQ(steps(), Judged{"0:a"});
}

TEST_F(ArrivalsTest, ASampleThatIsTooFarAheadOrTooOldWaitsForTheTimer) {
  watch({"m > 5"});
  const auto m = make("m", "a");
  arrives(m, 6, limits::arrival_ahead.count() + 1);
  arrives(m, 6, -options.lookback.count() - 1);
  EXPECT_EQ(arrivals().step(), Instant::max());
  arrives(m, 6, -options.lookback.count());
  EXPECT_EQ(steps(), Judged{"0:a"});
}

TEST_F(ArrivalsTest, ASeriesThatWasForgottenIsWatchedNoMore) {
  watch({"m > 5"});
  const auto m = make("m", "a");
  arrives(m, 6);
  const SeriesId id(m);
  arrivals().forgotten(std::span(&id, 1));
  EXPECT_TRUE(steps().empty());
  arrives(m, 6);
  EXPECT_EQ(arrivals().step(), Instant::max());
  EXPECT_EQ(metric("tallymill_alerting_watched_series"), 0);
}

TEST_F(ArrivalsTest, AsManySeriesAreWatchedAsMayAndThoseAboveAreCounted) {
  options.watches = 2;
  watch({"m > 5"});
  const auto a = make("m", "a");
  const auto b = make("m", "b");
  EXPECT_EQ(metric("tallymill_alerting_watched_series"), 2);
  EXPECT_EQ(metric("tallymill_alerting_unwatched_series"), 0);
  const auto c = make("m", "c");
  EXPECT_EQ(metric("tallymill_alerting_unwatched_series"), 1);
  for (const auto series : {a, b, c}) arrives(series, 6);
  EXPECT_EQ(steps(), (Judged{"0:a", "0:b"}));
}

}  // namespace
}  // namespace tallymill::alerting
