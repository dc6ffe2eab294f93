// What a backtest says, as JSON, and what is asked of one.
//
//   {"from": "2026-10-29T00:00:00.000Z", "to": ..., "evaluations": 8640000,
//    "rules": [{"file", "line", "group", "name", "type": "alerting", "evaluations", "failures",
//               "firings", "unfulfilled", "totalSeconds", "longestSeconds", "stepSeconds", ...}],
//    "firings": [{"rule": 0, "name", "labels": {}, "pendingSince", "start", "end": null,
//                 "durationSeconds", "value", "peak"}],
//    "notifications": [{"sink": "", "messages": 1000, "reminders": 12}], "warnings": []}
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/backtest.h"
#include "alerting/backtest_notices.h"

namespace tallymill::alerting {

[[nodiscard]] std::string backtest_json(const Backtest& result,
                                        const std::vector<SinkCount>& notifications);

// One that is asked for over HTTP: {"rules": TEXT, or {NAME: TEXT}, "from", "to", "interval",
// "sinks": TEXT}. Times are seconds since 1970 or RFC 3339; the interval is as 15s, of groups that
// say none. `rules` may be the rules themselves, {"groups": [...]}, too. A rule file's name says at
// which moments it is judged: give the one that the collector was given.
struct BacktestAsked {
  std::vector<RuleGroup> groups = {};
  std::optional<SinksConfig> sinks = {};
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
  std::optional<std::int64_t> interval_ms = {};
};
// bad_params: what is wrong with it; of a rule file as parse_rule_file().
[[nodiscard]] Result<BacktestAsked> parse_backtest(std::string_view json);

}  // namespace tallymill::alerting
