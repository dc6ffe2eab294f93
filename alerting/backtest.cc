// 1. The plan says which rules matter, and in which order.
// 2. Time is cut into slices. In each, unit by unit: rules that read nothing of others are asked
//    ahead, by several threads; each hands what it gave to its state, moment by moment.
// 3. What no rule looks back at any more goes; at the end it is told what became of each rule.
#include "alerting/backtest.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>
#include <thread>
#include <tuple>
#include <utility>

#include "alerting/alert_json.h"
#include "alerting/backtest_plan.h"
#include "alerting/backtest_rule.h"
#include "alerting/overlay.h"
#include "alerting/schedule.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

// The moments of a group.
struct Timer {
  std::int64_t interval_ms = 0;
  std::int64_t offset_ms = 0;
  // Those from `from_ms` to before `end_ms`.
  [[nodiscard]] promql::Grid within(std::int64_t from_ms, std::int64_t end_ms) const {
    const std::int64_t first = moment_from(from_ms, interval_ms, offset_ms);
    promql::Grid grid{first, interval_ms, 0};
    if (first < end_ms)
      grid.count = static_cast<std::size_t>((end_ms - 1 - first) / interval_ms) + 1;
    return grid;
  }
};

BacktestRule told_of(const PlannedRule& planned, const RuleGroup& group, const Timer& timer) {
  const Rule& rule = *planned.rule;
  return {.file = group.file,
          .group = group.name,
          .name = rule.name,
          .expr = rule.expr,
          .kind = rule.kind,
          .line = rule.line,
          .interval_ms = timer.interval_ms,
          .was_judged = planned.wanted};
}

std::string text_of(std::int64_t length_ms) {
  return length_ms % 60'000 == 0 ? fmt::format("{}m", length_ms / 60'000)
                                 : fmt::format("{}s", static_cast<double>(length_ms) / 1000);
}

class Runner {
 public:
  Runner(std::vector<RuleGroup> groups, const collector::Source& source,
         const BacktestOptions& options)
      : options_(options), source_(source), groups_(std::move(groups)) {
    for (RuleGroup& group : groups_)
      for (Rule& rule : group.rules) rule.annotations.clear();
    plan_ = plan_backtest(groups_);
    result_.from_ms = options.from_ms;
    result_.to_ms = options.to_ms;
  }

  Result<Backtest> run() {
    if (auto ready = prepare(); !ready) return std::unexpected(std::move(ready).error());
    const std::int64_t length_ms = slice_ms();
    const auto whole = static_cast<double>(options_.to_ms + 1 - options_.from_ms);
    for (std::int64_t at = options_.from_ms; at <= options_.to_ms; at += length_ms) {
      const std::int64_t end = std::min(at + length_ms, options_.to_ms + 1);
      if (auto judged = slice(at, end); !judged) return std::unexpected(std::move(judged).error());
      if (options_.progress) options_.progress(static_cast<double>(end - options_.from_ms) / whole);
    }
    for (const auto& rule : judged_)
      if (rule)
        if (auto ended = rule->begin_last(); !ended)
          return std::unexpected(std::move(ended).error());
    finish();
    return std::move(result_);
  }

 private:
  Status prepare() {
    if (plan_.rules.empty()) return fail(Errc::bad_params, "there are no rules to judge");
    if (options_.to_ms < options_.from_ms)
      return fail(Errc::bad_params,
                  fmt::format("the end, {}, is before the begin, {}", rfc3339(options_.to_ms),
                              rfc3339(options_.from_ms)));
    for (const RuleGroup& group : groups_) {
      const std::int64_t interval =
          (group.interval.count() > 0 ? group.interval : options_.interval).count();
      timers_.push_back({interval, offset_of(group.file, group.name, interval)});
    }
    for (const PlannedRule& planned : plan_.rules)
      result_.rules.push_back(told_of(planned, groups_[planned.group], timers_[planned.group]));
    if (auto counted = count(); !counted) return counted;
    make_rules();
    return {};
  }

  Status count() {
    for (const PlannedRule& planned : plan_.rules)
      if (planned.wanted)
        result_.evaluations +=
            timers_[planned.group].within(options_.from_ms, options_.to_ms + 1).count;
    const bool has_alerts = std::ranges::any_of(plan_.rules, &PlannedRule::wanted);
    if (!has_alerts) return fail(Errc::bad_params, "there are no alerting rules to judge");
    if (result_.evaluations == 0)
      return fail(Errc::bad_params, "no rule is judged in so short a time");
    if (result_.evaluations <= options_.evaluations) return {};
    return fail(Errc::too_big,
                fmt::format("{} evaluations are more than the {} that may be: look at less time, "
                            "at fewer rules, or at longer intervals",
                            result_.evaluations, options_.evaluations));
  }

  void make_rules() {
    std::vector<const Rule*> read;
    for (const PlannedRule& planned : plan_.rules)
      if (planned.is_read) read.push_back(planned.rule);
    overlay_.emplace(source_, std::move(read), options_.from_ms, options_.samples);
    judged_.resize(plan_.rules.size());
    for (std::size_t i = 0; i < plan_.rules.size(); ++i) {
      const PlannedRule& planned = plan_.rules[i];
      if (!planned.wanted) continue;
      judged_[i] =
          std::make_unique<JudgedRule>(planned, groups_[planned.group], i, result_.rules[i],
                                       JudgedRule::Shared{*overlay_, result_.firings, options_});
    }
  }

  // At least four times what the longest selector covers: that is read once more for each slice.
  std::int64_t slice_ms() const {
    std::int64_t shortest = std::numeric_limits<std::int64_t>::max();
    for (const PlannedRule& planned : plan_.rules)
      if (planned.wanted) shortest = std::min(shortest, timers_[planned.group].interval_ms);
    const std::int64_t span = std::min<std::int64_t>(plan_.span_ms, 1LL << 50) * 4;
    return std::clamp(span, shortest * static_cast<std::int64_t>(limits::backtest_slice),
                      shortest * static_cast<std::int64_t>(limits::backtest_longest_slice));
  }

  Status slice(std::int64_t from_ms, std::int64_t end_ms) {
    for (std::size_t i = 0; i < judged_.size(); ++i)
      if (judged_[i]) judged_[i]->begin(timers_[plan_.rules[i].group].within(from_ms, end_ms));
    const auto& units = plan_.units;
    for (std::size_t u = 0; u < units.size();) {
      std::vector<std::size_t> ahead;  // rules that do not need one another
      for (; u < units.size() && is_independent(units[u]); ++u) {
        if (ahead.size() == ahead_at_most * options_.threads) break;
        ahead.push_back(units[u].rules.front());
      }
      if (ahead.empty()) ahead = units[u++].rules;
      const bool together = u > 0 && units[u - 1].together;
      auto judged = together ? judge_together(ahead) : judge(ahead);
      if (!judged) return judged;
    }
    std::uint64_t samples = 0;
    for (const auto& rule : judged_)
      if (rule) samples += rule->end();
    if (!plan_.keeps_all) overlay_->drop_before(end_ms - plan_.back_ms);
    if (samples == 0) note_gap(from_ms, end_ms);
    return {};
  }

  bool is_independent(const BacktestUnit& unit) const {
    const PlannedRule& first = plan_.rules[unit.rules.front()];
    return !unit.together && first.independent && first.at_once;
  }

  Status judge(const std::vector<std::size_t>& rules) {
    if (options_.threads > 1 && rules.size() > 1)
      if (auto filled = fill(rules); !filled) return filled;
    for (const std::size_t i : rules)
      if (auto judged = judged_[i]->judge(); !judged) return judged;
    return {};
  }

  Status fill(const std::vector<std::size_t>& rules) {
    std::atomic<std::size_t> next = 0;
    std::vector<Status> all(rules.size());
    const auto work = [&] {
      for (std::size_t i = next++; i < rules.size(); i = next++) all[i] = judged_[rules[i]]->fill();
    };
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < std::min(options_.threads, rules.size()); ++i)
      others.emplace_back([&] {
        name_thread("backtest");
        work();
      });
    work();
    for (std::thread& thread : others) thread.join();
    for (Status& one : all)
      if (!one) return std::move(one);
    return {};
  }

  // Rules of groups that read one another: whoever is due first, and of a moment in their order.
  Status judge_together(const std::vector<std::size_t>& rules) {
    std::vector<std::tuple<std::int64_t, std::size_t, std::size_t>> due;
    for (const std::size_t i : rules) {
      const promql::Grid& grid = judged_[i]->grid();
      for (std::size_t step = 0; step < grid.count; ++step)
        due.emplace_back(grid.at(step), i, step);
    }
    std::ranges::sort(due);
    for (const auto& [at_ms, i, step] : due)
      if (auto judged = judged_[i]->judge(step); !judged) return judged;
    return {};
  }

  void note_gap(std::int64_t from_ms, std::int64_t end_ms) {
    if (!gaps_.empty() && gaps_.back().second == from_ms)
      gaps_.back().second = end_ms;
    else
      gaps_.emplace_back(from_ms, end_ms);
  }

  // ---- the end ----

  void finish() {
    for (const Firing& one : result_.firings) {
      BacktestRule& rule = result_.rules[one.rule];
      const std::int64_t length =
          (one.ended_ms == 0 ? options_.to_ms : one.ended_ms) - one.fired_ms;
      rule.total_ms += length;
      rule.longest_ms = std::max(rule.longest_ms, length);
    }
    std::ranges::sort(result_.firings, [](const Firing& a, const Firing& b) {
      return std::tie(a.fired_ms, a.rule, a.labels) < std::tie(b.fired_ms, b.rule, b.labels);
    });
    warn_of_samples();
    for (std::size_t i = 0; i < plan_.rules.size(); ++i)
      if (plan_.rules[i].wanted) warn_of(result_.rules[i], plan_.rules[i].reads);
  }

  void warn(std::string text) { result_.warnings.push_back(std::move(text)); }

  void warn_of_samples() {
    const std::string period =
        fmt::format("{} to {}", rfc3339(options_.from_ms), rfc3339(options_.to_ms));
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    std::int64_t last = std::numeric_limits<std::int64_t>::min();
    for (const BacktestRule& rule : result_.rules) {
      if (rule.samples == 0) continue;
      first = std::min(first, rule.first_sample_ms);
      last = std::max(last, rule.last_sample_ms);
    }
    if (first > last) {
      warn("NO SAMPLES: of " + period +
           " nothing is stored that these rules look at, so that this says nothing of them");
      return;
    }
    constexpr std::int64_t late = 5 * 60'000;
    if (first > options_.from_ms + late)
      warn("the first samples that these rules look at are of " + rfc3339(first) +
           ": of the time before it this says nothing");
    if (last < options_.to_ms - late)
      warn("the last samples that these rules look at are of " + rfc3339(last) +
           ": of the time after it this says nothing");
    for (const auto& [from, end] : gaps_)
      if (from > first && end < last)
        warn(fmt::format("there are no samples that these rules look at from {} to {}",
                         rfc3339(from), rfc3339(end)));
  }

  void warn_of(const BacktestRule& rule, const Reads& reads) {
    const std::string name = fmt::format("{}:{}: {}", rule.file, rule.line, rule.name);
    if (rule.samples + rule.given == 0 && !reads.selectors.empty())
      warn(name + ": there are no samples of what it looks at");
    else if (rule.step_ms > 0)
      warn(fmt::format("{}: judged up to {} from one sample in {}, for older ones are thinned",
                       name, rfc3339(rule.coarse_ms), text_of(rule.step_ms)));
    if (rule.failures > 0)
      warn(fmt::format("{}: failed {} of {} times, first at {}: {}", name, rule.failures,
                       rule.evaluations, rfc3339(rule.first_error_ms), rule.first_error));
  }

  // What is asked ahead for each thread, and stays in memory until its rule is judged.
  static constexpr std::size_t ahead_at_most = 4;

  const BacktestOptions& options_;
  const collector::Source& source_;
  std::vector<RuleGroup> groups_;
  std::vector<Timer> timers_;
  BacktestPlan plan_;
  Backtest result_;
  std::optional<Overlay> overlay_;
  std::vector<std::unique_ptr<JudgedRule>> judged_;
  std::vector<std::pair<std::int64_t, std::int64_t>> gaps_;  // slices without a sample
};

}  // namespace

Result<Backtest> backtest(std::vector<RuleGroup> groups, const collector::Source& source,
                          const BacktestOptions& options) {
  return Runner(std::move(groups), source, options).run();
}

}  // namespace tallymill::alerting
