// The front's clock as a worker knows it. Goal: what it says to be wrong by at most is never less
// than what it is wrong by. Method: a front's clock that is known to the test, and echoes that took
// any way there and back.
#include "stages/clock_offset.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

namespace tallymill::stages {
namespace {

constexpr std::int64_t us = 1'000;
constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t start = 1'000'000 * ms;

// Half a round trip, and how far two clocks may drift apart meanwhile.
constexpr std::int64_t error_of(std::int64_t trip_ns) { return trip_ns / 2 + 1 + trip_ns / 10'000; }

std::int64_t wrong_by(const ClockOffset& offset, std::int64_t here_ns, std::int64_t front_ns) {
  return std::abs(offset.to_front(here_ns) - front_ns);
}

TEST(ClockOffset, OnThisHostEveryEchoLeavesTheStampsAsTheyAre) {
  ClockOffset offset;
  offset.on_this_host();
  for (std::int64_t at = start; at < start + 20'000 * ms; at += 400 * ms) {
    offset.sample(at, at + 90 * us, at + 100 * us);
    ASSERT_EQ(offset.to_front(at), at);
    ASSERT_EQ(offset.error_ns(), 0);
  }
}

TEST(ClockOffset, AnotherHostsClockThatDiffersByLessThanARoundTripIsNotTakenForTheSame) {
  ClockOffset offset;
  constexpr std::int64_t ahead = 50 * us;
  // 20 us there and 180 back: the echo fits into the round trip as the same clock's would.
  offset.sample(start, start + 20 * us + ahead, start + 200 * us);
  EXPECT_GT(offset.error_ns(), 0);
  EXPECT_LE(wrong_by(offset, start, start + ahead), offset.error_ns());
  EXPECT_LE(offset.error_ns(), 101 * us);
}

TEST(ClockOffset, AnEchoThatCannotBeOfThisClockShowsThatItIsAnother) {
  for (const std::int64_t ahead : {-ms, 101 * us, 5'000'000 * ms}) {
    ClockOffset offset;
    offset.on_this_host();
    offset.sample(start, start + 50 * us + ahead, start + 100 * us);
    EXPECT_EQ(wrong_by(offset, start, start + ahead), 0) << ahead;
    EXPECT_EQ(offset.error_ns(), error_of(100 * us));
    // And so it stays, also when one fits.
    offset.sample(start + ms, start + ms + 50 * us, start + ms + 100 * us);
    EXPECT_GT(offset.error_ns(), 0);
  }
}

TEST(ClockOffset, TheShortestTripCountsUntilItIsTooOld) {
  ClockOffset offset;
  offset.sample(start, start + 10 * us, start + 20 * us);
  EXPECT_EQ(offset.error_ns(), error_of(20 * us));
  std::int64_t at = start + 10 * ms;
  offset.sample(at, at + 900 * us, at + 1000 * us);
  EXPECT_EQ(offset.to_front(at), at);  // the longer one would say 400 us
  EXPECT_EQ(offset.error_ns(), 10 * us + 1 + (at + 1000 * us - start) / 10'000);
  // A minute later the clocks may have gone 6 ms apart.
  at = start + 60'000 * ms;
  offset.sample(at, at + 900 * us, at + 1000 * us);
  EXPECT_EQ(offset.to_front(at), at + 400 * us);
  EXPECT_EQ(offset.error_ns(), error_of(1000 * us));
}

TEST(ClockOffset, WhatIsNoSampleChangesNothing) {
  ClockOffset offset;
  offset.sample(start, start + 7 * ms, start + 2 * us);
  const std::int64_t error = offset.error_ns();
  const std::int64_t there = offset.to_front(start);
  offset.sample(0, start, start + us);
  offset.sample(start, 0, start + us);
  offset.sample(start, start, start - 1);
  EXPECT_EQ(offset.error_ns(), error);
  EXPECT_EQ(offset.to_front(start), there);
}

TEST(ClockOffset, WhatWasKnownHoldsAfterARestartUntilTheFirstSample) {
  ClockOffset offset;
  offset.sample(start, start + 7 * ms, start + 2 * us);
  const std::int64_t there = offset.to_front(start);
  offset.reset();
  EXPECT_EQ(offset.to_front(start), there);
  offset.sample(start + ms, start + 50 * ms, start + 3 * ms);  // a long trip, and the only one
  EXPECT_EQ(offset.error_ns(), error_of(2 * ms));
}

TEST(ClockOffset, NoStampStaysNoStampAndThereAndBackIsTheSame) {
  ClockOffset offset;
  offset.sample(start, start + 7 * ms, start + 2 * us);
  EXPECT_EQ(offset.to_front(0), 0);
  EXPECT_EQ(offset.to_here(offset.to_front(start)), start);
}

TEST(ClockOffset, WhatTheClocksDriftByOnALongWayBackCounts) {
  ClockOffset offset;
  // Read at once, the echo 20 ms on its way: half of it is all of the error but for the drift.
  const auto front = [](std::int64_t here) { return here + (here - start) / 1000 * 99 / 1000; };
  const std::int64_t now = start + 20 * ms;
  offset.sample(start, front(start), now);
  EXPECT_GT(wrong_by(offset, now, front(now)), 10 * ms + us);
  EXPECT_LE(wrong_by(offset, now, front(now)), offset.error_ns());
}

TEST(ClockOffset, IsNeverWrongByMoreThanItSays) {
  const char* given = std::getenv("SEED");  // NOLINT(concurrency-mt-unsafe): nobody sets one
  const auto seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "SEED=" << seed << '\n';
  std::mt19937_64 random(seed);
  const auto pick = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  for (int host = 0; host < 200; ++host) {
    ClockOffset offset;
    const std::int64_t ahead =
        pick(0, 1) == 0 ? pick(-300 * us, 300 * us) : pick(-start / 2, start);
    const std::int64_t drift = pick(-99, 99);  // millionths
    const auto front = [&](std::int64_t here) {
      return here + ahead + (here - start) / 1000 * drift / 1000;
    };
    std::int64_t at = start;
    for (int beat = 0; beat < 100; ++beat) {
      const std::int64_t there = pick(1, pick(0, 9) == 0 ? 20 * ms : 300 * us);
      const std::int64_t back = pick(1, pick(0, 9) == 0 ? 20 * ms : 300 * us);
      offset.sample(at, front(at + there), at + there + back);
      const std::int64_t now = at + there + back;
      // The test's own division leaves a microsecond.
      ASSERT_LE(wrong_by(offset, now, front(now)), offset.error_ns() + us)
          << "host " << host << " beat " << beat << " drift " << drift << " ahead " << ahead;
      at += pick(1, 800) * ms;
    }
  }
}

}  // namespace
}  // namespace tallymill::stages
