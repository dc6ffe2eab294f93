// RulesJson: rules and alerts as Prometheus' HTTP API tells them.
//
// Beyond Prometheus: `health` may be "nodata", and a rule that comes from our own keys has them
// (`onArrival`, `resolveQuery`, `noData`).
//
// Threads: pure functions.
// Source: Prometheus 2.42, /api/v1/rules and /api/v1/alerts.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/group.h"
#include "alerting/rule_file.h"
#include "collector/rules.h"

namespace tallymill::alerting {

// A group at a moment.
struct GroupStatus {
  const RuleGroup* rules = nullptr;  // never null
  std::chrono::milliseconds interval{0};
  std::int64_t evaluated_ms = 0;  // 0: never
  std::chrono::nanoseconds took{0};
  std::vector<RuleStatus> status;  // one a rule
};

// [{"name":...,"file":...,"rules":[...]}, ...]; groups none of whose rules are of that kind are
// told without rules, as Prometheus does.
[[nodiscard]] std::string groups_json(std::span<const GroupStatus> groups,
                                      collector::RuleSource::Kind kind);
// [{"labels":...,"annotations":...,"state":"firing","activeAt":...,"value":"1e+00"}, ...]
[[nodiscard]] std::string alerts_json(std::span<const GroupStatus> groups);

// As Go writes it with the format 'e': 1e+00, 1.5e-07, NaN, +Inf.
[[nodiscard]] std::string exponent_text(double value);

}  // namespace tallymill::alerting
