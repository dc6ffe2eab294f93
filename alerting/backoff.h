// Backoff: how long until something that failed is tried again.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

#include "alerting/limits.h"

namespace tallymill::alerting {

class Backoff {
 public:
  struct Times {
    std::chrono::milliseconds first = limits::sink_again_first;
    std::chrono::milliseconds slowest = limits::sink_again_slowest;
  };
  Backoff(Times times, std::uint64_t seed) : times_(times), random_(seed) {}

  // After so many failures in a row, from 1: doubled each time, and of that a half to all.
  std::chrono::milliseconds after(std::int64_t failures) {
    const auto doublings = std::clamp<std::int64_t>(failures - 1, 0, 30);
    const std::int64_t all =
        std::min<std::int64_t>(times_.first.count() << doublings, times_.slowest.count());
    return std::chrono::milliseconds(
        std::uniform_int_distribution<std::int64_t>((all + 1) / 2, all)(random_));
  }

 private:
  Times times_;
  std::mt19937_64 random_;
};

}  // namespace tallymill::alerting
