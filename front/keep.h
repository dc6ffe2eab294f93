// Keep: which waterfalls outlive their jobs, and how many jobs each of them stands for.
//
// Every end that failed or expired is kept; it stands for itself. Of those done, and apart from
// them of those cancelled, each octave of end-to-end time has a draw of its own, so that the rare
// slow job is there beside a million fast ones. Of an octave that had n ends in the last window,
// each is kept with the probability k / n, whatever became of the others; its weight is n / k.
//
//   1. n is the last window's count, or this one's so far where that is more: a burst is not kept
//      whole.
//   2. An octave with no more than k ends is kept whole, at weight 1.
//   3. n is known before the draw, so that the weights of what was kept add up, on average, to what
//      there was: over any time, of any octave, kind or client.
//
// Threads: the front's loop; deterministic under its seed.
// Source: D. G. Horvitz, D. J. Thompson, "A Generalization of Sampling Without Replacement From a
// Finite Universe", JASA 47, 1952.
#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "base/clock.h"
#include "front/ledger.h"

namespace tallymill::front {

class Keep {
 public:
  explicit Keep(std::uint64_t seed) : random_(seed) {}

  // The weight of the waterfall of a job that took so long; 0: it is not kept.
  [[nodiscard]] double weigh(EndState state, Duration took, Instant now);

  // 0 below 1 ns, else one more with each doubling.
  [[nodiscard]] static std::size_t octave_of(Duration took);
  static constexpr std::size_t octaves = 64;

 private:
  struct Counts {
    std::int64_t last = 0;  // of the window before
    std::int64_t now = 0;
  };
  void turn(Instant now);

  std::mt19937_64 random_;
  Instant window_{};  // its begin
  std::array<Counts, octaves> done_{};
  std::array<Counts, octaves> cancelled_{};
};

}  // namespace tallymill::front
