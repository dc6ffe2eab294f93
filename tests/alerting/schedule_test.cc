// Schedule. Goal: a group is evaluated once an interval, at moments that a restart does not move,
// and what is missed is counted. Method: tables; a walk over random ends of evaluations, seed
// printed.
#include "alerting/schedule.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace tallymill::alerting {
namespace {

TEST(Schedule, GroupsOfOneIntervalAreSpreadOverIt) {
  std::set<std::int64_t> tenths;
  for (int i = 0; i < 200; ++i) {
    const std::int64_t offset = offset_of("rules.yml", fmt::format("group {}", i), 10'000);
    ASSERT_GE(offset, 0);
    ASSERT_LT(offset, 10'000);
    tenths.insert(offset / 1'000);
  }
  EXPECT_EQ(tenths.size(), 10U);
  EXPECT_NE(offset_of("a", "bc", 1'000'003), offset_of("ab", "c", 1'000'003));
}

TEST(Schedule, TheFirstMomentIsNotPastAndLessThanAnIntervalAhead) {
  EXPECT_EQ(moment_from(10'000, 1'000, 0), 10'000);
  EXPECT_EQ(moment_from(10'001, 1'000, 0), 11'000);
  EXPECT_EQ(moment_from(10'001, 1'000, 1), 10'001);
  EXPECT_EQ(moment_from(10'001, 1'000, 500), 10'500);
  EXPECT_EQ(moment_from(0, 1'000, 999), 999);
}

TEST(Schedule, WhatWasMissedIsCountedAndNotMadeUp) {
  const auto told = [](std::int64_t now) {
    const Next next = after(5'000, now, 1'000);
    return fmt::format("{} {}", next.at_ms, next.missed);
  };
  EXPECT_EQ(told(5'000), "6000 0");
  EXPECT_EQ(told(5'999), "6000 0");
  EXPECT_EQ(told(6'000), "6000 0");  // due just now
  EXPECT_EQ(told(6'001), "7000 1");
  EXPECT_EQ(told(9'500), "10000 4");
  EXPECT_EQ(told(10'000), "10000 4");
  EXPECT_EQ(told(4'500), "6000 0");  // put back a little
  EXPECT_EQ(told(3'200), "4000 0");  // put back far
}

TEST(Schedule, EachMomentIsEvaluatedOrMissed) {
  const auto seed = std::random_device{}();
  fmt::print("schedule: seed {}\n", seed);
  std::mt19937_64 random(seed);
  std::int64_t at = moment_from(1'000'000, 700, 33);
  const std::int64_t first = at;
  std::int64_t evaluated = 0;
  std::int64_t missed = 0;
  for (int i = 0; i < 10'000; ++i) {
    ++evaluated;
    const std::int64_t end = at + static_cast<std::int64_t>(random() % 2'500);
    const Next next = after(at, end, 700);
    ASSERT_GE(next.at_ms, end);
    ASSERT_LT(next.at_ms, end + 700 + 1);
    missed += next.missed;
    at = next.at_ms;
  }
  EXPECT_EQ((at - first) / 700, evaluated + missed);
}

}  // namespace
}  // namespace tallymill::alerting
