// What is kept stands for what there was. Goal: over a planted distribution the weights of what is
// kept estimate, octave by octave, how many there were, within a bound that the draw's own variance
// gives; no failure is missed, nor an octave for being rare; a burst costs little. Method: windows
// of ends with a fake clock, true counts beside the weights; seeds printed.
#include "front/keep.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <random>
#include <vector>

#include "base/limits.h"
#include "tests/front/ledger_fixture.h"

namespace tallymill::front {
namespace {

using namespace std::chrono_literals;

constexpr Duration window = limits::keep_window;
constexpr double k = limits::keep_per_window;

// What was kept of one octave, and what there was.
struct Tally {
  double there = 0;
  double kept = 0;
  double weights = 0;
  // Of the sum of weights, by the weights themselves: w * (w - 1) for each.
  double variance = 0;

  void add(double weight) {
    ++there;
    if (weight == 0) return;
    ++kept;
    weights += weight;
    variance += weight * (weight - 1);
  }
};

class KeepTest : public ::testing::Test {
 protected:
  // `many` ends that took so long, spread over the window that begins here.
  void ends(std::int64_t many, Duration took, Tally& tally, EndState state = EndState::done) {
    for (std::int64_t n = 0; n < many; ++n)
      tally.add(keep.weigh(state, took, begin + window * n / many));
  }

  const std::uint64_t seed = seed_for("keep");
  Keep keep{seed};
  Instant begin = instant_from_ns(1'000'000'000'000);
};

TEST_F(KeepTest, AnOctaveIsADoubling) {
  EXPECT_EQ(Keep::octave_of(-1ns), 0U);
  EXPECT_EQ(Keep::octave_of(0ns), 0U);
  EXPECT_EQ(Keep::octave_of(1ns), 1U);
  EXPECT_EQ(Keep::octave_of(1023ns), 10U);
  EXPECT_EQ(Keep::octave_of(1024ns), 11U);
  EXPECT_LT(Keep::octave_of(Duration::max()), Keep::octaves);
}

TEST_F(KeepTest, EveryFailureIsKeptAndStandsForItself) {
  Tally done;
  for (int n = 0; n < 20; ++n, begin += window) {
    ends(1000, 5ms, done);
    for (const EndState state : {EndState::failed, EndState::expired})
      for (int i = 0; i < 1000; ++i) ASSERT_EQ(keep.weigh(state, 5ms, begin), 1);
  }
  EXPECT_LT(done.kept, done.there / 10) << "failures are no reason to keep what was done";
}

// The relative error of n windows is 1 / sqrt(k n) at most; five of it is one in a million.
TEST_F(KeepTest, WeightsAddUpToWhatThereWasInEachOctave) {
  constexpr int windows = 2000;
  const std::vector<std::pair<Duration, std::int64_t>> rates{{200us, 4000}, {900us, 700}, {5ms, 90},
                                                             {40ms, 12},    {300ms, 3},   {2s, 1}};
  std::vector<Tally> tallies(rates.size());
  for (int n = 0; n < windows; ++n, begin += window)
    for (std::size_t i = 0; i < rates.size(); ++i)
      ends(rates[i].second, rates[i].first, tallies[i]);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const Tally& tally = tallies[i];
    const double error = std::abs(tally.weights / tally.there - 1);
    std::cout << rates[i].second << " a window: kept " << tally.kept << " of " << tally.there
              << ", off by " << error * 100 << " %\n";
    EXPECT_LT(error, 5 / std::sqrt(k * windows)) << rates[i].second << " a window";
    // About k a window, but for the first.
    EXPECT_LT(tally.kept, 1.2 * k * windows + 100);
  }
}

// Rates that change by the window, quiet ones between: no window is like the one before.
TEST_F(KeepTest, WeightsAddUpUnderALoadThatChanges) {
  std::mt19937_64 random(seed + 1);
  Tally busy, rare;
  for (int n = 0; n < 3000; ++n) {
    const auto burst =
        static_cast<std::int64_t>(random() % 4 == 0 ? random() % 3000 : random() % 9);
    ends(burst, 3ms, busy);
    if (random() % 20 == 0) ends(1, 90s, rare);
    begin += window * static_cast<std::int64_t>(1 + random() % 3);
  }
  std::cout << "kept " << busy.kept << " of " << busy.there << ", estimated " << busy.weights
            << "\n";
  EXPECT_LT(std::abs(busy.weights - busy.there), 5 * std::sqrt(busy.variance));
  EXPECT_EQ(rare.kept, rare.there) << "the rare slow octave is there, each time";
  EXPECT_EQ(rare.weights, rare.there);
}

// By the harmonic series: k (1 + ln(n / k)) of n that come in one window after none.
TEST_F(KeepTest, ABurstAfterSilenceIsNotKeptWhole) {
  constexpr int many = 200'000;
  Tally burst;
  ends(many, 5ms, burst);
  EXPECT_GE(burst.kept, k);
  EXPECT_LT(burst.kept, 3 * k * (1 + std::log(many / k)));
}

TEST_F(KeepTest, CancelledOnesAreCountedApart) {
  Tally cancelled, done;
  for (int n = 0; n < 20; ++n, begin += window) {
    ends(5000, 5ms, cancelled, EndState::cancelled);
    ends(2, 5ms, done);
  }
  EXPECT_EQ(done.kept, done.there);
  EXPECT_EQ(done.weights, done.there);
  EXPECT_LT(cancelled.kept, 20 * 3 * k + 100);
}

TEST_F(KeepTest, TheSameSeedKeepsTheSameOnes) {
  Keep again(seed), other(seed + 1);
  int differ = 0;
  for (int n = 0; n < 10'000; ++n) {
    const Instant now = begin + n * 1ms;
    const double weight = keep.weigh(EndState::done, 5ms, now);
    ASSERT_EQ(again.weigh(EndState::done, 5ms, now), weight);
    differ += other.weigh(EndState::done, 5ms, now) != weight ? 1 : 0;
  }
  EXPECT_GT(differ, 0);
}

}  // namespace
}  // namespace tallymill::front
