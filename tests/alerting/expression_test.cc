// Goal: what is compared is found in every form of a comparison, and nothing else is taken for one.
// Method: tables of expressions.
#include "alerting/expression.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::alerting {
namespace {

std::string input_text(std::string_view query) {
  const auto node = promql::parse(query);
  EXPECT_TRUE(node) << query;
  const auto input = input_of(**node);
  if (input == nullptr) return "none";
  EXPECT_EQ(input->type, promql::Type::vector) << query;
  const std::string text = promql::text(*input);
  const auto again = promql::parse(text);
  EXPECT_TRUE(again && promql::text(**again) == text) << text;
  return text;
}

TEST(InputOf, IsTheExpressionWithoutItsTopLevelComparison) {
  const std::pair<const char*, const char*> rows[] = {
      {"a > 5", "a"},
      {"5 <= a{x=\"y\"}", "a{x=\"y\"}"},
      {"((sum by (x) (rate(a[5m])) == 0))", "sum by (x) (rate(a[5m]))"},
      {"(a + b) != 1", "(a + b)"},
      {"a + b > 1", "a + b"},
      {"1 < a < 5", "a"},
      {"(a > 1) < 5", "a"},
      {"a > b", "(a) - (b)"},
      {"a > on (x) group_left (y) b", "(a) - on (x) group_left (y) (b)"},
      {"a > ignoring (x) (b or c)", "(a) - ignoring (x) ((b or c))"},
      {"a > 1 > b", "(a > 1) - (b)"},
      {"a > time()", "a"},
      {"max_over_time(rate(a[1m])[1h:5m] offset 1d) > 3",
       "max_over_time(rate(a[1m])[1h:5m] offset 1d)"},
      {"topk(3, -a @ 5) > scalar(b)", "topk(3, -a @ 5.000)"},
  };
  for (const auto& [query, input] : rows) EXPECT_EQ(input_text(query), input) << query;
}

TEST(InputOf, IsNothingWhereNoComparisonIsAtTheTop) {
  for (const char* query : {"a", "a > bool 5", "a > 5 and b", "a > 5 or b > 5", "absent(a > 5)",
                            "-(a > 5)", "(a > 5) + 1", "1 > bool 2", "up unless a < 1"})
    EXPECT_EQ(input_text(query), "none") << query;
}

TEST(InputOf, WorksOnAnExpressionWhoseTextIsLongerThanAQueryMayBe) {
  const auto node = promql::parse("a{b=\"" + std::string(60'000, '\x01') + "\"} > 0");
  ASSERT_TRUE(node) << node.error().message;
  const auto input = input_of(**node);
  ASSERT_NE(input, nullptr);
  EXPECT_FALSE(promql::parse(promql::text(*input)));
}

std::string plain(std::string_view query) {
  const auto node = promql::parse(query);
  EXPECT_TRUE(node) << query;
  const auto found = plain_threshold(**node);
  if (!found) return "none";
  return found->selector->metric + " " + std::string(promql::name_of(found->op)) + " " +
         promql::number_text(found->bound);
}

TEST(PlainThreshold, IsASelectorComparedWithANumber) {
  const std::pair<const char*, const char*> rows[] = {
      {"a > 5", "a > 5"},       {"(a{b=\"c\"}) >= (-0.5)", "a >= -0.5"},
      {"5 < a", "a > 5"},       {"5 >= a", "a <= 5"},
      {"5 > a", "a < 5"},       {"5 <= a", "a >= 5"},
      {"0 == a", "a == 0"},     {"+Inf != a", "a != +Inf"},
      {"(a > -(-1))", "a > 1"},
  };
  for (const auto& [query, says] : rows) EXPECT_EQ(plain(query), says) << query;
}

TEST(PlainThreshold, IsNothingElse) {
  for (const char* query :
       {"a", "a > bool 5", "a > b", "rate(a[5m]) > 5", "a offset 1m > 5", "a @ 5 > 5", "-a > 5",
        "a > 5 > 4", "a > 2 * 2", "a > time()", "sum(a) > 5", "a + 1 > 5", "a > 5 and b"})
    EXPECT_EQ(plain(query), "none") << query;
}

TEST(PlainThreshold, HoldsForTheValuesForWhichTheComparisonDoes) {
  const auto holds = [](std::string_view query, double value) {
    const auto node = promql::parse(query);
    return plain_threshold(**node)->holds(value);
  };
  for (const double value : {1.0, 2.0, 3.0}) {
    EXPECT_EQ(holds("a > 2", value), value > 2);
    EXPECT_EQ(holds("a >= 2", value), value >= 2);
    EXPECT_EQ(holds("a < 2", value), value < 2);
    EXPECT_EQ(holds("a <= 2", value), value <= 2);
    EXPECT_EQ(holds("a == 2", value), value == 2);
    EXPECT_EQ(holds("a != 2", value), value != 2);
    EXPECT_EQ(holds("2 > a", value), value < 2);
  }
  EXPECT_FALSE(holds("a > 2", std::numeric_limits<double>::quiet_NaN()));
  EXPECT_TRUE(holds("a != 2", std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace
}  // namespace tallymill::alerting
