// Store clock: which times it may be, when the system's clock has jumped.
//
// Retention deletes by the wall clock, which a dead battery, a wrong time server or a hand may set
// to anything. One that has left the line of the monotonic clock by more than a tolerance is
// doubted until it has kept to its new line as long as that, or is back on the old one. Meanwhile
// it may be either of two times: what is written is stamped with the later, and what is deleted is
// judged by the earlier. So whichever of them is wrong, nothing goes too soon.
//
// A start has no line of its own and takes up that of the last stamp on the disk that was believed.
// After a long downtime samples expire when the clock is, which is a tolerance later.
//
//   invariant: earliest_ms <= latest_ms, and one of the two is the wall clock's
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/clock.h"

namespace tallymill::collector {

class StoreClock {
 public:
  struct Times {
    std::int64_t earliest_ms;
    std::int64_t latest_ms;
  };

  // REQUIRES: `clock` outlives this.
  StoreClock(const Clock& clock, std::chrono::milliseconds tolerance);

  // This was the time when something was written last, by a process that may be gone.
  void take_up(std::int64_t last_ms);
  // What it is now. The two differ while the wall clock is doubted.
  [[nodiscard]] Times look();
  // How often it began to be doubted.
  [[nodiscard]] std::uint64_t jumps() const;

 private:
  // What the wall clock said at one moment of the monotonic one, and what it will say.
  struct Line {
    std::int64_t wall_ms;
    std::int64_t at_ms;
    [[nodiscard]] std::int64_t at(std::int64_t now_ms) const { return wall_ms + (now_ms - at_ms); }
  };
  [[nodiscard]] Line read() const;
  [[nodiscard]] bool keeps_to(const Line& line, const Line& read) const;

  const Clock& clock_;
  const std::int64_t tolerance_ms_;

  mutable std::mutex mutex_;  // guards what is below
  Line believed_;
  std::optional<Line> doubted_;
  std::uint64_t jumps_ = 0;
};

}  // namespace tallymill::collector
