// A flood costs so many lines a second. Goal: the bound holds, and what it costs is told.
// Method: times made here.
#include "base/log_budget.h"

#include <gtest/gtest.h>

namespace tallymill::log {
namespace {

using std::chrono::milliseconds;

Instant at(int ms) { return Instant(milliseconds(5'000 + ms)); }

TEST(LogBudget, SoManyASecondAreTakenAndNotOneMore) {
  Budget budget(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.take(at(i)));
  EXPECT_EQ(budget.told(), "");
  EXPECT_FALSE(budget.take(at(500)));
  EXPECT_FALSE(budget.take(at(999)));
}

TEST(LogBudget, TheNextSecondTakesAgainAndTellsOnceWhatWasLeftOut) {
  Budget budget(1);
  EXPECT_TRUE(budget.take(at(0)));
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(budget.take(at(1)));
  EXPECT_TRUE(budget.take(at(1000)));
  EXPECT_EQ(budget.told(), " (and 7 such lines before)");
  EXPECT_EQ(budget.told(), "");
  EXPECT_FALSE(budget.take(at(1001)));
}

TEST(LogBudget, TheFirstLineEverIsTakenHoweverEarlyItComes) {
  Budget budget(1);
  EXPECT_TRUE(budget.take(Instant{}));
}

}  // namespace
}  // namespace tallymill::log
