// Labels. Goal: a set is the same however it was made, and is ordered as Prometheus orders results.
// Method: pure functions; packed lengths around a byte's end.
#include "collector/series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <random>
#include <string>

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

TEST(Labels, OfManyTheOrderIsThatOfTheirNamesAndValuesWhateverTheirLengths) {
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  // Alike to their ends, so that what differs is far behind.
  const auto text = [&] {
    constexpr std::size_t sizes[] = {1, 2, 7, 8, 9, 127, 128, 129, 300};
    std::string made(sizes[random() % std::size(sizes)], 'x');
    for (int i = 0; i < 2; ++i)
      if (random() % 2 == 0) made[random() % made.size()] = "\x01y\xc3"[random() % 3];
    return made;
  };
  std::vector<std::vector<std::pair<std::string, std::string>>> sets(200);
  for (auto& set : sets) {
    if (&set != &sets[0] && random() % 2 == 0) set = sets[random() % sets.size()];
    for (std::size_t i = random() % 3; i > 0; --i) set.emplace_back(text(), text());
    std::ranges::sort(set);
    const auto again = std::ranges::unique(set, {}, [](const auto& pair) { return pair.first; });
    set.erase(again.begin(), again.end());
  }
  for (const auto& a : sets)
    for (const auto& b : sets)
      ASSERT_TRUE((Labels::of(a) <=> Labels::of(b)) == (a <=> b)) << Labels::of(a).text() << "\n"
                                                                  << Labels::of(b).text();
}

TEST(Labels, OnlyThoseThatAreKeptAreLeft) {
  const std::string longer(200, 'v');
  const Labels labels = Labels::of({{"a", "1"}, {"b", longer}, {"c", "3"}});
  EXPECT_EQ(labels.only([](const Label& label) { return label.name != "a"; }),
            Labels::of({{"b", longer}, {"c", "3"}}));
  EXPECT_EQ(labels.only([](const Label&) { return true; }), labels);
  EXPECT_TRUE(labels.only([](const Label&) { return false; }).empty());
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
