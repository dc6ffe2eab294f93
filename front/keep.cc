#include "front/keep.h"

#include <algorithm>
#include <bit>

#include "base/limits.h"

namespace tallymill::front {

std::size_t Keep::octave_of(Duration took) {
  const std::int64_t ns = std::max<std::int64_t>(0, took.count());
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(ns)));
}

double Keep::weigh(EndState state, Duration took, Instant now) {
  if (state == EndState::failed || state == EndState::expired) return 1;
  turn(now);
  Counts& counts = (state == EndState::done ? done_ : cancelled_)[octave_of(took)];
  const std::int64_t n = std::max(counts.last, ++counts.now);
  if (n <= limits::keep_per_window) return 1;
  const std::int64_t drawn = std::uniform_int_distribution<std::int64_t>(0, n - 1)(random_);
  if (drawn >= limits::keep_per_window) return 0;
  return static_cast<double>(n) / static_cast<double>(limits::keep_per_window);
}

// Windows that nothing ended in count as well: what was long ago says nothing of now.
void Keep::turn(Instant now) {
  const auto passed = (now - window_) / Duration(limits::keep_window);
  if (passed <= 0) return;
  for (auto* of : {&done_, &cancelled_})
    for (Counts& counts : *of) counts = {passed == 1 ? counts.now : 0, 0};
  window_ += passed * Duration(limits::keep_window);
}

}  // namespace tallymill::front
