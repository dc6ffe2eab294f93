// Mutant: ways in which an engine would be wrong, planted by the build that compares it with
// Prometheus, which must find each.
//
// Threads: constant.
#pragma once

#include <cstdint>

namespace tallymill::promql {

enum class Mutant : std::uint8_t {
  none,
  lookback_without_its_end,  // a sample that is exactly as old as the lookback is gone
  stale_is_a_number,         // a marker does not end its series
  extrapolates_to_the_edge,  // however far away the window's edge is
  counter_below_zero,        // extrapolated to before it was zero
  reset_not_seen,            // a counter only ever goes down
  name_matches,              // __name__ counts in matching by all labels
  subquery_from_its_begin,   // its steps are not absolute
  buckets_as_they_are,       // not made monotonic
  variance_of_a_sample,      // by n - 1
  offset_after_at,           // @ forgets the offset
  bool_keeps_the_name,
};

#ifdef TALLYMILL_MUTANT
inline constexpr Mutant planted = Mutant::TALLYMILL_MUTANT;
#else
inline constexpr Mutant planted = Mutant::none;
#endif
[[nodiscard]] constexpr bool plants(Mutant mutant) { return planted == mutant; }

}  // namespace tallymill::promql
