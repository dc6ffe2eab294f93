// Geometry: points and closed outlines in whole ticks of 0.1 micrometre.
//
// A tick is the last digit that a drawing writes, so that what is checked is what is drawn: edges
// that must meet are equal, not nearly equal, and areas add up exactly.
//
// Threads: plain values, pure functions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace tallymill::stages::compute {

using Ticks = std::int64_t;

inline constexpr double ticks_per_mm = 10'000;

// REQUIRES: mm is finite and below a kilometre or so.
[[nodiscard]] inline Ticks to_ticks(double mm) { return std::llround(mm * ticks_per_mm); }
[[nodiscard]] constexpr double to_mm(Ticks ticks) {
  return static_cast<double>(ticks) / ticks_per_mm;
}

struct Point {
  Ticks u = 0;
  Ticks v = 0;
  friend constexpr bool operator==(const Point&, const Point&) = default;
};

// A closed outline: the last point joins the first. Counterclockwise with v up when it bounds a
// part.
using Outline = std::vector<Point>;

struct Bounds {
  Point min;
  Point max;
};

// REQUIRES: at least one point.
[[nodiscard]] inline Bounds bounds_of(const Outline& outline) {
  Bounds bounds{outline.front(), outline.front()};
  for (const Point& p : outline) {
    bounds.min = {std::min(bounds.min.u, p.u), std::min(bounds.min.v, p.v)};
    bounds.max = {std::max(bounds.max.u, p.u), std::max(bounds.max.v, p.v)};
  }
  return bounds;
}

// Of an outline whose segments are all along an axis.
[[nodiscard]] inline Ticks length_of(const Outline& outline) {
  Ticks length = 0;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const Point& next = outline[(i + 1) % outline.size()];
    length += std::abs(next.u - outline[i].u) + std::abs(next.v - outline[i].v);
  }
  return length;
}

}  // namespace tallymill::stages::compute
