// Backtest: how often rules would have fired, had they been there: judged over stored samples, at
// the very moments at which they would have been.
//
// What live evaluation does at a moment follows from the samples up to it. So an expression is
// asked for many moments at once (a slice), and what it gave is handed to its rule moment by
// moment; a rule that reads what others gave comes after them, slice by slice. Only where that
// would be something else - a rule that reads its own series, or a later one's, or `@` - it is
// asked moment by moment.
//
// Rules begin anew at the first moment: what was pending or firing then is not known. Series that
// the rules give are those of the backtest from there on; before it, those that are stored. A
// recording rule that no alert depends on is not judged.
//
//   invariant: where all samples are held as they came, and live evaluation began at the same
//              moment, missed none and had each sample in time, alerts change as they did then
//   invariant: memory is bounded: by a slice of some rules, what rules look back at, and firings
//
// Threads: its own while it runs; the source is read by several at once.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "alerting/limits.h"
#include "alerting/rule_file.h"
#include "alerting/rule_state.h"
#include "base/result.h"
#include "collector/query.h"

namespace tallymill::alerting {

struct Firing {
  std::size_t rule = 0;  // its number in Backtest::rules
  collector::Labels labels = {};
  std::int64_t pending_ms = 0;  // its first match in a row
  std::int64_t fired_ms = 0;
  std::int64_t ended_ms = 0;  // 0: it still fires at the end
  double value = 0;           // when it fired
  double peak = 0;            // the highest; of a rule that compares with < or <=, the lowest
};

// One rule, and what became of it.
struct BacktestRule {
  std::string file = {};
  std::string group = {};
  std::string name = {};
  std::string expr = {};
  Rule::Kind kind = Rule::Kind::alerting;
  int line = 0;
  std::int64_t interval_ms = 0;
  bool was_judged = true;
  std::uint64_t evaluations = 0;
  std::uint64_t failures = 0;
  std::string first_error = {};
  std::int64_t first_error_ms = 0;
  std::size_t firings = 0;
  std::size_t unfulfilled = 0;  // that were pending, and over before they fired
  std::int64_t total_ms = 0;    // of its firings
  std::int64_t longest_ms = 0;
  std::uint64_t samples = 0;         // that were read for it; of a slice's edges some twice
  std::uint64_t given = 0;           // the same, of those that rules gave in the backtest
  std::int64_t first_sample_ms = 0;  // of those that are stored
  std::int64_t last_sample_ms = 0;
  std::int64_t step_ms = 0;  // up to coarse_ms one sample in so long may be left; 0: all are there
  std::int64_t coarse_ms = 0;
};

struct Backtest {
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
  std::vector<BacktestRule> rules = {};  // in the order of the files
  std::vector<Firing> firings = {};      // by their begin
  std::uint64_t evaluations = 0;
  // What makes it say less than it seems to: no samples, coarse ones, rules that failed.
  std::vector<std::string> warnings = {};
};

struct BacktestOptions {
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;                      // both are in it
  std::chrono::milliseconds interval{60'000};  // of groups that say none
  RuleState::Options rules = {};
  std::uint64_t evaluations = limits::backtest_evaluations;
  std::size_t firings = limits::backtest_firings;
  std::size_t samples = limits::backtest_samples;
  std::size_t threads = 1;
  std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();
  const std::atomic<bool>* cancelled = nullptr;
  // From 0 to 1, now and then, on the caller's thread.
  std::function<void(double)> progress = {};
};

// bad_params: `to_ms` is before `from_ms`, or no rule has a moment in between, or there is no rule.
// too_big: over a limit, which the text says, with the number. cancelled, deadline: the caller's.
// Errors of the source are those of the rules that met them.
[[nodiscard]] Result<Backtest> backtest(std::vector<RuleGroup> groups,
                                        const collector::Source& source,
                                        const BacktestOptions& options);

}  // namespace tallymill::alerting
