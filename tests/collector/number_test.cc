// Values as text. Goal: what Go's ParseFloat takes without its newer forms, and nothing else.
// Method: tables.
#include "collector/number.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace tallymill::collector {
namespace {

TEST(Number, EachFormIsItsValue) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const std::initializer_list<std::pair<std::string_view, double>> table = {
      {"0", 0.0},
      {"1", 1.0},
      {"+1", 1.0},
      {"-1", -1.0},
      {"007", 7.0},
      {"1.", 1.0},
      {".5", 0.5},
      {"-.5e1", -5.0},
      {"1e3", 1000.0},
      {"1E+3", 1000.0},
      {"1e-3", 0.001},
      {"999999999999999", 999999999999999.0},
      {"1000000000000000", 1e15},
      {"12345678901234567890", 12345678901234567890.0},
      {"8.3835e-05", 8.3835e-05},
      {"1.7976931348623157e308", std::numeric_limits<double>::max()},
      {"4.9e-324", std::numeric_limits<double>::denorm_min()},
      {"1e-310", 1e-310},
      {"1e-999", 0.0},
      {"1e-99999999999999999999", 0.0},
      {"0e99999999999999999999", 0.0},
      {"0e999", 0.0},
      {"inf", infinity},
      {"+Inf", infinity},
      {"-INF", -infinity},
      {"Infinity", infinity},
      {"-infinity", -infinity}};
  for (const auto& [text, value] : table) EXPECT_EQ(parse_number(text), value) << text;
  EXPECT_EQ(parse_number("0." + std::string(400, '0') + "1"), 0.0);
  EXPECT_EQ(parse_number("0." + std::string(400, '0') + "1e401"), 1.0);
  EXPECT_EQ(parse_number(std::string(400, '1') + "e-1000"), 0.0);
  EXPECT_EQ(parse_number("1" + std::string(400, '0') + "e-400"), 1.0);
  EXPECT_TRUE(std::signbit(*parse_number("-0")));
  EXPECT_TRUE(std::signbit(*parse_number("-1e-999")));
  for (const std::string_view text : {"nan", "NaN", "NAN"})
    EXPECT_TRUE(std::isnan(parse_number(text).value_or(0))) << text;
}

TEST(Number, NothingElseIsOne) {
  for (const std::string_view text : {"",         "+",         "-",      ".",
                                      "e",        "1e",        "1e+",    "e1",
                                      "+-1",      "--1",       "++1",    "1 ",
                                      " 1",       "1,5",       "1_000",  "0x1",
                                      "0x1p1",    "1p3",       "1.2.3",  "+nan",
                                      "-nan",     "nan(0x1)",  "nanx",   "infin",
                                      "info",     "infinityy", "inf1",   "1f",
                                      "1d",       "1e999",     "-1e999", "1e99999999999999999999",
                                      "\xd9\xa1", "1\xff",     "true"})
    EXPECT_FALSE(parse_number(text)) << text;
  EXPECT_FALSE(parse_number("1" + std::string(400, '0')));
  EXPECT_FALSE(parse_number("1" + std::string(400, '0') + "e-10"));
  EXPECT_FALSE(parse_number("0.1e400"));
  EXPECT_FALSE(parse_number(std::string_view("1\0", 2)));
}

}  // namespace
}  // namespace tallymill::collector
