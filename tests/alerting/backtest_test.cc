// Goal: a backtest says what live evaluation would have done, and what it does not know.
// Method: the same rules over the same samples twice: by Groups, evaluated at each of their moments
// while samples come in, and by a backtest afterwards.
#include "alerting/backtest.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "alerting/backtest_notices.h"
#include "alerting/memory_store.h"
#include "alerting/schedule.h"
#include "collector/stable_sort.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t start_ms = 1'700'000'000'000;
constexpr std::int64_t minute_ms = 60'000;

// Under ThreadSanitizer a seed takes 25 times as long, and two have all the threads there are.
#ifdef __SANITIZE_THREAD__
constexpr unsigned seeds = 2;
#else
constexpr unsigned seeds = 20;
#endif

struct Point {
  collector::Labels labels;
  std::int64_t t_ms;
  double value;
};

// What an alert did: rule, labels, since when, from when to when.
using Told = std::tuple<std::string, std::string, std::int64_t, std::int64_t, std::int64_t>;

std::string text(const std::set<Told>& all) {
  std::string out;
  for (const auto& [rule, labels, pending, fired, ended] : all)
    out += fmt::format("{} {} {} {} {}\n", rule, labels, pending - start_ms, fired - start_ms,
                       ended == 0 ? 0 : ended - start_ms);
  return out;
}

// Evaluates as a Manager would, were its clock never late.
std::set<Told> live(const std::vector<RuleGroup>& rules, const std::vector<Point>& points,
                    std::int64_t from_ms, std::int64_t to_ms, MemoryStore& store) {
  std::vector<std::unique_ptr<Group>> groups;
  std::vector<std::tuple<std::int64_t, std::size_t>> due;
  for (const RuleGroup& rule : rules) {
    groups.push_back(std::make_unique<Group>(rule, Group::Options(), store, store));
    const std::int64_t every = groups.back()->interval().count();
    const std::int64_t offset = offset_of(rule.file, rule.name, every);
    for (std::int64_t t = moment_from(from_ms, every, offset); t <= to_ms; t += every)
      due.emplace_back(t, groups.size() - 1);
  }
  std::ranges::sort(due);
  std::size_t next = 0;
  std::map<std::pair<std::string, std::string>, Told> open;
  std::set<Told> told;
  for (const auto& [t, group] : due) {
    for (; next < points.size() && points[next].t_ms <= t; ++next)
      store.add(points[next].labels, points[next].t_ms, points[next].value);
    for (const auto& [number, one] : groups[group]->evaluate(t)) {
      const Rule& rule = groups[group]->rules().rules[number];
      const std::string labels = one.alert.labels.text();
      const auto key = std::pair(rule.name + rule.expr, labels);
      if (one.what == Transition::What::fired) {
        open[key] = {rule.name, labels, one.alert.active_ms, t, 0};
      } else if (const auto at = open.find(key);
                 at != open.end() && one.what != Transition::What::pending) {
        std::get<4>(at->second) = t;
        told.insert(at->second);
        open.erase(at);
      }
    }
  }
  for (const auto& [key, one] : open) told.insert(one);
  return told;
}

std::set<Told> told_of(const Backtest& result) {
  std::set<Told> told;
  for (const Firing& one : result.firings)
    told.emplace(result.rules[one.rule].name, one.labels.text(), one.pending_ms, one.fired_ms,
                 one.ended_ms);
  return told;
}

Rule held(Rule rule, milliseconds hold, milliseconds keep = milliseconds(0)) {
  rule.hold = hold;
  rule.keep_firing = keep;
  return rule;
}

// Counters with resets and gauges that walk, with gaps and stale markers.
std::vector<Point> made_points(std::mt19937_64& random, std::int64_t length_ms) {
  std::vector<Point> points;
  for (int i = 0; i < 8; ++i) {
    const bool counter = i < 4;
    const auto labels = labels_of({{"__name__", counter ? "requests_total" : "depth"},
                                   {"job", i % 2 == 0 ? "a" : "b"},
                                   {"instance", std::to_string(i % 4)}});
    double value = 50;
    bool is_there = true;
    for (std::int64_t t = start_ms; t <= start_ms + length_ms; t += 15'000) {
      if (random() % 40 == 0) {
        is_there = !is_there;
        if (!is_there && random() % 2 == 0) points.push_back({labels, t, collector::stale_marker});
      }
      const double move = static_cast<double>(random() % 21);
      value = counter ? (random() % 50 == 0 ? 0 : value + move) : value + move - 10;
      if (is_there) points.push_back({labels, t + static_cast<std::int64_t>(random() % 3), value});
    }
  }
  collector::stable_sort(points, [](const Point& a, const Point& b) { return a.t_ms < b.t_ms; });
  return points;
}

std::vector<RuleGroup> made_groups() {
  RuleGroup chain{.file = "r.yml", .name = "chain", .interval = seconds(15)};
  chain.rules.push_back(
      recording_rule("job:requests:rate1m", "sum by (job)(rate(requests_total[1m]))"));
  chain.rules.push_back(recording_rule("job:requests:rate1m:max",
                                       "max_over_time(job:requests:rate1m[3m])", {{"of", "max"}}));
  chain.rules.push_back(held(alerting_rule("Fast", "job:requests:rate1m > 0.9"), seconds(30)));
  chain.rules.push_back(alerting_rule("WasFast", R"({__name__=~"job:.*:max"} > 1)",
                                      {{"v", "{{ $value | humanize }}"}}));
  chain.rules.push_back(
      held(alerting_rule("Deep", "depth > 70"), seconds(60 * 1), seconds(60 * 2)));
  RuleGroup other{.file = "r.yml", .name = "other", .interval = seconds(20)};
  other.rules.push_back(
      held(alerting_rule("Both", R"(ALERTS{alertstate="firing"} and on (job) depth > 60)"),
           seconds(20)));
  other.rules.push_back(held(alerting_rule("Gone", R"(absent(depth{instance="1"}))"), seconds(20)));
  other.rules.push_back(
      alerting_rule("Pair", R"(depth > on (instance) group_left depth{job="a"})"));
  RuleGroup self{.file = "r.yml", .name = "self", .interval = seconds(30), .limit = 3};
  self.rules.push_back(alerting_rule("Later", "total:depth > 200"));
  self.rules.push_back(recording_rule("total:depth", "sum(depth) or total:depth offset 30s"));
  self.rules.push_back(recording_rule("count:self", "(count:self offset 30s or vector(0)) + 1"));
  self.rules.push_back(alerting_rule("Odd", "count:self % 7 == 0"));
  self.rules.push_back(alerting_rule("Many", "depth > 55"));
  RuleGroup ours{.file = "r.tm.yml", .name = "ours", .interval = seconds(15)};
  Rule hysteresis = alerting_rule("Hysteresis", "depth > 70");
  hysteresis.resolve_expr = "depth < 50";
  hysteresis.resolve_node = parsed(hysteresis.resolve_expr);
  hysteresis.no_data = Rule::NoData::resolve;
  ours.rules.push_back(hysteresis);
  Rule no_data = alerting_rule("NoData", R"(depth{instance="2",job="a"} > 90)");
  no_data.no_data = Rule::NoData::fire;
  ours.rules.push_back(no_data);
  ours.rules.push_back(alerting_rule("Start", "depth - depth @ start() offset 1m > 25"));
  ours.rules.push_back(alerting_rule("Ahead", "depth offset -1m > 70"));
  ours.rules.push_back(alerting_rule("Low", "min_over_time(depth[2m:30s]) < 20"));
  return {chain, other, self, ours};
}

TEST(Backtest, TellsWhatGroupsDidWhenTheyWereEvaluatedMomentByMoment) {
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    constexpr std::int64_t length_ms = 6 * 60 * minute_ms;
    const auto points = made_points(random, length_ms);
    const auto groups = made_groups();
    const std::int64_t from_ms = start_ms + 10 * minute_ms + 1;
    MemoryStore store;
    for (const Point& one : points)
      if (one.t_ms < from_ms) store.add(one.labels, one.t_ms, one.value);
    const auto expected = live(groups, points, from_ms, start_ms + length_ms, store);
    // What they gave then is stored, and none of it may be seen.
    const auto result =
        backtest(groups, store,
                 {.from_ms = from_ms, .to_ms = start_ms + length_ms, .threads = 1 + seed % 2});
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(text(told_of(*result)), text(expected));
    std::set<std::string> names;
    for (const auto& one : expected) names.insert(std::get<0>(one));
    EXPECT_GE(names.size(), 12U) << "so that all kinds are compared";
  }
}

TEST(Backtest, WhatSamplesBeganBetweenTwoMomentsBeginsAgain) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    constexpr std::int64_t length_ms = 2 * 60 * minute_ms;
    RuleGroup rules{.file = "r.tm.yml", .name = "arrivals", .interval = seconds(150)};
    rules.rules.push_back(alerting_rule("Deep", "depth > 70", {{"v", "{{ $labels.job }}"}}));
    rules.rules.push_back(held(alerting_rule("Long", "40 > depth"), seconds(40)));
    rules.rules.push_back(alerting_rule("AtTheTimer", "depth > 70"));
    rules.rules.push_back(alerting_rule("Reads", R"(ALERTS{alertname="Deep"} == 1)"));
    rules.rules[0].on_arrival = rules.rules[1].on_arrival = true;
    MemoryStore store;
    Group group(rules, Group::Options(), store, store);
    const std::int64_t every = group.interval().count();
    std::int64_t due = moment_from(start_ms, every, offset_of(rules.file, rules.name, every));
    std::map<std::string, Told> open;
    std::set<Told> told;
    std::size_t on_arrival = 0;
    const auto note = [&](const std::vector<Group::Happened>& happened, std::int64_t t) {
      for (const auto& [number, one] : happened) {
        const std::string& name = rules.rules[number].name;
        const std::string key = name + one.alert.labels.text();
        if (one.what == Transition::What::fired) {
          open[key] = {name, one.alert.labels.text(), one.alert.active_ms, t, 0};
        } else if (open.contains(key) && one.what != Transition::What::pending) {
          std::get<4>(open[key]) = t;
          told.insert(open[key]);
          open.erase(key);
        }
      }
    };
    for (const Point& point : made_points(random, length_ms)) {
      for (; due < point.t_ms; due += every) note(group.evaluate(due), due);
      store.add(point.labels, point.t_ms, point.value);
      // Some of them, and none at a moment of the timer: as Manager has it.
      if ((point.t_ms - start_ms) % 15'000 != 1 || point.t_ms == due) continue;
      const auto found = store.select({}, 0, 0);
      for (const auto& one : *found)
        for (const std::size_t rule : {0U, 1U})
          if (one.labels == point.labels && one.labels.metric() == "depth") {
            const std::vector<Group::Arrival> arrivals{{one.series, one.labels}};
            const auto begun = group.begin(point.t_ms, rule, arrivals);
            on_arrival += begun.size();
            note(begun, point.t_ms);
          }
    }
    for (; due <= start_ms + length_ms; due += every) note(group.evaluate(due), due);
    for (const auto& [key, one] : open) told.insert(one);
    const auto result =
        backtest({rules}, store, {.from_ms = start_ms, .to_ms = start_ms + length_ms});
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_EQ(text(told_of(*result)), text(told));
    EXPECT_GE(on_arrival, 5U);
  }
}

constexpr std::int64_t hour_ms = 60 * minute_ms;

RuleGroup group_of(std::vector<Rule> rules) {
  return {.file = "r.yml", .name = "g", .interval = seconds(15), .rules = std::move(rules)};
}

// One gauge, a sample each 15 s.
MemoryStore line_of(const std::string& name, std::int64_t length_ms, auto value) {
  MemoryStore store;
  for (std::int64_t t = 0; t <= length_ms; t += 15'000)
    store.add(labels_of({{"__name__", name}}), start_ms + t, value(t));
  return store;
}

TEST(Backtest, TellsWhenAnAlertWasPendingFiredEndedAndItsPeak) {
  const MemoryStore store = line_of("depth", hour_ms, [](std::int64_t t) {
    return t < 10 * minute_ms || t >= 20 * minute_ms ? 1.0 : static_cast<double>(t / minute_ms);
  });
  const auto result = backtest({group_of({held(alerting_rule("Deep", "depth > 5"), seconds(60)),
                                          alerting_rule("Shallow", "depth < 5")})},
                               store, {.from_ms = start_ms, .to_ms = start_ms + hour_ms});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_EQ(result->firings.size(), 3U);
  const Firing& deep = result->firings[1];
  EXPECT_EQ(result->rules[deep.rule].name, "Deep");
  EXPECT_EQ(deep.fired_ms - deep.pending_ms, 60'000);
  EXPECT_NEAR(static_cast<double>(deep.pending_ms - start_ms), 10 * minute_ms, 15'000);
  EXPECT_NEAR(static_cast<double>(deep.ended_ms - start_ms), 20 * minute_ms, 15'000);
  EXPECT_EQ(deep.value, 11);
  EXPECT_EQ(deep.peak, 19);
  EXPECT_EQ(result->firings[2].ended_ms, 0) << "it still fires";
  EXPECT_EQ(result->rules[0].firings, 1U);
  EXPECT_EQ(result->rules[0].longest_ms, deep.ended_ms - deep.fired_ms);
  EXPECT_TRUE(result->warnings.empty());
}

TEST(Backtest, RefusesWhatCannotBeJudgedAndSaysTheNumbers) {
  const MemoryStore store = line_of("depth", hour_ms, [](std::int64_t) { return 1.0; });
  const auto rules = group_of({alerting_rule("Deep", "depth > 5")});
  const BacktestOptions hour{.from_ms = start_ms, .to_ms = start_ms + hour_ms};
  BacktestOptions backwards = hour;
  std::swap(backwards.from_ms, backwards.to_ms);
  EXPECT_EQ(backtest({rules}, store, backwards).error().code, Errc::bad_params);
  EXPECT_EQ(backtest({}, store, hour).error().code, Errc::bad_params);
  EXPECT_EQ(backtest({group_of({recording_rule("a", "depth")})}, store, hour).error().code,
            Errc::bad_params);

  const std::uint64_t needed = backtest({rules}, store, hour)->evaluations;
  BacktestOptions few = hour;
  few.evaluations = needed;
  EXPECT_TRUE(backtest({rules}, store, few).has_value());
  few.evaluations = needed - 1;
  const auto refused = backtest({rules}, store, few);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::too_big);
  EXPECT_NE(refused.error().message.find(
                fmt::format("{} evaluations are more than the {}", needed, needed - 1)),
            std::string::npos);
}

TEST(Backtest, HasAsManyFiringsAndSamplesOfRulesAsMayBeAndNotOneMore) {
  const MemoryStore store = line_of(
      "depth", hour_ms, [](std::int64_t t) { return static_cast<double>(t / minute_ms % 10); });
  const auto alerts = group_of({alerting_rule("Deep", "depth > 5")});
  BacktestOptions options{.from_ms = start_ms, .to_ms = start_ms + hour_ms};
  options.firings = backtest({alerts}, store, options)->firings.size();
  EXPECT_EQ(options.firings, 6U);
  EXPECT_TRUE(backtest({alerts}, store, options).has_value());
  --options.firings;
  EXPECT_EQ(backtest({alerts}, store, options).error().code, Errc::too_big);

  const auto chain = group_of({recording_rule("a", "depth"), alerting_rule("Deep", "a > 50")});
  options.firings = limits::backtest_firings;
  options.samples = backtest({chain}, store, options)->evaluations / 2;  // one of two rules records
  const auto at_it = backtest({chain}, store, options);
  --options.samples;
  const auto above = backtest({chain}, store, options);
  EXPECT_TRUE(at_it.has_value());
  ASSERT_FALSE(above.has_value());
  EXPECT_EQ(above.error().code, Errc::too_big);
}

TEST(Backtest, SaysLoudlyThatThereAreNoSamples) {
  const MemoryStore store = line_of("depth", hour_ms, [](std::int64_t) { return 1.0; });
  const auto before = backtest({group_of({alerting_rule("Deep", "depth > 5")})}, store,
                               {.from_ms = start_ms - 10 * hour_ms, .to_ms = start_ms - hour_ms});
  ASSERT_TRUE(before.has_value());
  ASSERT_FALSE(before->warnings.empty());
  EXPECT_TRUE(before->warnings[0].starts_with("NO SAMPLES")) << before->warnings[0];
  const auto around =
      backtest({group_of({alerting_rule("Deep", "depth > 5"), alerting_rule("None", "width > 5")})},
               store, {.from_ms = start_ms - hour_ms, .to_ms = start_ms + 3 * hour_ms});
  ASSERT_TRUE(around.has_value());
  ASSERT_EQ(around->warnings.size(), 3U);
  EXPECT_NE(around->warnings[0].find("the first samples"), std::string::npos);
  EXPECT_NE(around->warnings[1].find("the last samples"), std::string::npos);
  EXPECT_NE(around->warnings[2].find("None: there are no samples"), std::string::npos);
}

TEST(Backtest, AnExpressionThatIsARangeVectorOrAStringFailsAtEachMoment) {
  MemoryStore store = line_of("depth", hour_ms, [](std::int64_t) { return 9.0; });
  const auto result =
      backtest({group_of({alerting_rule("Range", "depth[5m]"), alerting_rule("Text", "\"x\""),
                          alerting_rule("Deep", "depth > 5")})},
               store, {.from_ms = start_ms, .to_ms = start_ms + hour_ms});
  ASSERT_TRUE(result.has_value());
  for (const std::size_t rule : {0U, 1U}) {
    EXPECT_GE(result->rules[rule].failures, 60U);
    EXPECT_EQ(result->rules[rule].first_error, "rule result is not a vector or scalar");
  }
  EXPECT_EQ(result->rules[2].failures, 0U);
  ASSERT_EQ(result->firings.size(), 1U) << "of Deep alone";
}

TEST(Backtest, AnExpressionThatFailsAtSomeMomentsFailsAtThoseOnly) {
  MemoryStore store = line_of("depth", hour_ms, [](std::int64_t) { return 9.0; });
  for (std::int64_t t = 30 * minute_ms; t < 31 * minute_ms; t += 15'000)
    for (const char* side : {"a", "b"})
      store.add(labels_of({{"__name__", "width"}, {"side", side}}), start_ms + t, 1);
  for (const char* side : {"a", "b"})
    store.add(labels_of({{"__name__", "width"}, {"side", side}}), start_ms + 31 * minute_ms,
              collector::stale_marker);
  const auto result =
      backtest({group_of({alerting_rule("Deep", "depth > 5 unless on () (depth == on () width)")})},
               store, {.from_ms = start_ms, .to_ms = start_ms + hour_ms});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->rules[0].failures, 4U) << result->rules[0].first_error;
  ASSERT_EQ(result->firings.size(), 1U) << "a failure ends nothing";
  EXPECT_EQ(result->firings[0].ended_ms, 0);
}

TEST(Backtest, EndsWhenWhoAskedIsGoneOrItsTimeIsOver) {
  const MemoryStore store = line_of("depth", hour_ms, [](std::int64_t) { return 1.0; });
  const std::atomic<bool> cancelled = true;
  const auto rules = group_of({alerting_rule("Deep", "depth > 5")});
  BacktestOptions options{.from_ms = start_ms, .to_ms = start_ms + hour_ms};
  options.cancelled = &cancelled;
  EXPECT_EQ(backtest({rules}, store, options).error().code, Errc::cancelled);
  options.cancelled = nullptr;
  options.until = std::chrono::steady_clock::now() - seconds(1);
  EXPECT_EQ(backtest({rules}, store, options).error().code, Errc::deadline);
}

TEST(Backtest, SaysFromHowCoarseSamplesARuleWasJudged) {
  class Thinned final : public collector::Source {
   public:
    explicit Thinned(const MemoryStore& store) : store_(store) {}
    Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers,
                                      std::int64_t from, std::int64_t to) const override {
      auto found = store_.select(matchers, from, to);
      if (found && from < start_ms + 10 * minute_ms)
        for (Found& one : *found) one.step_ms = 300'000;
      return found;
    }
    Status read(collector::SeriesId series, std::int64_t from, std::int64_t to,
                collector::Column& into) const override {
      return store_.read(series, from, to, into);
    }

   private:
    const MemoryStore& store_;
  };
  const MemoryStore store = line_of("depth", hour_ms, [](std::int64_t) { return 1.0; });
  const auto result = backtest({group_of({alerting_rule("Deep", "depth > 5")})}, Thinned(store),
                               {.from_ms = start_ms, .to_ms = start_ms + hour_ms});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->rules[0].step_ms, 300'000);
  ASSERT_EQ(result->warnings.size(), 1U);
  EXPECT_NE(result->warnings[0].find("from one sample in 5m"), std::string::npos);
}

TEST(BacktestNotices, AreOneForEachFiringAndEndAndReminders) {
  Backtest result{.from_ms = start_ms, .to_ms = start_ms + 24 * hour_ms};
  for (int i = 0; i < 3; ++i)
    result.firings.push_back({.labels = labels_of({{"alertname", "A"}, {"i", std::to_string(i)}}),
                              .pending_ms = start_ms,
                              .fired_ms = start_ms + i * 1'000,
                              .ended_ms = i == 2 ? 0 : start_ms + 9 * hour_ms});
  const auto alone = count_messages(result, nullptr);
  ASSERT_EQ(alone.size(), 1U);
  EXPECT_EQ(alone[0].messages, 5U);
  EXPECT_EQ(alone[0].reminders, 2U + 2U + 5U) << "every 4 hours: two of 9 h each, and of 24 h less";
  const auto grouped = count_messages(
      result, "ops", {.by_all = false, .group_by = {"alertname"}, .wait = seconds(30)});
  EXPECT_EQ(grouped.messages, 2U) << "the three begin together, the two end together";
  EXPECT_EQ(grouped.reminders, 0U);
}

}  // namespace
}  // namespace tallymill::alerting
