// ClockOffset: this host's monotonic clock in the readings of the front's.
//
// Stamps of a job are compared with each other at the front, so all are told in its clock. On one
// host and boot that is the same clock and nothing is changed. Else the offset comes from beats and
// their echoes: the front read its clock between our sending and our receiving, so the middle is
// its reading but for half the round trip; of the last samples the one with the shortest trip
// counts.
//
//   invariant: error() bounds what to_front() is wrong by; 0 on the same clock
//
// Threads: sample() and reset() by the loop; the rest from any thread.
// Source: NTP's clock filter, RFC 5905 section 10.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace tallymill::stages {

class ClockOffset {
 public:
  // Our clock when the beat left and when its echo came, the front's in between.
  void sample(std::int64_t sent_ns, std::int64_t front_ns, std::int64_t received_ns) {
    if (sent_ns <= 0 || front_ns <= 0 || received_ns < sent_ns) return;
    if (front_ns >= sent_ns && front_ns <= received_ns && offset_ns_.load() == 0) return;
    const std::int64_t trip = received_ns - sent_ns;
    samples_[next_++ % samples_.size()] = {trip, front_ns - sent_ns - trip / 2};
    Sample best = samples_[0];
    for (const Sample& s : samples_)
      if (s.trip_ns > 0 && (best.trip_ns <= 0 || s.trip_ns < best.trip_ns)) best = s;
    offset_ns_.store(best.offset_ns, std::memory_order_relaxed);
    error_ns_.store(best.trip_ns / 2 + 1, std::memory_order_relaxed);
  }

  // Another front, perhaps on another boot. Most likely the same clock: what was known of it holds
  // until the first sample.
  void reset() { samples_ = {}; }

  [[nodiscard]] std::int64_t to_front(std::int64_t here_ns) const {
    return here_ns == 0 ? 0 : here_ns + offset_ns_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t to_here(std::int64_t front_ns) const {
    return front_ns - offset_ns_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t error_ns() const { return error_ns_.load(std::memory_order_relaxed); }

 private:
  struct Sample {
    std::int64_t trip_ns = 0;  // 0: none yet
    std::int64_t offset_ns = 0;
  };
  // At 400 ms a beat about six seconds: long enough for a quiet moment, short enough for drift.
  std::array<Sample, 16> samples_{};
  std::size_t next_ = 0;
  std::atomic<std::int64_t> offset_ns_ = 0;
  std::atomic<std::int64_t> error_ns_ = 0;
};

}  // namespace tallymill::stages
