// The times by which samples expire. Goal: a clock that jumps, either way, at any moment, is
// believed only when it has gone steadily, and one that went steadily always. Method: a clock of
// which both hands are set, in tables.
#include "collector/store_clock.h"

#include <gtest/gtest.h>

#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

constexpr std::int64_t begin = 1'700'000'000'000;
constexpr std::int64_t hour = 3'600'000;
constexpr std::int64_t year = 365 * 24 * hour;

class StoreClockTest : public ::testing::Test {
 protected:
  // After so long, in which the wall clock was set besides.
  void pass(std::int64_t ms, std::int64_t jump_ms = 0) {
    system_.set_ms(system_.ms() + ms);
    system_.jump_ms(jump_ms);
    const StoreClock::Times times = clock_.look();
    earliest_ = times.earliest_ms - begin;
    latest_ = times.latest_ms - begin;
  }
  void expect(std::int64_t earliest, std::int64_t latest) const {
    EXPECT_EQ(earliest_, earliest);
    EXPECT_EQ(latest_, latest);
  }

  SetClock system_;
  StoreClock clock_{(system_.set_ms(begin), system_), std::chrono::hours(24)};
  std::int64_t earliest_ = 0;
  std::int64_t latest_ = 0;
};

TEST_F(StoreClockTest, OneThatGoesSteadilyIsBelievedHoweverLongNobodyLooked) {
  pass(100 * year);
  expect(100 * year, 100 * year);
  // A jump of the tolerance is none; each is judged from where it was seen last.
  pass(0, 24 * hour);
  pass(0, 24 * hour);
  expect(100 * year + 48 * hour, 100 * year + 48 * hour);
  EXPECT_EQ(clock_.jumps(), 0U);
  pass(0, 24 * hour + 1);
  expect(100 * year + 48 * hour, 100 * year + 72 * hour + 1);
  EXPECT_EQ(clock_.jumps(), 1U);
}

TEST_F(StoreClockTest, OneThatJumpedIsDoubtedUntilItHasGoneSteadily) {
  for (const std::int64_t jump : {year, -year}) {
    SCOPED_TRACE(jump);
    const std::int64_t from = latest_;
    pass(hour, jump);
    expect(from + hour + std::min(jump, 0L), from + hour + std::max(jump, 0L));
    pass(24 * hour - 1);
    expect(from + 25 * hour - 1 + std::min(jump, 0L), from + 25 * hour - 1 + std::max(jump, 0L));
    pass(1);
    expect(from + 25 * hour + jump, from + 25 * hour + jump);
  }
  EXPECT_EQ(clock_.jumps(), 2U);
}

TEST_F(StoreClockTest, OneThatComesBackIsBelievedAtOnce) {
  pass(hour, year);
  pass(20 * hour, -year);
  expect(21 * hour, 21 * hour);
  // And is doubted as long as ever when it goes again.
  pass(hour, year);
  pass(23 * hour);
  expect(45 * hour, 45 * hour + year);
}

TEST_F(StoreClockTest, OneThatJumpsAgainAndAgainIsNeverBelieved) {
  for (int i = 1; i < 20; ++i) {
    pass(23 * hour, year);
    expect(i * 23 * hour, i * (23 * hour + year));
  }
  EXPECT_EQ(clock_.jumps(), 19U);
}

TEST_F(StoreClockTest, AStartTakesUpTheLineOfTheLastStamp) {
  clock_.take_up(begin - 23 * hour);
  pass(0);
  expect(0, 0);
  clock_.take_up(begin - year);
  pass(0);
  expect(-year, 0);
  pass(24 * hour);
  expect(24 * hour, 24 * hour);
  // The stamp was the wrong one.
  clock_.take_up(begin + year);
  pass(0);
  expect(24 * hour, year);
}

}  // namespace
}  // namespace tallymill::collector
