// Evaluate: an expression, at a moment or at many.
//
// A range query is not a loop over instant queries: each series is read and decoded once, its
// windows slide over it, and operators take whole rows. What does not change from step to step
// (`@`) is calculated once.
//
//   invariant: each step's result is what an instant query at its time would give
//
// Errors: bad_params, of the execution (HTTP 422); too_big: over limits::query_samples; cancelled,
// deadline: the caller's own.
//
// Threads: pure, but for the source.
// Source: PromQL as Prometheus 2.42 has it, less native histograms.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/limits.h"
#include "base/result.h"
#include "collector/promql/value.h"
#include "collector/query.h"

namespace tallymill::promql {

struct EvaluateOptions {
  std::chrono::milliseconds lookback{5 * 60'000};
  std::chrono::milliseconds subquery_step{60'000};  // where it says none
  std::size_t samples = limits::query_samples;      // that may be in memory
  std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();
  const std::atomic<bool>* cancelled = nullptr;
};

// A scalar or a vector; a string has its text. REQUIRES: `node` is no range vector.
[[nodiscard]] Result<Value> evaluate(const Node& node, const Grid& grid,
                                     const collector::Source& source,
                                     const EvaluateOptions& options);

// What a range vector holds at a moment.
struct RawSeries {
  Labels labels;
  Column samples;
};
[[nodiscard]] Result<std::vector<RawSeries>> evaluate_raw(const Node& node, std::int64_t at_ms,
                                                          const collector::Source& source,
                                                          const EvaluateOptions& options);

}  // namespace tallymill::promql
