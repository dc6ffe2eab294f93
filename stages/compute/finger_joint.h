// Finger joint: who owns which stretch of an edge where two panels meet, and how that edge of each
// panel then runs.
//
// Two panels of thickness t that meet at right angles share a beam of t x t along their edge. It is
// cut into intervals along its length, and each belongs to exactly one panel: that one has a finger
// there, the other a slot. Side a owns both ends, so that the pattern is symmetric. At the edge's
// ends the beam runs into a corner that a third panel may claim: a Cap says whose it is.
//
//   invariant: the intervals cover [0, length] in order without gap or overlap
//   invariant: between the caps a and b alternate, a first and last, and all but the two outermost
//   intervals are exactly one finger wide
//
// Threads: pure functions.
#pragma once

#include <vector>

#include "base/result.h"
#include "stages/compute/geometry.h"

namespace tallymill::stages::compute {

enum class Owner : std::uint8_t { a, b, other };

struct Interval {
  Ticks begin = 0;
  Ticks end = 0;
  Owner owner = Owner::a;
};

// The piece of an edge inside a corner; length 0 where the edge ends in the open.
struct Cap {
  Ticks length = 0;
  Owner owner = Owner::other;
};

// The widest finger that an edge with `free` ticks between its caps can take: a, b and a need one
// each.
[[nodiscard]] constexpr Ticks widest_finger(Ticks free) { return free / 3; }

// The intervals of an edge. What is left when an odd number of fingers has been placed goes to the
// two outermost, half each.
// REQUIRES: 0 < finger <= widest_finger(length - start.length - end.length).
[[nodiscard]] std::vector<Interval> finger_intervals(Ticks length, Cap start, Cap end,
                                                     Ticks finger);

// From `at` on the panel's border lies `depth` inside of its outer line: 0 on its fingers, the
// thickness elsewhere.
struct Step {
  Ticks at = 0;
  Ticks depth = 0;
};

// How the border of panel `me` (a or b) runs along an edge, first step at 0. Where a and b touch,
// b gives way by half_play: a's fingers keep their nominal width, b's slots are 2 * half_play wider
// and its fingers as much narrower, so that each joint has that clearance once. A border against a
// third panel's face has none.
[[nodiscard]] std::vector<Step> edge_steps(const std::vector<Interval>& intervals, Owner me,
                                           Ticks thickness, Ticks half_play);

}  // namespace tallymill::stages::compute
