// Labels. Goal: a set is the same however it was made, and is ordered as Prometheus orders results.
// Method: pure functions; packed lengths around a byte's end.
#include "collector/series.h"

#include <gtest/gtest.h>

#include <limits>

namespace tallymill::collector {
namespace {

TEST(Labels, AreSortedAndOfATwiceSaidNameTheLastCounts) {
  const Labels labels = Labels::of({{"b", "2"}, {"a", "1"}, {"__name__", "up"}, {"b", "3"}});
  EXPECT_EQ(labels.text(), R"(up{a="1", b="3"})");
  EXPECT_EQ(labels.size(), 3U);
  EXPECT_EQ(labels.metric(), "up");
  EXPECT_EQ(labels.get("b"), "3");
  EXPECT_EQ(labels.get("c"), "");
  EXPECT_EQ(labels, Labels::of({{"a", "1"}, {"__name__", "up"}, {"b", "3"}}));
}

TEST(Labels, ALabelWithoutAValueIsNone) {
  EXPECT_TRUE(Labels::of({{"a", ""}}).empty());
  LabelsBuilder builder(Labels::of({{"a", "1"}, {"b", "2"}}));
  builder.erase("a");
  builder.erase("c");
  builder.set("b", "");
  EXPECT_TRUE(builder.build().empty());
  EXPECT_EQ(builder.build(), Labels());
  EXPECT_EQ(Labels().text(), "{}");
}

TEST(Labels, LongNamesAndValuesComeBack) {
  for (const std::size_t size : {1U, 127U, 128U, 16'383U, 16'384U, 70'000U}) {
    const std::string text(size, 'x');
    const Labels labels = Labels::of({{text, text}, {"y", "1"}});
    EXPECT_EQ(labels.get(text), text) << size;
    EXPECT_EQ(labels.get("y"), "1") << size;
    EXPECT_EQ(labels.size(), 2U);
  }
}

TEST(Labels, ComeLabelByLabelAndTheShorterFirst) {
  const Labels row[] = {Labels(),
                        Labels::of({{"a", "1"}}),
                        Labels::of({{"a", "1"}, {"b", "0"}}),
                        Labels::of({{"a", "10"}}),
                        Labels::of({{"a", "2"}}),
                        Labels::of({{"aa", "1"}}),
                        Labels::of({{"b", "0"}})};
  for (std::size_t i = 0; i < std::size(row); ++i)
    for (std::size_t j = 0; j < std::size(row); ++j) {
      EXPECT_EQ(row[i] < row[j], i < j) << i << " " << j;
      EXPECT_EQ(row[i] == row[j], i == j) << i << " " << j;
    }
}

TEST(Labels, TextIsWhatPromqlReads) {
  EXPECT_EQ(Labels::of({{"a", "q\"\\\n"}}).text(), R"({a="q\"\\\n"})");
  EXPECT_EQ(Labels::of({{"__name__", "up"}}).text(), "up");
}

TEST(StaleMarker, IsANaNThatIsToldByItsBits) {
  EXPECT_TRUE(is_stale(stale_marker));
  EXPECT_NE(stale_marker, stale_marker);
  EXPECT_FALSE(is_stale(std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace
}  // namespace tallymill::collector
