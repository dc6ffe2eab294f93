// Over time: what functions of a range vector make of one window of samples.
//
// A window slides over the samples of one series from step to step, so what has to be summed over
// it, as the resets of a counter, is taken from sums that were made once for the whole series.
//
// Threads: plain values.
// Source: the functions as Prometheus 2.42 defines them, extrapolation and compensated sums too.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/promql/allowance.h"
#include "collector/promql/value.h"

namespace tallymill::promql {

// Where a range vector looks at each step of a query.
struct Windows {
  Grid grid;                 // the steps
  std::int64_t end_ms = 0;   // of the first window
  std::int64_t step_ms = 0;  // from one to the next; 0: @ holds all of them at one place
  std::int64_t range_ms = 0;
  std::span<const std::vector<double>> arguments = {};  // the scalars, each with one a step
  Allowance* allowance = nullptr;
};

// The samples [first, last) of a series that lie in [begin_ms, end_ms].
struct Window {
  const Column* samples = nullptr;
  std::size_t first = 0;
  std::size_t last = 0;
  std::int64_t begin_ms = 0;
  std::int64_t end_ms = 0;
  std::int64_t now_ms = 0;  // the step, which an offset or @ moves the window away from
  std::span<const double> arguments = {};  // the scalars of this step, in their order

  [[nodiscard]] std::size_t size() const { return last - first; }
  [[nodiscard]] double value(std::size_t i) const { return samples->value[first + i]; }
  [[nodiscard]] std::int64_t t_ms(std::size_t i) const { return samples->t_ms[first + i]; }
};

class OverTime {
 public:
  virtual ~OverTime() = default;
  // What it is of a series at each step, `absent` where that is nothing, into `into`, which has one
  // place a step. bad_params: it cannot be had with these arguments; and the errors of the
  // allowance.
  [[nodiscard]] virtual Status of(const Column& samples, const Windows& windows,
                                  std::span<double> into) = 0;
};

// nullptr: no such function, or one that is not over time.
[[nodiscard]] std::unique_ptr<OverTime> over_time_named(std::string_view name);
// The q-quantile of the values, which are sorted here; NaN of none.
[[nodiscard]] double quantile(double q, std::vector<double>& values);

}  // namespace tallymill::promql
