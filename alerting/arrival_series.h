// Arrival series: how it is stored that a sample began an alert between two evaluations.
//
//   tallymill_rule_arrival{alertname="Hot", rule_group="mill", rule_metric="temperature", site="a"}
//
// At the moment at which the rule was judged, with the value that it was judged by; the other
// labels are those of the series that the sample came for. There is one more sample for each time
// that an alert began to be pending, or to fire, so; what an evaluation at the timer began is not
// here, for a backtest finds that by itself.
//
// Threads: pure functions.
#pragma once

#include <string_view>

#include "alerting/rule_file.h"
#include "collector/series.h"

namespace tallymill::alerting {

inline constexpr std::string_view arrival_metric = "tallymill_rule_arrival";

// `match`: the labels that the rule's expression has for it. Of those that are named as one of ours
// what they said is lost.
[[nodiscard]] collector::Labels arrival_series(const RuleGroup& group, const Rule& rule,
                                               const collector::Labels& match);
// The labels that the expression had.
[[nodiscard]] collector::Labels match_of(const collector::Labels& arrival_series);
// Whether it is stored of this rule; one of the same name in its group is taken for it.
[[nodiscard]] bool is_arrival_of(const RuleGroup& group, const Rule& rule,
                                 const collector::Labels& arrival_series);

}  // namespace tallymill::alerting
