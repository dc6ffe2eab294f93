// bench rules: what one core judges of rules over series in memory. usage: figures.h.
//
// groups: 10,000 rules of 20 shapes in groups of 100, over 10,000 live series, of which 5 % cross
// their threshold at each moment. same, values: one rule with 10,000 alerts, whose matches stay the
// same but for 5 % that come and go; whose values all change, and stand in an annotation.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "alerting/group.h"
#include "alerting/memory_store.h"
#include "base/check.h"
#include "bench/figures.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using Stopwatch = std::chrono::steady_clock;
using collector::Labels;

constexpr std::size_t series_count = 10'000;
constexpr std::size_t group_rules = 100;
constexpr std::int64_t begin_ms = 1'700'000'000'000;

// {0}: the series, {1}: one of a hundred zones of a hundred series each.
constexpr std::array<const char*, 20> shapes = {
    R"(g{{i="{0}"}} > 5)",
    R"(g{{i="{0}"}} < 5)",
    R"(g{{i="{0}",zone="{1}"}} >= 5 and on (i) g{{i="{0}"}} < 100)",
    R"(g{{i="{0}"}} * 2 > 10)",
    R"(rate(g{{i="{0}"}}[30s]) > 0.5)",
    R"(increase(g{{i="{0}"}}[30s]) > 10)",
    R"(avg_over_time(g{{i="{0}"}}[30s]) > 5)",
    R"(max_over_time(g{{i="{0}"}}[30s]) > 5)",
    R"(min_over_time(g{{i="{0}"}}[30s]) > 5)",
    R"(changes(g{{i="{0}"}}[30s]) > 3)",
    R"(delta(g{{i="{0}"}}[30s]) > 3)",
    R"(absent(g{{i="{0}"}}))",
    R"(g{{i="{0}"}} - g{{i="{0}"}} offset 10s > 3)",
    R"(abs(g{{i="{0}"}} - 5) > 3)",
    R"(clamp_max(g{{i="{0}"}}, 7) > 5)",
    R"(sum without (zone) (g{{i="{0}"}}) > 5)",
    R"(max by (i) (g{{i="{0}"}}) > 5)",
    R"(g{{i="{0}"}} > 5 unless on (i) g{{i="{0}"}} > 100)",
    R"(g{{i="{0}"}} > 5 or g{{i="{0}"}} < 1)",
    R"(label_replace(g{{i="{0}"}}, "who", "one", "i", ".*") > 5)"};

// A live series each; five in a hundred go over to the other side at each moment.
class Live {
 public:
  Live() : values_(series_count, 2) {
    for (std::size_t i = 0; i < series_count; ++i)
      labels_.push_back(labels_of({{"__name__", "g"},
                                   {"i", std::to_string(i)},
                                   {"instance", fmt::format("10.0.0.{}:9100", i % 250)},
                                   {"job", "mill"},
                                   {"zone", std::to_string(i % 100)}}));
  }
  void step(MemoryStore& store) {
    at_ms_ += 1000;
    for (std::size_t i = 0; i < series_count; ++i) {
      if (random_() % 20 == 0) values_[i] = 9 - values_[i];
      TM_CHECK(store.add(labels_[i], at_ms_, values_[i]));
    }
  }
  [[nodiscard]] std::int64_t at_ms() const { return at_ms_; }

 private:
  std::vector<Labels> labels_;
  std::vector<double> values_;
  std::int64_t at_ms_ = begin_ms;
  std::minstd_rand random_{1};
};

std::vector<std::unique_ptr<Group>> groups_over(MemoryStore& store) {
  std::vector<std::unique_ptr<Group>> groups;
  for (std::size_t i = 0; i < series_count; i += group_rules) {
    RuleGroup group{.file = "bench", .name = std::to_string(i), .rules = {}};
    for (std::size_t n = i; n < i + group_rules; ++n) {
      const std::string expr = fmt::format(fmt::runtime(shapes[n % shapes.size()]), n, n % 100);
      group.rules.push_back(alerting_rule(fmt::format("Rule{}", n), expr, {{"severity", "page"}},
                                          {{"text", "{{ $labels.i }} is {{ $value }}"}}));
      if (n % 3 == 0) group.rules.back().hold = std::chrono::seconds(5);
    }
    groups.push_back(std::make_unique<Group>(std::move(group), Group::Options(), store, store));
  }
  return groups;
}

double seconds_since(Stopwatch::time_point begin) {
  return std::chrono::duration<double>(Stopwatch::now() - begin).count();
}

// Rules a second. The series are fed between the evaluations, untimed.
std::vector<double> judge_groups(const bench::Asked& asked) {
  MemoryStore store;
  Live live;
  const auto groups = groups_over(store);
  std::vector<double> rates;
  for (int i = 0; i < 30; ++i) live.step(store);
  for (int round = -1; round < asked.rounds; ++round) {  // the first warms up
    double spent = 0;
    std::size_t judged = 0;
    while (spent < asked.seconds) {
      live.step(store);
      const auto begin = Stopwatch::now();
      for (const auto& group : groups) (void)group->evaluate(live.at_ms());
      judged += series_count;
      spent += seconds_since(begin);
    }
    if (round >= 0) rates.push_back(static_cast<double>(judged) / spent);
  }
  return rates;
}

// Alerts a second of one rule.
std::vector<double> match_alerts(const bench::Asked& asked, bool values_change) {
  const Rule rule = alerting_rule("Rule", "g > 5", {{"severity", "page"}},
                                  {{"text", "{{ $labels.i }} is {{ $value }}"}});
  const RuleState::Options options;
  RuleState state(rule, options);
  std::vector<Match> all;
  for (std::size_t i = 0; i < series_count; ++i)
    all.push_back({labels_of({{"__name__", "g"}, {"i", std::to_string(i)}, {"job", "mill"}}), 7});
  std::vector<double> rates;
  std::int64_t at_ms = begin_ms;
  std::size_t away = 0;
  for (int round = -1; round < asked.rounds; ++round) {
    double spent = 0;
    std::size_t judged = 0;
    while (spent < asked.seconds) {
      Evaluation evaluation{.at_ms = at_ms += 1000, .matches = all};
      away = (away + 1) % 20;
      if (values_change)
        for (Match& match : evaluation.matches)
          match.value = static_cast<double>(at_ms % 7919) + 0.5;
      else
        for (std::size_t i = away; i < series_count; i += 20)
          evaluation.matches[i].labels = Labels();
      std::erase_if(evaluation.matches, [](const Match& match) { return match.labels.empty(); });
      const auto begin = Stopwatch::now();
      const auto happened = state.match(evaluation, 0);
      const auto samples = state.samples();
      spent += seconds_since(begin);
      TM_CHECK(happened.has_value() && !samples.empty());
      judged += evaluation.matches.size();
    }
    if (round >= 0) rates.push_back(static_cast<double>(judged) / spent);
  }
  return rates;
}

}  // namespace
}  // namespace tallymill::alerting

int main(int argc, char** argv) {
  using namespace tallymill;
  const bench::Asked asked = bench::asked(
      {.name = "rules", .parts = {"groups", "same", "values"}, .rounds = 5, .seconds = 2}, argc,
      argv);
  if (asked.wants("groups"))
    bench::print("rules judged by one core, 20 shapes over 10,000 series", "rules/s",
                 alerting::judge_groups(asked));
  if (asked.wants("same"))
    bench::print("alerts of one rule whose values stay", "alerts/s",
                 alerting::match_alerts(asked, false));
  if (asked.wants("values"))
    bench::print("alerts of one rule whose values change", "alerts/s",
                 alerting::match_alerts(asked, true));
  return 0;
}
