// Credits bound what a worker holds. Goal: no order of hellos, takes and returns breaks that, and
// none leaks a place. Method: cases at the edges, then random use against a model that is a plain
// list.
#include "front/credit.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace tallymill::front {
namespace {

constexpr Places four_jobs_ten_bytes{Credits(4), Bytes(10)};

TEST(CreditWindow, StartsEmptySoAWorkerThatNeverSaidHelloGetsNothing) {
  CreditWindow window;
  EXPECT_FALSE(window.try_take(Bytes(1)));
}

TEST(CreditWindow, AHostileLimitNearTheTypesMaximumIsRefusedAndChangesNothing) {
  CreditWindow window;
  ASSERT_TRUE(window.set_limit(four_jobs_ten_bytes));
  const auto refused = window.set_limit({Credits(std::numeric_limits<std::int32_t>::max()),
                                         Bytes(std::numeric_limits<std::int64_t>::max())});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::too_big);
  EXPECT_EQ(window.limit().jobs, Credits(4));
}

TEST(CreditWindow, AJobOverTheByteLimitGoesOnlyAlone) {
  CreditWindow window;
  ASSERT_TRUE(window.set_limit(four_jobs_ten_bytes));
  ASSERT_TRUE(window.try_take(Bytes(1)));
  EXPECT_FALSE(window.try_take(Bytes(50)));
  window.give_back(Bytes(1));
  EXPECT_TRUE(window.try_take(Bytes(50)));
  EXPECT_FALSE(window.try_take(Bytes(1)));
}

TEST(CreditWindow, AWorkerThatShrinksGetsNothingUntilItHasRoom) {
  CreditWindow window;
  ASSERT_TRUE(window.set_limit(four_jobs_ten_bytes));
  ASSERT_TRUE(window.try_take(Bytes(1)));
  ASSERT_TRUE(window.try_take(Bytes(1)));
  ASSERT_TRUE(window.set_limit({Credits(1), Bytes(10)}));
  EXPECT_FALSE(window.try_take(Bytes(1)));
  window.give_back(Bytes(1));
  EXPECT_FALSE(window.try_take(Bytes(1)));
  window.give_back(Bytes(1));
  EXPECT_TRUE(window.try_take(Bytes(1)));
}

TEST(CreditWindow, HoldsExactlyWhatIsOutUnderRandomUse) {
  std::mt19937 rng(1);  // a failure names the step; the seed makes it come back
  CreditWindow window;
  ASSERT_TRUE(window.set_limit(four_jobs_ten_bytes));
  std::vector<Bytes> out;
  for (int step = 0; step < 10'000; ++step) {
    if (rng() % 2) {
      const Bytes size(static_cast<std::int64_t>(rng() % 12));
      if (window.try_take(size)) out.push_back(size);
    } else if (!out.empty()) {
      window.give_back(out.back());
      out.pop_back();
    }
    Bytes sum(0);
    for (const Bytes size : out) sum += size;
    ASSERT_EQ(window.held().jobs, Credits(static_cast<std::int32_t>(out.size())))
        << "step " << step;
    ASSERT_EQ(window.held().bytes, sum) << "step " << step;
    ASSERT_LE(window.held().jobs, Credits(4)) << "step " << step;
    ASSERT_TRUE(sum <= Bytes(10) || out.size() == 1) << "step " << step;
  }
}

}  // namespace
}  // namespace tallymill::front
