#include "stages/compute/finger_joint.h"

#include "base/check.h"

namespace tallymill::stages::compute {

namespace {

void append(std::vector<Interval>& intervals, Ticks length, Owner owner) {
  if (length == 0) return;
  const Ticks begin = intervals.empty() ? 0 : intervals.back().end;
  if (!intervals.empty() && intervals.back().owner == owner)
    intervals.back().end += length;
  else
    intervals.push_back({begin, begin + length, owner});
}

}  // namespace

std::vector<Interval> finger_intervals(Ticks length, Cap start, Cap end, Ticks finger) {
  const Ticks free = length - start.length - end.length;
  TM_CHECK(finger > 0 && finger <= widest_finger(free));
  const Ticks fitting = free / finger;
  const Ticks count = fitting % 2 == 0 ? fitting - 1 : fitting;
  const Ticks outermost = free - (count - 2) * finger;  // both together
  std::vector<Interval> intervals;
  intervals.reserve(static_cast<std::size_t>(count) + 2);
  append(intervals, start.length, start.owner);
  append(intervals, outermost / 2, Owner::a);
  for (Ticks i = 1; i < count - 1; ++i) append(intervals, finger, i % 2 ? Owner::b : Owner::a);
  append(intervals, outermost - outermost / 2, Owner::a);
  append(intervals, end.length, end.owner);
  return intervals;
}

std::vector<Step> edge_steps(const std::vector<Interval>& intervals, Owner me, Ticks thickness,
                             Ticks half_play) {
  TM_CHECK(me != Owner::other && !intervals.empty());
  std::vector<Step> steps;
  const Interval* last = nullptr;
  for (const Interval& interval : intervals) {
    const bool mine = interval.owner == me;
    const bool was_mine = last != nullptr && last->owner == me;
    if (last == nullptr || mine != was_mine) {
      Ticks at = interval.begin;
      const bool faces_mate =
          last != nullptr && last->owner != Owner::other && interval.owner != Owner::other;
      if (me == Owner::b && faces_mate) at += mine ? half_play : -half_play;
      steps.push_back({at, mine ? 0 : thickness});
    }
    last = &interval;
  }
  return steps;
}

}  // namespace tallymill::stages::compute
