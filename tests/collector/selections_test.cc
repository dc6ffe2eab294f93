// Selections. Goal: a list has the series with a sample in its time, each once, and ends when
// nobody waits for it, its time is over, or its regular expressions are too large. Method: series
// in memory and the parameters of requests.
#include "collector/selections.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "base/limits.h"
#include "tests/collector/promql/memory_source.h"

namespace tallymill::collector {
namespace {

using std::chrono::steady_clock;

class SelectionsTest : public ::testing::Test {
 protected:
  SelectionsTest() {
    for (int i = 0; i < 3; ++i)
      source_.add(Labels::of({{"__name__", "up"}, {"i", std::to_string(i)}}), i * 1000, i);
  }
  static Result<Selections> asked(const http::Pairs& pairs) {
    http::Request request;
    request.query = pairs;
    return selections_of(*Parameters::of(request), true);
  }
  std::size_t with_samples(std::int64_t from_ms, std::int64_t to_ms) {
    Selections selections = *asked({{"match[]", "up"}});
    selections.from_ms = from_ms;
    selections.to_ms = to_ms;
    promql::Allowance allowance(steady_clock::time_point::max(), nullptr, 0);
    return series_with_samples(source_, selections, allowance)->size();
  }
  MemorySource source_;
};

TEST_F(SelectionsTest, ASeriesWithoutASampleInTheTimeIsNotListed) {
  EXPECT_EQ(with_samples(0, 2000), 3U);
  EXPECT_EQ(with_samples(1, 1999), 1U);
  EXPECT_EQ(with_samples(1000, 1000), 1U);
  EXPECT_EQ(with_samples(1001, 1999), 0U);
  EXPECT_EQ(with_samples(2000, 0), 0U);
}

TEST_F(SelectionsTest, ASeriesThatSeveralSelectorsFitIsListedOnce) {
  http::Pairs pairs(100, {"match[]", "up"});
  pairs.emplace_back("match[]", "up{i=\"1\"}");
  promql::Allowance allowance(steady_clock::time_point::max(), nullptr, 0);
  EXPECT_EQ(series_of(source_, *asked(pairs), allowance)->size(), 3U);
}

TEST_F(SelectionsTest, AListEndsWhenNobodyWaitsOrItsTimeIsOver) {
  const auto selections = asked({{"match[]", "up"}});
  const std::atomic<bool> gone = true;
  promql::Allowance left(steady_clock::time_point::max(), &gone, 0);
  EXPECT_EQ(series_with_samples(source_, *selections, left).error().code, Errc::cancelled);
  promql::Allowance late(steady_clock::now() - std::chrono::seconds(1), nullptr, 0);
  EXPECT_EQ(series_of(source_, *selections, late).error().code, Errc::deadline);
}

TEST_F(SelectionsTest, RegularExpressionsAreTogetherAsLargeAsTheyMayBeAndNotLarger) {
  const std::string large = R"(up{i=~".{999}"})";
  const std::int64_t one = Matcher::of(Matcher::Kind::matches, "i", ".{999}")->program();
  http::Pairs pairs(static_cast<std::size_t>(limits::query_program / one), {"match[]", large});
  EXPECT_TRUE(asked(pairs));
  pairs.emplace_back("match[]", large);
  const auto more = asked(pairs);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::bad_params);
}

}  // namespace
}  // namespace tallymill::collector
