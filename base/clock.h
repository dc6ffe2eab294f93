// Clock: the two times of the system, and the seam where tests put their own.
//
// Lengths and orders are measured on the monotonic clock (Instant): it never steps, and on one host
// every process reads the same one, so that stamps taken by two processes may be subtracted. The
// wall clock (WallTime) is for people, for the ledger and for deadlines given by a client; it may
// step, so nothing is timed with it. Code that decides by time takes `now` as an argument or a
// `const Clock&`, never asks the system itself.
//
// Threads: SystemClock from any.
#pragma once

#include <chrono>
#include <cstdint>

namespace tallymill {

using Duration = std::chrono::nanoseconds;

// A reading of CLOCK_MONOTONIC.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Nanoseconds since 1970, UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
  [[nodiscard]] WallTime wall() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
};

// For the wire and SQL only.
[[nodiscard]] constexpr std::int64_t to_ns(Instant t) { return t.time_since_epoch().count(); }
[[nodiscard]] constexpr std::int64_t to_ns(WallTime t) { return t.time_since_epoch().count(); }
[[nodiscard]] constexpr Instant instant_from_ns(std::int64_t ns) { return Instant(Duration(ns)); }
[[nodiscard]] constexpr WallTime wall_from_ns(std::int64_t ns) { return WallTime(Duration(ns)); }

}  // namespace tallymill
