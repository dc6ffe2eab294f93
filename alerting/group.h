// Group: the rules of one group, evaluated in their order at one moment.
//
// Each rule sees what the rules before it stored at the same moment. A rule that fails sets its own
// health, leaves its alerts and series as they are, and the others go on; one that is over a limit
// gives its alerts up, too. Of a series that a rule gave last time and no longer gives, a stale
// marker is stored. What a rule's input is without `no_data` is not asked: that costs as much as
// the rule.
//
//   invariant: what a rule gave is stored before the next rule is evaluated
//
// Threads: evaluate(), put_off(), end() and what state() gives by one thread; status() and counts()
// by any.
// Source: Prometheus 2.42, rule groups.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/rule_file.h"
#include "alerting/rule_state.h"
#include "base/result.h"
#include "collector/promql/evaluate.h"
#include "collector/query.h"

namespace tallymill::alerting {

// Where rules put what they gave: the store, or a backtest's own.
class SampleSink {
 public:
  struct Sample {
    collector::Labels labels;
    std::int64_t t_ms;
    double value;
  };
  virtual ~SampleSink() = default;
  // Visible to the next read when it returns; what of it could not be stored is an error, and what
  // could is stored. Of two samples of a series at the same time the first stays, and one that is
  // older than its last is not stored; both are an error unless the values are the same.
  [[nodiscard]] virtual Status append(std::span<const Sample> samples) = 0;
};

enum class Health : std::uint8_t { unknown, ok, err, nodata };

struct RuleStatus {
  Health health = Health::unknown;
  std::string last_error = {};
  std::int64_t evaluated_ms = 0;  // 0: never
  std::chrono::nanoseconds took{0};
  std::vector<Alert> alerts = {};  // of an alerting rule: those that are not over
};

class Group {
 public:
  struct Options {
    std::chrono::milliseconds interval{60'000};  // when the group says none
    RuleState::Options rules = {};
    promql::EvaluateOptions evaluate = {};
  };
  Group(RuleGroup rules, const Options& options, const collector::Source& source, SampleSink& sink);
  ~Group();

  [[nodiscard]] const RuleGroup& rules() const { return rules_; }
  // Of each of its rules: what makes it the same one after a reload or a restart.
  [[nodiscard]] const std::string& identity(std::size_t rule) const { return identities_[rule]; }
  [[nodiscard]] std::chrono::milliseconds interval() const;

  // What happened to its alerts, in the order of the rules; when it is cancelled by the options, of
  // those that were judged until then. `rule`: its number in the group.
  struct Happened {
    std::size_t rule;
    Transition transition;
  };
  std::vector<Happened> evaluate(std::int64_t at_ms);

  // What a sample that came may begin (RuleState::begin): the rule, a plain threshold
  // (expression.h), is judged for the series of these samples alone. What it begins is stored as of
  // an evaluation, and so is what began it (arrival_series.h), so that it can be done again.
  // REQUIRES: after the last evaluation, and before the next one.
  struct Arrival {
    collector::SeriesId series;
    collector::Labels labels;
  };
  std::vector<Happened> begin(std::int64_t at_ms, std::size_t rule,
                              std::span<const Arrival> arrivals);
  // Does again what was stored.
  std::vector<Happened> begin_again(std::int64_t at_ms, std::size_t rule,
                                    std::vector<Match> matches);

  // Takes over the alerts, and what it gave last, of a group of the same file and name that it
  // replaces, rule by rule where name and labels are the same (of several, the one whose expression
  // is the same, too). What the rest of them gave ends with the next evaluation; their numbers in
  // `old` are returned. REQUIRES: neither is being evaluated.
  std::vector<std::size_t> take_over(const Group& old);
  // An evaluation is left out: what is pending has not matched for so much of its time.
  void put_off(std::chrono::milliseconds by);
  // Stores stale markers for all that it gave last: it is removed.
  void end(std::int64_t at_ms);

  [[nodiscard]] std::vector<RuleStatus> status() const;
  struct Counts {
    std::size_t failed = 0;  // rules, at the last evaluation
    std::size_t nodata = 0;  // rules, as above
    std::size_t pending = 0;
    std::size_t firing = 0;
  };
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] RuleState& state(std::size_t rule);  // REQUIRES: an alerting one

 private:
  struct State;
  struct Slot;
  using Stopwatch = std::chrono::steady_clock;

  [[nodiscard]] bool is_cancelled() const;
  // `to_its_end`: a template's, for what it becomes when it is cancelled would be told.
  [[nodiscard]] Result<std::vector<Match>> ask(const promql::Node& node, std::int64_t at_ms,
                                               bool to_its_end = false) const;
  [[nodiscard]] Result<std::vector<collector::Labels>> ask_labels(const promql::Node& node,
                                                                  std::int64_t at_ms) const;
  [[nodiscard]] Result<std::vector<TemplateSample>> query(std::string_view text,
                                                          std::int64_t at_ms) const;
  [[nodiscard]] Result<Health> record(Slot& slot, std::int64_t at_ms);
  [[nodiscard]] Result<Health> judge(std::size_t rule, std::int64_t at_ms,
                                     std::vector<Happened>& happened);
  [[nodiscard]] Result<Evaluation> ask_all(const Rule& rule, const Slot& slot,
                                           std::int64_t at_ms) const;
  [[nodiscard]] Status store(Slot& slot, std::vector<RuleState::Sample> samples,
                             std::int64_t at_ms);
  [[nodiscard]] std::vector<Happened> begin(std::int64_t at_ms, std::size_t rule,
                                            std::vector<Match> matches,
                                            const RuleState::HeldSince& held_since);
  // Those of them that are to be told again.
  [[nodiscard]] std::vector<collector::Labels> mark_stale(std::vector<collector::Labels> series,
                                                          std::int64_t at_ms);

  const RuleGroup rules_;
  const std::vector<std::string> identities_;
  const Options options_;
  const collector::Source& source_;
  SampleSink& sink_;
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::alerting
