// Leak: whether the memory of a process grows without end, and how fast.
//
// Memory goes up and down with the work, so only its floor is looked at: the window is cut into
// slots, and each gives its least value. Through these goes the line with the median of all slopes
// between two of them. It is a leak when
//   1. the floor rises: of all pairs of slots so many more rise than fall that a series without a
//      trend would show it once in ten thousand windows or less;
//   2. it matters: in the window it rose by some MiB and some per cent;
//   3. it goes on: the later half rises at least half as fast as the whole, as no cache does that
//      fills up, and no one-time step.
// What grows for an hour because a queue grows looks the same and is told too; it stops when the
// queue does.
//
//   invariant: missing samples make it silent, never loud
//
// Threads: functions.
// Source: H. Theil, "A rank-invariant method of linear and polynomial regression analysis", 1950,
// and P. K. Sen, 1968 (the slope); H. B. Mann, "Nonparametric tests against trend", 1945, and M. G.
// Kendall, "Rank correlation methods", 1948 (the test, with ties).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collector/query.h"

namespace tallymill::collector {

struct LineFit {
  double slope = 0;  // per unit of x: the median of the slopes between two points each
  double trend = 0;  // how many standard deviations more pairs rise than fall
};
// Of fewer than three points: 0, 0. REQUIRES: x and y are of one length, x rises. Cost: the square
// of the number of points.
[[nodiscard]] LineFit theil_sen(std::span<const double> x, std::span<const double> y);

struct Leak {
  double bytes_per_second = 0;  // of the floor; 0 where there are too few samples
  bool suspected = false;
};
// `bytes` over [to_ms - window, to_ms]. REQUIRES: they are in order of time.
[[nodiscard]] Leak leak_in(const Column& bytes, std::int64_t to_ms, std::chrono::seconds window);

}  // namespace tallymill::collector
