// Goal: memory that grows without end is told, in time; memory that goes up and down, fills up, or
// steps is not. Method: floors as a process has them, made from a seed, 1 Hz; the slope against a
// line that is known; the test against its own false alarms on noise.
#include "collector/leak.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

namespace tallymill::collector {
namespace {

constexpr double mib = 1 << 20;
constexpr std::chrono::seconds window{600};
constexpr std::uint64_t seed = 20260117;

// At seconds 0 .. 600.
Column each_second(const std::function<double(int)>& bytes, int seconds = 600) {
  Column column;
  for (int s = 0; s <= seconds; ++s) column.add(std::int64_t{1000} * s, bytes(s));
  return column;
}
bool suspected(const std::function<double(int)>& bytes) {
  return leak_in(each_second(bytes), 600'000, window).suspected;
}

TEST(TheilSen, IsTheSlopeOfALineWhateverAThirdOfThePointsSay) {
  std::vector<double> x;
  std::vector<double> y;
  for (int i = 0; i < 30; ++i) {
    x.push_back(i);
    y.push_back(i % 4 == 3 ? 1e9 : 5.0 + 2 * i);
  }
  EXPECT_NEAR(theil_sen(x, y).slope, 2, 1e-9);
}

// By hand: 4 values, all pairs rise: S = 6, variance 4 * 3 * 13 / 18, (6 - 1) / sqrt(8.667).
TEST(TheilSen, ItsTrendIsThatOfMannAndKendallWithTies) {
  const std::vector<double> x{1, 2, 3, 4};
  EXPECT_NEAR(theil_sen(x, std::vector<double>{1, 2, 3, 4}).trend, 1.6984, 1e-4);
  EXPECT_NEAR(theil_sen(x, std::vector<double>{4, 3, 2, 1}).trend, -1.6984, 1e-4);
  // S = 5, variance (4 * 3 * 13 - 2 * 1 * 9) / 18.
  EXPECT_NEAR(theil_sen(x, std::vector<double>{1, 2, 2, 4}).trend, 4 / std::sqrt(138.0 / 18), 1e-9);
  EXPECT_EQ(theil_sen(x, std::vector<double>{7, 7, 7, 7}).trend, 0);
  EXPECT_EQ(theil_sen(std::vector<double>{1, 2}, std::vector<double>{1, 2}).trend, 0);
}

TEST(Leak, OneKilobyteAJobIsFoundWithin10000JobsUnderBurstsOfAHundredTimesAsMuch) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> burst(1 / (2 * mib));
  const double jobs_per_second = 10'000 / 600.0;
  const Column bytes =
      each_second([&](int s) { return 20 * mib + 1024 * jobs_per_second * s + burst(random); });
  const Leak leak = leak_in(bytes, 600'000, window);
  EXPECT_TRUE(leak.suspected) << "seed " << seed;
  EXPECT_NEAR(leak.bytes_per_second, 1024 * jobs_per_second, 0.15 * 1024 * jobs_per_second);
}

TEST(Leak, WhatGoesUpAndDownFillsUpOrStepsIsNone) {
  EXPECT_FALSE(suspected([](int) { return 50 * mib; }));
  EXPECT_FALSE(suspected([](int s) { return (50 + 40 * std::sin(s / 40.0)) * mib; }));
  EXPECT_FALSE(suspected([](int s) { return (20 + s % 60) * mib; })) << "a sawtooth";
  EXPECT_FALSE(suspected([](int s) { return (s < 300 ? 20 : 200) * mib; })) << "a step";
  EXPECT_FALSE(suspected([](int s) { return (200 - 150 * std::exp(-s / 80.0)) * mib; }))
      << "a cache that fills up";
  EXPECT_FALSE(suspected([](int s) { return (200 - s / 4.0) * mib; })) << "it shrinks";
  EXPECT_FALSE(suspected([](int s) { return 20 * mib + 6000.0 * s; })) << "3.4 MiB in ten minutes";
  EXPECT_TRUE(suspected([](int s) { return 20 * mib + 7500.0 * s; })) << "4.3 MiB";
  EXPECT_FALSE(suspected([](int s) { return 4000 * mib + 100'000.0 * s; })) << "1.4 per cent";
}

// By 1 in 30,000 one of them may be loud; in a run of 60,000 windows of white noise none was.
TEST(Leak, NoiseIsSilentIn2000WindowsButForOne) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> noise(0, 5 * mib);
  int white = 0;
  int sticky = 0;
  for (int run = 0; run < 2000; ++run) {
    white += suspected([&](int) { return 100 * mib + noise(random); });
    double x = 0;  // what it was a second ago, nine parts of ten
    sticky += suspected([&](int) {
      x = 0.9 * x + noise(random);
      return 100 * mib + x;
    });
  }
  EXPECT_LE(white, 1) << "seed " << seed;
  EXPECT_LE(sticky, 1) << "seed " << seed;
}

TEST(Leak, MissingSamplesMakeItSilent) {
  Column half = each_second([](int s) { return (20 + s) * mib; }, 400);
  EXPECT_FALSE(leak_in(half, 600'000, window).suspected);
  EXPECT_EQ(leak_in({}, 600'000, window).bytes_per_second, 0);
  Column all = each_second([](int s) { return (20 + s) * mib; });
  all.value[300] = std::nan("");
  EXPECT_TRUE(leak_in(all, 600'000, window).suspected);
  EXPECT_FALSE(leak_in(all, 10'000'000, window).suspected) << "all of it is too old";
}

}  // namespace
}  // namespace tallymill::collector
