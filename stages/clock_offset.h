// ClockOffset: this host's monotonic clock in the readings of the front's.
//
// Stamps of a job are compared with each other at the front, so all are told in its clock. A front
// that is reached without leaving this host has the same one, and nothing is changed, unless an
// echo shows that it has not (another time namespace, a tunnel). Else the offset comes from beats
// and their echoes: the front read its clock between our sending and our receiving, so the middle
// is its reading but for half the round trip. What a sample is worth falls with its age, counted
// from our sending, as clocks drift apart on the way too; of the last ones the best counts. That an
// echo fits the same clock does not show that it is the same: another host's may differ by less
// than a round trip.
//
//   invariant: error() bounds what to_front() is wrong by, as of the last sample; 0 on the same
//              clock
//
// Threads: on_this_host(), sample() and reset() by the loop; the rest from any thread.
// Source: NTP's clock filter, RFC 5905 section 10.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace tallymill::stages {

class ClockOffset {
 public:
  // The front is reached without leaving this host.
  void on_this_host() { same_ = true; }

  // Our clock when the beat left and when its echo came, the front's in between.
  void sample(std::int64_t sent_ns, std::int64_t front_ns, std::int64_t received_ns) {
    if (sent_ns <= 0 || front_ns <= 0 || received_ns < sent_ns) return;
    same_ = same_ && front_ns >= sent_ns && front_ns <= received_ns;
    if (same_) return;
    const std::int64_t half = (received_ns - sent_ns) / 2;
    samples_[next_++ % samples_.size()] = {sent_ns, front_ns - sent_ns - half, half + 1};
    const Sample* best = nullptr;
    for (const Sample& s : samples_)
      if (s.at_ns != 0 &&
          (best == nullptr || s.error_at(received_ns) < best->error_at(received_ns)))
        best = &s;
    offset_ns_.store(best->offset_ns, std::memory_order_relaxed);
    error_ns_.store(best->error_at(received_ns), std::memory_order_relaxed);
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
  // 100 millionths: more than two quartz clocks differ by.
  static constexpr std::int64_t drift_divisor = 10'000;

  struct Sample {
    std::int64_t at_ns = 0;  // 0: none yet
    std::int64_t offset_ns = 0;
    std::int64_t error_ns = 0;
    [[nodiscard]] std::int64_t error_at(std::int64_t now_ns) const {
      return error_ns + (now_ns - at_ns) / drift_divisor;
    }
  };
  // At 400 ms a beat about six seconds: long enough for a quiet moment.
  std::array<Sample, 16> samples_{};
  std::size_t next_ = 0;
  bool same_ = false;
  std::atomic<std::int64_t> offset_ns_ = 0;
  std::atomic<std::int64_t> error_ns_ = 0;
};

}  // namespace tallymill::stages
