// The index. Goal: a selection has the series that each matcher fits and no other, in order,
// however it was found. Method: each selection of random matchers over random series (seed printed)
// against asking every series; cases of labels that are not there.
#include "collector/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace tallymill::collector {
namespace {

using Kind = Matcher::Kind;

Matcher matcher(Kind kind, std::string name, std::string value) {
  auto made = Matcher::of(kind, std::move(name), std::move(value));
  EXPECT_TRUE(made.has_value());
  return *made;
}

std::vector<std::uint32_t> select(const Index& index, std::vector<Matcher> matchers) {
  std::vector<std::uint32_t> ids;
  for (const SeriesId id : index.select(matchers)) ids.push_back(id.raw());
  return ids;
}

class IndexTest : public ::testing::Test {
 protected:
  IndexTest() {
    index_.add(Labels::of({{"__name__", "up"}, {"job", "a"}}));
    index_.add(Labels::of({{"__name__", "up"}, {"job", "b"}, {"zone", "x"}}));
    index_.add(Labels::of({{"__name__", "down"}, {"job", "a"}, {"zone", "y"}}));
    index_.add(Labels());
  }
  using Ids = std::vector<std::uint32_t>;
  Index index_;
};

TEST_F(IndexTest, EveryKindOfMatcherSelects) {
  EXPECT_EQ(select(index_, {}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::equal, "job", "a")}), (Ids{0, 2}));
  EXPECT_EQ(select(index_, {matcher(Kind::equal, "job", "a"), matcher(Kind::equal, "zone", "y")}),
            (Ids{2}));
  EXPECT_EQ(select(index_, {matcher(Kind::not_equal, "job", "a")}), (Ids{1, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::matches, "__name__", "up|down")}), (Ids{0, 1, 2}));
  EXPECT_EQ(select(index_, {matcher(Kind::matches, "zone", "[xy]")}), (Ids{1, 2}));
  EXPECT_EQ(select(index_, {matcher(Kind::not_matches, "zone", "x")}), (Ids{0, 2, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::equal, "job", "c")}), (Ids{}));
}

TEST_F(IndexTest, AMatcherThatNothingFitsAlsoFitsSeriesWithoutTheLabel) {
  EXPECT_EQ(select(index_, {matcher(Kind::equal, "zone", "")}), (Ids{0, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::not_equal, "zone", "")}), (Ids{1, 2}));
  EXPECT_EQ(select(index_, {matcher(Kind::matches, "zone", "x|")}), (Ids{0, 1, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::matches, "zone", ".*")}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::matches, "zone", ".+")}), (Ids{1, 2}));
  EXPECT_EQ(select(index_, {matcher(Kind::equal, "nowhere", "")}), (Ids{0, 1, 2, 3}));
  EXPECT_EQ(select(index_, {matcher(Kind::not_equal, "nowhere", "")}), (Ids{}));
  EXPECT_EQ(select(index_, {matcher(Kind::matches, "nowhere", ".+")}), (Ids{}));
}

TEST_F(IndexTest, NamesAndValuesAreSortedAndOfTheSelectedSeries) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(index_.names(), (Words{"__name__", "job", "zone"}));
  EXPECT_EQ(index_.values("job"), (Words{"a", "b"}));
  EXPECT_EQ(index_.values("nowhere"), Words{});
  const Matcher no_zone[] = {matcher(Kind::equal, "zone", "")};
  EXPECT_EQ(index_.names(no_zone), (Words{"__name__", "job"}));
  EXPECT_EQ(index_.values("job", no_zone), (Words{"a"}));
  EXPECT_EQ(index_.values("zone", no_zone), Words{});
  EXPECT_EQ(index_.values_per_name(), (std::vector<std::pair<std::string, std::size_t>>{
                                          {"__name__", 2}, {"job", 2}, {"zone", 2}}));
}

TEST_F(IndexTest, ASeriesIsFoundByItsLabels) {
  for (std::uint32_t id = 0; id < index_.size(); ++id)
    EXPECT_EQ(index_.find(index_.labels(SeriesId(id)).packed()), SeriesId(id));
  EXPECT_EQ(index_.find(Labels::of({{"job", "a"}}).packed()), std::nullopt);
}

TEST(Index, AFewOfManyThatShareALabelAreSelectedHoweverFewTheyAre) {
  Index index;
  // Of 5,000 that share a label, the first `few` share another one.
  for (const std::uint32_t few : {1U, 2U, 155U, 156U, 157U, 158U, 2'500U, 5'000U}) {
    std::vector<std::uint32_t> expected;
    const std::string size = std::to_string(few);
    for (std::uint32_t i = 0; i < 5'000; ++i) {
      Labels::Pairs pairs{{"all", size}, {"i", std::to_string(i)}};
      if (i % (5'000 / few) == 0 && expected.size() < few) pairs.emplace_back("few", size);
      const SeriesId id = index.add(Labels::of(pairs));
      if (pairs.size() == 3) expected.push_back(id.raw());
    }
    EXPECT_EQ(select(index, {matcher(Kind::equal, "few", size), matcher(Kind::equal, "all", size)}),
              expected)
        << few;
    EXPECT_TRUE(select(index, {matcher(Kind::equal, "few", size), matcher(Kind::equal, "all", "x")})
                    .empty());
  }
}

TEST(Index, SelectsWhatAskingEverySeriesSelects) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  const std::string expressions[] = {"",      "1",   "1|2", ".*",    ".+",  "1|",
                                     "[0-4]", "1.*", "x",   "[^3]*", "\\d", "(1|2|7)?"};
  for (int round = 0; round < 60; ++round) {
    Index index;
    const std::uint32_t value_counts[] = {1 + below(3), 1 + below(20), 1 + below(300)};
    const std::uint32_t wanted = 1 + below(200);
    for (std::uint32_t i = 0; i < wanted; ++i) {
      Labels::Pairs pairs;
      for (std::uint32_t name = 0; name < 3; ++name)
        if (below(4) != 0)
          pairs.emplace_back("n" + std::to_string(name), std::to_string(below(value_counts[name])));
      const Labels labels = Labels::of(pairs);
      if (!index.find(labels.packed())) index.add(labels);
    }
    for (int question = 0; question < 50; ++question) {
      std::vector<Matcher> matchers;
      for (std::uint32_t n = below(4); n > 0; --n)
        matchers.push_back(matcher(static_cast<Kind>(below(4)), "n" + std::to_string(below(4)),
                                   expressions[below(std::size(expressions))]));
      std::vector<std::uint32_t> asked;
      std::string text;
      for (const Matcher& m : matchers) text += m.text() + " ";
      for (std::uint32_t id = 0; id < index.size(); ++id) {
        const Labels& labels = index.labels(SeriesId(id));
        if (std::ranges::all_of(matchers,
                                [&](const Matcher& m) { return m.fits(labels.get(m.name())); }))
          asked.push_back(id);
      }
      ASSERT_EQ(select(index, matchers), asked) << text;
      std::set<std::string> values;
      for (const std::uint32_t id : asked) values.emplace(index.labels(SeriesId(id)).get("n1"));
      values.erase("");
      ASSERT_EQ(index.values("n1", matchers),
                std::vector<std::string>(values.begin(), values.end()))
          << text;
    }
  }
}

}  // namespace
}  // namespace tallymill::collector
