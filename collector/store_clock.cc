#include "collector/store_clock.h"

#include <algorithm>

namespace tallymill::collector {

StoreClock::StoreClock(const Clock& clock, std::chrono::milliseconds tolerance)
    : clock_(clock), tolerance_ms_(tolerance.count()), believed_(read()) {}

void StoreClock::take_up(std::int64_t last_ms) {
  const std::lock_guard guard(mutex_);
  believed_ = {last_ms, read().at_ms};
}

StoreClock::Times StoreClock::look() {
  const std::lock_guard guard(mutex_);
  const Line now = read();
  const bool proved =
      doubted_ && keeps_to(*doubted_, now) && now.at_ms - doubted_->at_ms >= tolerance_ms_;
  if (proved || keeps_to(believed_, now)) {
    believed_ = now;
    doubted_.reset();
    return {now.wall_ms, now.wall_ms};
  }
  if (!doubted_ || !keeps_to(*doubted_, now)) {
    doubted_ = now;
    ++jumps_;
  }
  const std::int64_t line = believed_.at(now.at_ms);
  return {std::min(line, now.wall_ms), std::max(line, now.wall_ms)};
}

std::uint64_t StoreClock::jumps() const {
  const std::lock_guard guard(mutex_);
  return jumps_;
}

StoreClock::Line StoreClock::read() const {
  return {to_ns(clock_.wall()) / 1'000'000, to_ns(clock_.now()) / 1'000'000};
}

bool StoreClock::keeps_to(const Line& line, const Line& read) const {
  const std::int64_t expected = line.at(read.at_ms);
  return read.wall_ms >= expected - tolerance_ms_ && read.wall_ms <= expected + tolerance_ms_;
}

}  // namespace tallymill::collector
