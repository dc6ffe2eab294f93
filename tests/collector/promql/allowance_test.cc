// Long queries. Goal: a query that would go on for hours ends soon after its time is over, in
// whichever loop it is, and one that nobody waits for any more ends at once; memory is bounded.
// Method: such queries over a few series in memory, with little time; the same without its reason.
#include "collector/promql/allowance.h"

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
    source.add(Labels::of({{"__name__", metric}, {"j", std::to_string(i)}}), i * 1000, i);
}

struct Long {
  const char* query;
  Grid grid;
};

TEST(Allowance, AQueryThatWouldTakeHoursEndsSoonAfterItsTime) {
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
      {"stddev_over_time((x @ 0)[30d:1s])", {month, 1000, 11'000}},
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

TEST(Allowance, WhoHasGoneIsNotWaitedFor) {
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

TEST(Allowance, LooksAtTheClockOnlyAfterManyStepsAndGivesNoMoreThanItHas) {
  Allowance allowance(steady_clock::time_point::min(), nullptr, 2);
  EXPECT_TRUE(allowance.spend(65'535));
  EXPECT_FALSE(allowance.spend(1));
  EXPECT_TRUE(allowance.spend(1)) << "it counts anew";
  EXPECT_FALSE(allowance.check());
  EXPECT_TRUE(allowance.hold(2));
  EXPECT_FALSE(allowance.hold(1));
  allowance.give_back(1);
  EXPECT_TRUE(allowance.hold(1));
}

TEST(MatchingTime, IsOverForAllOfThisThreadUntilItIsGone) {
  const auto matcher =
      *collector::Matcher::of(collector::Matcher::Kind::matches, "a", "(?:.*x.{900})*y");
  const std::string value(2000, 'x');
  EXPECT_TRUE(matcher.fits("y")) << "nobody counts";
  {
    const collector::MatchingTime time;
    EXPECT_TRUE(matcher.fits("y"));
    EXPECT_TRUE(time.check());
  }
  {
    const collector::MatchingTime time(-1ms);
    EXPECT_TRUE(matcher.fits("y")) << "the clock is not looked at for every value";
    EXPECT_FALSE(matcher.fits(value));
    EXPECT_FALSE(matcher.fits("y"));
    ASSERT_FALSE(time.check());
    EXPECT_EQ(time.check().error().code, Errc::deadline);
  }
  EXPECT_TRUE(matcher.fits("y"));
  // As many values as would take it an hour.
  const auto begin = steady_clock::now();
  const collector::MatchingTime time(given);
  for (int i = 0; i < 1'000'000 && time.check(); ++i) (void)matcher.fits(value);
  EXPECT_FALSE(time.check());
  EXPECT_LT(steady_clock::now() - begin, at_most);
}

class Samples : public testing::Test {
 protected:
  Samples() {
    for (int i = 0; i < 100; ++i) {
      source_.add(Labels::of({{"__name__", "x"}}), i * 1000, i);
      source_.add(Labels::of({{"__name__", "many"}, {"i", std::to_string(i)}}), 99'000, i);
    }
    add_one_after_another(source_, "one", 100);
  }
  // Whether there is room when so many numbers may be in memory.
  [[nodiscard]] bool has_room(const char* query, std::size_t samples, const Grid& grid) const {
    EvaluateOptions options;
    options.samples = samples;
    options.lookback = 1ms;
    const auto node = parse(query);
    EXPECT_TRUE(node) << query;
    std::optional<Errc> code;
    if ((*node)->type == Type::matrix) {
      const auto raw = evaluate_raw(**node, grid.start_ms, source_, options);
      if (!raw) code = raw.error().code;
    } else {
      const auto value = evaluate(**node, grid, source_, options);
      if (!value) code = value.error().code;
    }
    EXPECT_TRUE(!code || *code == Errc::too_big) << query;
    return !code;
  }

  collector::MemorySource source_;
};

TEST_F(Samples, AreAsManyAsMayBeInMemoryAndNotOneMore) {
  const Grid last{99'000, 1, 1};
  const Grid all{0, 1000, 100};
  const struct {
    const char* query;
    Grid grid;
    std::size_t needs;
  } rows[] = {
      {"sum_over_time(x[99s])", last, 101},  // what is read, and the answer
      {"x[99s]", last, 200},                 // and all of it twice, where that is the answer
      {"many @ 99", all, 100 + 100 * 100},   // each at every step
      {"vector(1)", all, 100 + 1 + 100},     // as a scalar, at a step, at each
      {"count_values(\"v\", x)", all, 100 + 100 * 100},  // a label for each value
      {"many @ 99 * on () group_left one", all, 100 + 100 * 100 + 100 * 100 + 100 * 100},
      {"many @ 99 * on () group_left (j) one", all, 100 + 100 * 100 + 100 * 100 + 100 * 100 * 100},
  };
  for (const auto& [query, grid, needs] : rows) {
    EXPECT_TRUE(has_room(query, needs + 1, grid)) << query;
    EXPECT_FALSE(has_room(query, needs / 2, grid)) << query;
  }
  // However long it is: its steps are not made before there is room.
  EXPECT_FALSE(has_room("sum_over_time(x[292y:1ms])", limits::query_samples, last));
}

}  // namespace
}  // namespace tallymill::promql
