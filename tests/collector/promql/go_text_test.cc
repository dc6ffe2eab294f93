// Go text. Goal: strings and numbers are written and read as Go does. Method: tables, of which each
// row was asked of Prometheus' format_query and histogram_quantile.
#include "collector/promql/go_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "collector/promql/print.h"

namespace tallymill::promql {
namespace {

TEST(GoText, QuotesWhatCannotBePrinted) {
  const std::pair<std::string_view, const char*> rows[] = {
      {"", R"("")"},
      {"a b", R"("a b")"},
      {"\"\\", R"("\"\\")"},
      {"\a\b\f\n\r\t\v", R"("\a\b\f\n\r\t\v")"},
      {std::string_view("\0\x1f\x7f", 3), R"("\x00\x1f\x7f")"},
      {"\xc3\xa4\xe2\x82\xac\xf0\x9d\x84\x9e", "\"\xc3\xa4\xe2\x82\xac\xf0\x9d\x84\x9e\""},
      {"\xff\xc3", R"("\xff\xc3")"},
      {"\xe2\x80\xa8\xc2\xa0\xc2\x80", R"("\u2028\u00a0\u0080")"},
      {"\xf3\xa0\x80\x81", R"("\U000e0001")"},
  };
  for (const auto& [text, wanted] : rows) EXPECT_EQ(go_quoted(text), wanted);
}

TEST(GoText, WritesNumbersWithAnExponentWhereGoDoes) {
  const std::pair<double, const char*> rows[] = {{0, "0"},
                                                 {-0.5, "-0.5"},
                                                 {999999, "999999"},
                                                 {1e6, "1e+06"},
                                                 {1234567, "1.234567e+06"},
                                                 {0.0001, "0.0001"},
                                                 {0.00001, "1e-05"},
                                                 {std::numeric_limits<double>::infinity(), "+Inf"}};
  for (const auto& [number, wanted] : rows) EXPECT_EQ(go_number(number), wanted);
  EXPECT_EQ(go_number(std::nan("")), "NaN");
}

TEST(GoText, ReadsNumbersAsGoDoes) {
  const std::pair<const char*, double> rows[] = {
      {"1", 1},
      {"+.5", 0.5},
      {"1_0", 10},
      {"1_000.5_5", 1000.55},
      {"0x1p4", 16},
      {"-0X.8P1", -1},
      {"1e3", 1000},
      {"inf", std::numeric_limits<double>::infinity()},
      {"-Infinity", -std::numeric_limits<double>::infinity()},
      {"1e-400", 0}};
  for (const auto& [text, wanted] : rows) {
    const auto read = go_float(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(*read, wanted) << text;
  }
  EXPECT_TRUE(std::isnan(go_float("nan").value_or(0)));
  for (const char* none : {"", "_1", "1_", "1__0", "1_.5", "0x10", "0x", "0xp1", "1e400",
                           "0x1p2000", " 1", "1 ", "1x", "--1", "+", "infinite"})
    EXPECT_FALSE(go_float(none)) << none;
}

TEST(NumberText, HasTheFewestDigitsAndNoExponent) {
  const std::pair<double, const char*> rows[] = {{1e15, "1000000000000000"},
                                                 {-1.25e20, "-125000000000000000000"},
                                                 {1e21 / 3, "333333333333333300000"},
                                                 {1604632035458116.25, "1604632035458116.2"},
                                                 {-9007199254740991, "-9007199254740991"},
                                                 {9007199254740993, "9007199254740992"},
                                                 {18014398509481988, "18014398509481988"},
                                                 {123456789012345678, "123456789012345680"},
                                                 {1e-7, "0.0000001"},
                                                 {999999999999999, "999999999999999"},
                                                 {0.1 + 0.2, "0.30000000000000004"}};
  for (const auto& [number, wanted] : rows) EXPECT_EQ(number_text(number), wanted);
  EXPECT_EQ(number_text(1e308).size(), 309U);
  EXPECT_EQ(number_text(std::numeric_limits<double>::max()).substr(0, 20), "17976931348623157000");
}

}  // namespace
}  // namespace tallymill::promql
