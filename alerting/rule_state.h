// RuleState: the alerts of one alerting rule, from evaluation to evaluation.
//
// inactive ─match─▶ pending ─for is over─▶ firing ─no match─▶ resolved ─15 min─▶ forgotten
//
// A match that is gone before `for` is over is forgotten at once. A firing alert without a match
// goes on for `keep_firing_for`, and with resolve_expr until that returns its labels, or its input
// is gone and no_data says resolve. An alert that comes back after its end begins anew.
//
//   invariant: an evaluation that failed changes nothing (whoever evaluates does not call match())
//   invariant: of alerts that are not over no two have the same labels
//
// Threads: one at a time.
// Source: Prometheus 2.42, alerting rules.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "alerting/alert.h"
#include "alerting/rule_file.h"
#include "base/result.h"

namespace tallymill::alerting {

// What happened to an alert in one evaluation.
struct Transition {
  enum class What : std::uint8_t { pending, fired, resolved, dropped };  // dropped: was pending
  What what;
  Alert alert;  // as it is afterwards
};

// What a rule's expression gave at a moment.
struct Match {
  collector::Labels labels;  // as the expression has them
  double value = 0;
};

struct Evaluation {
  std::int64_t at_ms = 0;
  std::vector<Match> matches = {};
  // With resolve_expr: label sets (of alerts, without alertname) that it returned.
  std::vector<collector::Labels> resolving = {};
  // With no_data: whether the input, which is the expression without its comparison, had any row.
  bool has_input = true;
  std::function<Result<std::vector<TemplateSample>>(std::string_view)> query = {};
};

class RuleState {
 public:
  struct Options {
    collector::Labels external_labels = {};
    std::string external_url = {};
  };
  // REQUIRES: `rule` is an alerting one and outlives this.
  RuleState(const Rule& rule, const Options& options);

  // bad_params: two matches have the same labels in the end; nothing has changed then. too_big:
  // over limits::rule_rows or the group's `limit`; as Prometheus does, all of the rule's alerts are
  // given up then.
  [[nodiscard]] Result<std::vector<Transition>> match(const Evaluation& evaluation,
                                                      std::size_t limit);

  // Those that are not over, by labels; then those that were resolved less than 15 minutes ago.
  [[nodiscard]] const std::map<collector::Labels, Alert>& alerts() const { return alerts_; }
  // The greatest of its alerts' states.
  [[nodiscard]] AlertState state() const;

  // After a restart: an alert as it was stored. `away`: how long nothing was evaluated, which is
  // added to active_ms when `for` began before and is not over.
  void restore(Alert alert, std::int64_t away_ms);

  // ALERTS and ALERTS_FOR_STATE of this moment, for whoever stores them.
  struct Sample {
    collector::Labels labels;
    double value;
  };
  [[nodiscard]] std::vector<Sample> samples() const;

 private:
  const Rule& rule_;
  const Options& options_;
  std::map<collector::Labels, Alert> alerts_;
};

}  // namespace tallymill::alerting
