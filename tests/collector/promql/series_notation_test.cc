// Goal: the notation of unit tests means to us what it means to promtool, and what is none is
// refused. Method: tables; each row was put to promtool 2.42.
#include "collector/promql/series_notation.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "collector/promql/print.h"

namespace tallymill::promql {
namespace {

// "0:1 60:2": seconds and values.
std::string samples(const std::string& line, std::size_t most = 20) {
  auto series = parse_series(line);
  if (!series) return series.error().message;
  std::string said;
  NotedSamples walk(series->runs, 60'000);
  for (; walk.peek() && most > 0; walk.pop(), --most) {
    const bool stale = std::bit_cast<std::uint64_t>(walk.peek()->value) ==
                       std::bit_cast<std::uint64_t>(collector::stale_marker);
    said += (said.empty() ? "" : " ") + std::to_string(walk.peek()->t_ms / 60'000) + ":" +
            (stale ? "stale" : number_text(walk.peek()->value));
  }
  return said;
}

TEST(SeriesNotation, MeansTheSamplesThatPromtoolMakesOfIt) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"m", ""},
      {"m ", ""},
      {"m 1", "0:1"},
      {"m{} 1", "0:1"},
      {" m  1 \t 2 ", "0:1 1:2"},
      {"m _ 1", "1:1"},
      {"m _x2 1", "2:1"},
      {"m _x0 1", "0:1"},
      {"m 1x0", "0:1"},
      {"m 1x2 5", "0:1 1:1 2:1 3:5"},
      {"m 1+2x2", "0:1 1:3 2:5"},
      {"m 1-1x2", "0:1 1:0 2:-1"},
      {"m -1-1x2", "0:-1 1:-2 2:-3"},
      {"m 1 +2x1", "0:1 1:2 2:2"},
      {"m 010 08", "0:8 1:8"},
      {"m 0x2", "0:0 1:0 2:0"},
      {"m 1e3x1 1e+3x1 .5 1.x1", "0:1000 1:1000 2:1000 3:1000 4:0.5 5:1 6:1"},
      {"m 1x02", "0:1 1:1 2:1"},
      {"m Inf -inf NaN nan", "0:+Inf 1:-Inf 2:NaN 3:NaN"},
      {"m Inf+1x1", "0:+Inf 1:+Inf"},
      {"m stale 1 stale", "0:stale 1:1 2:stale"},
      {"m stale+1x1", "0:stale 1:NaN"},
      {"m 0+0.1x3", "0:0 1:0.1 2:0.2 3:0.30000000000000004"},
  };
  for (const auto& [line, wanted] : rows) EXPECT_EQ(samples(line), wanted) << line;
}

TEST(SeriesNotation, RefusesWhatPromtoolRefuses) {
  for (const std::string line : {"1 1",           "m 1+ 2x3",       "m 1+-1x2",
                                 "m 1+1",         "m ++1",          "m 1x-1",
                                 "m 1x1.5",       "m 1_000",        "m _+1x3",
                                 "m 1,2",         "m x3",           "m 1.5e400",
                                 "m 1x10y",       "m 1x1e3",        "m stalex2",
                                 "m stale+1",     "m NaNx3",        "m Infinity",
                                 "m 1x3x3",       "m -stale",       "m Stale",
                                 "m 1+Infx2",     "m{}1",           "m {} 1",
                                 "m[5m] 1",       "m offset 5m",    "m # x",
                                 "\"m\" 1",       "m{\"m\"} 1",     "m{,} 1",
                                 "m{a=~\"b\"} 1", "m{a:b=\"c\"} 1", "m{a=\"b\" c=\"d\"} 1",
                                 "m{a=\"b",       "m{a=\"b\"",      "m{a=\"b\",a=\"c\"} 1",
                                 "inf 1",         "nan 1",          "bool 1",
                                 "1m 1",          "m{}{} 1",        "m{a=\"\\xg\"} 1"})
    EXPECT_FALSE(parse_series(line)) << line << ": " << samples(line);
}

TEST(SeriesNotation, ReadsLabelsAsResultsShowThem) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"", "{}"},
      {"{}", "{}"},
      {"m", "m"},
      {" m ", "m"},
      {"m{}", "m"},
      {"m {a = \"b\"} # why", "m{a=\"b\"}"},
      {"m{a='b',}", "m{a=\"b\"}"},
      {"{__name__=\"m\", a=`b`}", "m{a=\"b\"}"},
      {"m{__name__=\"n\"}", "m"},
      {"m{a=\"\"}", "m"},
      {"sum{by=\"1\", offset=\"2\"}", "sum{by=\"1\", offset=\"2\"}"},
      {"a:b", "a:b"},
      {"n{a=\"b}\",c=\"{\"}", "n{a=\"b}\", c=\"{\"}"},
  };
  for (const auto& [text, wanted] : rows) {
    const auto labels = parse_labels(text);
    ASSERT_TRUE(labels) << text << ": " << labels.error().message;
    EXPECT_EQ(labels->text(), wanted) << text;
  }
  for (const std::string text : {"m 1", "m{a!=\"b\"}", "{a=\"b\"", "m m", "inf", "m[5m]"})
    EXPECT_FALSE(parse_labels(text)) << text;
}

TEST(SeriesNotation, TellsWhere) {
  EXPECT_EQ(samples("m 1 2,3"), "1:6: parse error: unexpected ',' in series values");
  EXPECT_EQ(samples("m{a=b}"), "1:5: parse error: unexpected 'b' in label set, expected a string");
}

TEST(SeriesNotation, ManyValuesCostNothingBeforeTheyAreTaken) {
  EXPECT_EQ(samples("m 1x18446744073709551615", 2), "0:1 1:1");
  EXPECT_EQ(samples("m 1x99999999999999999999", 2), "0:1 1:1");
  EXPECT_EQ(samples("m 1 _x18446744073709551615 1"), "0:1");
  EXPECT_EQ(samples("m 1 _x1000000000 1"), "0:1 1000000001:1");
}

TEST(SeriesNotation, WithoutAStepTheFirstSampleIsAllThereIs) {
  auto series = parse_series("m _ 5 6 7x18446744073709551615");
  ASSERT_TRUE(series);
  NotedSamples walk(series->runs, 0);
  ASSERT_TRUE(walk.peek());
  EXPECT_EQ(walk.peek()->t_ms, 0);
  EXPECT_EQ(walk.peek()->value, 5);
  walk.pop();
  EXPECT_FALSE(walk.peek());
}

}  // namespace
}  // namespace tallymill::promql
