// Long queries. Goal: a query that would go on for hours ends soon after its time is over, in
// whichever loop it is, and one that nobody waits for any more ends at once; memory is bounded.
// Method: such queries over a few series in memory, with little time; the same without its reason.
#include "collector/promql/patience.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "tests/collector/promql/memory_source.h"

namespace tallymill::promql {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto given = 50ms;
// How much longer it may take on a busy machine with sanitizers.
constexpr auto at_most = 20s;

// `count` series of one sample each, a second apart: with a lookback of nothing each is there at
// one step alone.
void add_one_after_another(collector::MemorySource& source, const char* metric, int count) {
  for (int i = 0; i < count; ++i)
    source.add(Labels::of({{"__name__", metric}, {"i", std::to_string(i)}}), i * 1000, i);
}

struct Long {
  const char* query;
  Grid grid;
};

TEST(Patience, AQueryThatWouldTakeHoursEndsSoonAfterItsTime) {
  collector::MemorySource source;
  add_one_after_another(source, "one", 4000);
  for (int i = 0; i < 4000; ++i)
    source.add(Labels::of({{"__name__", "many"}, {"i", std::to_string(i)}}), 0, i);
  source.add(Labels::of({{"__name__", "x"}}), 0, 1);
  const std::int64_t month = 30LL * 24 * 3600 * 1000;
  const Long all[] = {
      // A subquery of a month by seconds, at 2.6 million steps of another.
      {"sum_over_time(sum_over_time((x @ 0)[30d:1s])[30d:1s])", {month, 1, 1}},
      {"sum_over_time(quantile_over_time(0.5, (x @ 0)[30d:1s])[30d:1s])", {month, 1, 1}},
      {"max_over_time(deriv(vector(time())[30d:1s])[30d:1s])", {month, 1, 1}},
      {"rate((x @ 0)[30d:1s])", {month, 1000, 11'000}},
      // 16 million pairs that never meet.
      {"many * on () group_left one", {0, 1000, 4000}},
      // 44 million labels.
      {"count_values(\"v\", many @ 0 + time())", {0, 1000, 11'000}},
  };
  for (const auto& [query, grid] : all) {
    EvaluateOptions options;
    options.lookback = 1ms;
    const auto node = parse(query);
    ASSERT_TRUE(node) << node.error().message;
    const auto begin = steady_clock::now();
    options.until = begin + given;
    const auto value = evaluate(**node, grid, source, options);
    ASSERT_FALSE(value) << query;
    EXPECT_EQ(value.error().code, Errc::deadline) << query << ": " << value.error().message;
    EXPECT_LT(steady_clock::now() - begin, at_most) << query;
  }
}

TEST(Patience, WhoHasGoneIsNotWaitedFor) {
  collector::MemorySource source;
  source.add(Labels::of({{"__name__", "x"}}), 0, 1);
  const std::atomic<bool> gone = true;
  EvaluateOptions options;
  options.cancelled = &gone;
  const auto node = parse("sum(x)");
  ASSERT_TRUE(node);
  const auto value = evaluate(**node, {0, 1, 1}, source, options);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, Errc::cancelled);
}

TEST(Patience, LooksAtTheClockOnlyAfterManySteps) {
  Patience patience(steady_clock::time_point::min(), nullptr);
  EXPECT_TRUE(patience.spend(65'535));
  EXPECT_FALSE(patience.spend(1));
  EXPECT_TRUE(patience.spend(1)) << "it counts anew";
  EXPECT_FALSE(patience.check());
}

TEST(Samples, AreAsManyAsMayBeInMemoryAndNotOneMore) {
  collector::MemorySource source;
  for (int i = 0; i < 100; ++i) source.add(Labels::of({{"__name__", "x"}}), i * 1000, i);
  const auto asked = [&](const char* query, std::size_t samples, Grid grid = {99'000, 1, 1}) {
    EvaluateOptions options;
    options.samples = samples;
    const auto node = parse(query);
    return evaluate(**node, grid, source, options);
  };
  EXPECT_TRUE(asked("sum_over_time(x[99s])", 101));  // what was read, and the answer
  for (const char* query : {"sum_over_time(x[99s])", "rate(x[99s])"}) {
    const auto value = asked(query, 100);
    ASSERT_FALSE(value) << query;
    EXPECT_EQ(value.error().code, Errc::too_big);
  }
  // No matter how long it is: not even the steps of it are counted one by one.
  const auto value = asked("sum_over_time(x[292y:1ms])", limits::query_samples);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, Errc::too_big);
}

}  // namespace
}  // namespace tallymill::promql
