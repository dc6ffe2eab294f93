// Tiers: what becomes of old samples of our own bus: of each bucket of a tier's step only the last
// one is kept, with its own timestamp, so that a counter says at each moment what it said.
//
// To thin is to choose, never to calculate: thinning what is thinned changes nothing, and the last
// of a bucket is the last of those of its parts, so that samples may come late and parts may be
// merged in any order.
//
//   invariant: a bucket is thinned only when all of it is old enough
//
// Threads: values.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "collector/query.h"

namespace tallymill::collector {

struct Tier {
  std::chrono::milliseconds after;  // samples older than this
  std::chrono::milliseconds step;
};

class Tiers {
 public:
  // REQUIRES: `after` ascends, and each step is a multiple of the one before.
  explicit Tiers(std::vector<Tier> tiers) : tiers_(std::move(tiers)) {}

  // To one in so many milliseconds samples of this time are thinned; 0: they are not.
  [[nodiscard]] std::int64_t step_ms(std::int64_t t_ms, std::int64_t now_ms) const;

  // Keeps of each bucket that is old enough the last sample. REQUIRES: strictly ascending in time.
  void thin(Column& samples, std::int64_t now_ms) const;

 private:
  std::vector<Tier> tiers_;
};

}  // namespace tallymill::collector
