// BacktestPlan: in which order rules are judged over a slice of time, and which of them matter.
//
// A rule comes after those whose series it may read, as long as that has an order: in a group a
// rule reads those before it, and groups may read one another in one direction. Where it has none,
// the groups in question are judged together, moment by moment.
//
//   invariant: units are in an order in which none reads what a later one gives
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "alerting/reads.h"
#include "alerting/rule_file.h"

namespace tallymill::alerting {

struct PlannedRule {
  const Rule* rule = nullptr;
  std::size_t group = 0;
  Reads reads = {};
  bool wanted = false;      // an alert depends on it
  bool is_read = false;     // what it gives is read
  bool independent = true;  // it reads nothing that rules give
  bool at_once = true;      // it can be asked for many moments at once
};

struct BacktestUnit {
  std::vector<std::size_t> rules = {};  // one, or all wanted ones of some groups
  bool together = false;                // moment by moment
};

struct BacktestPlan {
  std::vector<PlannedRule> rules = {};  // in the order of the groups
  std::vector<BacktestUnit> units = {};
  std::int64_t back_ms = 0;  // how far rules look back at what rules gave
  bool keeps_all = false;    // that has no end
  std::int64_t span_ms = 0;  // the longest selector of any
};

// REQUIRES: the groups outlive it.
[[nodiscard]] BacktestPlan plan_backtest(const std::vector<RuleGroup>& groups);

}  // namespace tallymill::alerting
