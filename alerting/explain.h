// Explain: why a rule fires, or does not: what `tallymill alerts explain` asks.
//
// Of each alert of the rule it tells its labels, when its state changed, what the expression gave
// at the evaluations around the moment it began, the samples of the series behind it, who silences
// it, and where it was told. Also of alerts that are over: their states are read from the series
// ALERTS.
//
// Which series are behind an alert is a guess from its labels: those of a selector that have no
// other value of any label that the expression left the alert. Where there is none (a label was
// made up on the way), all of the selector count.
//
//   invariant: alerts, series, samples and changes are bounded (limits::explain_*); what is left
//              out is told
//
// Threads: any.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "alerting/alerting.h"
#include "base/result.h"
#include "collector/query.h"

namespace tallymill::alerting {

struct ExplainAsk {
  std::string name;
  std::vector<collector::Matcher> filter = {};     // of labels; only these alerts
  std::chrono::milliseconds last{24 * 3'600'000};  // how far back alerts are looked for
  const std::atomic<bool>* cancelled = nullptr;
};

// {"name":..., "rules":[...]}. not_found: no alerting rule has this name. cancelled, deadline,
// too_big: as a query.
[[nodiscard]] Result<std::string> explain(const Alerting& alerting, const ExplainAsk& ask);

}  // namespace tallymill::alerting
