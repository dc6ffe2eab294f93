// Trends: when a series changed its level for good: a step, not a spike and not a slow drift.
//
// At each moment the median of the window before is compared with that of the window behind. How
// large a difference has to be is not assumed but taken from the series itself: nine tenths of all
// its differences are no step, whatever its noise is like, and give the scale. So noise that sticks
// together or comes in bursts raises its own bar. What drifts has differences too: only what they
// are beyond those of the hours around counts.
//   1. d(t) = median of the window from t on - median of the window up to t, for all t;
//   2. from each d its median over the 8 windows before and behind is taken away;
//   3. the scale s is the larger of the median and the 90th percentile of |d|, each as a share of
//      what the normal distribution has there;
//   4. a step is where |d| is above 6 s and is the largest within a window around;
//   5. both levels last: the window before the one before, and the one behind the one behind, are
//      each nearer to the level beside them than to the other;
//   6. a change below a hundredth of the level is none: what never moves has no noise to be
//      measured by.
// Needs 20 windows: a step fills 2 of them with large differences, and two steps are then still
// above the scale. In a series with steps in a tenth of its windows none is found.
//
//   invariant: what lasts less than a window is never a step, of whatever height
//
// Threads: functions.
// Source: two adjacent windows as in D. Kifer, S. Ben-David, J. Gehrke, "Detecting change in data
// streams", VLDB 2004, with medians; scales from quantiles as in F. R. Hampel, "The influence curve
// and its role in robust estimation", 1974.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace tallymill::collector {

struct Step {
  std::size_t at = 0;  // the first value of the new level
  double before = 0;   // medians of the windows before and from there
  double after = 0;
  double strength = 0;  // difference / scale: 6 and more
};

inline constexpr std::size_t trend_windows = 20;  // at least, in one question
inline constexpr double step_strength = 6;

// Steps in order, of values with equal time between them. Those that are no number are passed over.
// bad_params: the window is below 5 values, or there are fewer than trend_windows of it.
[[nodiscard]] Result<std::vector<Step>> steps_in(std::span<const double> values,
                                                 std::size_t window);

}  // namespace tallymill::collector
