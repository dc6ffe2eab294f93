// Full jitter: how long to wait before something is tried for the n-th time again.
//
// Uniform in [0, min(cap, base * 2^n)]: many that failed together do not come back together.
//
// Threads: the caller's; `random` is used.
// Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>

#include "base/clock.h"

namespace tallymill::front {

// `n`: how often it was tried again before.
[[nodiscard]] inline Duration full_jitter(Duration base, Duration cap, int n,
                                          std::mt19937_64& random) {
  const std::int64_t doubled = std::int64_t{1} << std::clamp(n, 0, 30);
  // By division: the product of a long base and many doublings does not fit.
  const Duration most = base > cap / doubled ? cap : base * doubled;
  return Duration(std::uniform_int_distribution<std::int64_t>(
      0, std::max<std::int64_t>(0, most.count()))(random));
}

}  // namespace tallymill::front
