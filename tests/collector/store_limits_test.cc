// Bounds of the store. Goal: each is kept at it and refused one above, what was there before goes
// on, and it is seen. Method: a store whose bounds are small.
#include <gtest/gtest.h>

#include "base/limits.h"
#include "collector/part.h"
#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

class StoreLimitsTest : public StoreTest {
 protected:
  // A series whose labels have so many bytes. REQUIRES: at least 200.
  static Labels of_bytes(const std::string& name, std::size_t bytes) {
    const auto made = [&](std::size_t padding) {
      return Labels::of({{"__name__", name}, {"pad", std::string(padding, 'x')}});
    };
    constexpr std::size_t some = 150;
    const Labels fit = made(bytes - made(some).packed().size() + some);
    EXPECT_EQ(fit.packed().size(), bytes);
    return fit;
  }
  static Status append(Store& store, SeriesId id, std::int64_t t_ms) {
    const Point point[] = {{id, t_ms, 0.1}};
    return store.append(point);
  }
};

TEST_F(StoreLimitsTest, RefusedSeriesAreCountedByMetricAndThoseOfTooManyMetricsTogether) {
  options_.series = 1;
  auto store = open();
  const auto made = *store->series(labels(0));
  for (std::size_t i = 0; i <= limits::overflow_metrics + 1; ++i)
    EXPECT_EQ(store->series(Labels::of({{"__name__", "n" + std::to_string(i)}})).error().code,
              Errc::too_big);
  EXPECT_EQ(store->series(Labels::of({{"__name__", "n0"}, {"a", "b"}})).error().code,
            Errc::too_big);
  const auto refused = store->stats().refused_series;
  EXPECT_EQ(refused.size(), limits::overflow_metrics + 1);
  EXPECT_EQ(refused.at("n0"), 2U);
  EXPECT_EQ(refused.at(""), 2U) << "of the last two metrics";
  EXPECT_TRUE(append(*store, made, 1).has_value());
}

TEST_F(StoreLimitsTest, LabelsOfAllHaveSoManyBytesAndOneMoreIsRefusedAndThoseThereGoOn) {
  options_.series = 4;
  constexpr std::size_t half = 2 * limits::labels_bytes_per_series;
  auto store = open();
  const auto first = *store->series(of_bytes("first", half));
  const auto above = store->series(of_bytes("above", half + 1));
  ASSERT_FALSE(above.has_value());
  EXPECT_EQ(above.error().code, Errc::too_big);
  EXPECT_NE(above.error().message.find("bytes of labels"), std::string::npos);
  const auto second = store->series(of_bytes("second", half));
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(store->stats().labels_bytes, 2 * half);
  EXPECT_EQ(store->series(labels(0)).error().code, Errc::too_big);
  EXPECT_EQ(store->stats().refused_series,
            (std::map<std::string, std::uint64_t>{{"above", 1}, {"m", 1}}));
  EXPECT_EQ(*store->series(of_bytes("first", half)), first);
  EXPECT_TRUE(append(*store, first, 1).has_value());
  EXPECT_TRUE(append(*store, *second, 1).has_value());
}

TEST_F(StoreLimitsTest, AStoreWithMoreLabelsThanItMayHaveStartsAndMakesRoomByForgetting) {
  options_.series = 4;
  options_.retention = std::chrono::hours(24);
  constexpr std::size_t half = 2 * limits::labels_bytes_per_series;
  auto store = open();
  const auto first = *store->series(of_bytes("first", half));
  const auto second = *store->series(of_bytes("second", half));
  ASSERT_TRUE(append(*store, first, 1).has_value());
  store.reset();
  options_.series = 3;
  store = open();
  EXPECT_EQ(store->stats().labels_bytes, 2 * half);
  EXPECT_EQ(store->series(labels(0)).error().code, Errc::too_big);
  EXPECT_EQ(*store->series(of_bytes("second", half)), second);
  EXPECT_TRUE(append(*store, first, 2).has_value());
  EXPECT_EQ(model_of(*store).at(first.raw()).size(), 2U);
  // Nobody has a sample of the second.
  ASSERT_TRUE(store->seal().has_value());
  store->expire();
  store->expire();
  EXPECT_EQ(store->stats().labels_bytes, half);
  EXPECT_TRUE(store->series(labels(0)).has_value());
}

TEST_F(StoreLimitsTest, IdsAreGivenUpToTheirLimitAndNoneAgain) {
  options_.ids = 3;
  options_.retention = std::chrono::hours(24);
  auto store = open();
  const auto ids = make_series(*store, 3);
  ASSERT_TRUE(append(*store, ids[2], 5).has_value());
  EXPECT_EQ(store->series(labels(3)).error().code, Errc::too_big);
  ASSERT_TRUE(store->seal().has_value());
  store->expire();
  store->expire();
  EXPECT_EQ(store->stats().series, 1U);
  EXPECT_EQ(store->series(labels(3)).error().code, Errc::too_big);
  EXPECT_EQ(store->stats().series_ids, 3U);
  EXPECT_TRUE(append(*store, ids[2], 6).has_value());
}

TEST_F(StoreLimitsTest, APartHasAtMostSoManyBytes) {
  fs::create_directories(folder_);
  Column samples;
  for (int t = 0; t < 100; ++t) samples.add(t, 1.0 / (t + 3));
  std::uint64_t size = 0;
  {
    auto whole = PartWriter::create(folder_ / "1.part");
    ASSERT_TRUE(whole->add(SeriesId(0), samples).has_value());
    const auto part = whole->finish({});
    ASSERT_TRUE(part.has_value());
    size = (*part)->bytes() - 88 - 16;  // its footer and one entry
  }
  auto fits = PartWriter::create(folder_ / "2.part", size);
  EXPECT_TRUE(fits->add(SeriesId(0), samples).has_value());
  EXPECT_TRUE(fits->finish({}).has_value());
  auto above = PartWriter::create(folder_ / "3.part", size - 1);
  EXPECT_EQ(above->add(SeriesId(0), samples).error().code, Errc::too_big);
}

TEST_F(StoreLimitsTest, ASealThatIsTooLargeForAPartLosesNothingAndIsCounted) {
  options_.part_bytes = 10;
  auto store = open();
  const auto ids = make_series(*store, 2);
  for (const SeriesId id : ids) ASSERT_TRUE(append(*store, id, 5).has_value());
  EXPECT_EQ(store->seal().error().code, Errc::too_big);
  EXPECT_EQ(store->stats().failed_seals, 1U);
  EXPECT_EQ(model_of(*store).size(), 2U);
  EXPECT_EQ(only_file(folder_ / "parts", ".new"), fs::path());
}

TEST_F(StoreLimitsTest, PartsOfAtMostSoManyBytesAreMerged) {
  for (const bool above : {false, true}) {
    const fs::path folder = root_ / (above ? "above" : "at");
    auto store = open(folder);
    const auto ids = make_series(*store, 1);
    for (int part = 0; part < 2; ++part) {
      ASSERT_TRUE(append(*store, ids[0], part).has_value());
      ASSERT_TRUE(store->seal().has_value());
    }
    options_.merged_part_bytes = store->stats().part_bytes - (above ? 1 : 0);
    store.reset();
    store = open(folder);
    EXPECT_EQ(store->merge(true).value(), above ? 0U : 1U);
  }
}

TEST_F(StoreLimitsTest, SamplesFarAheadAreKeptAndCountedAndExpireLikeOthers) {
  constexpr std::int64_t now = 1'700'000'000'000;
  constexpr std::int64_t ahead = 600'000;
  options_.retention = std::chrono::hours(24);
  auto store = open();
  const auto ids = make_series(*store, 1);
  ASSERT_TRUE(append(*store, ids[0], now + ahead).has_value());
  EXPECT_EQ(store->stats().future_samples, 0U);
  ASSERT_TRUE(append(*store, ids[0], now + ahead + 1).has_value());
  ASSERT_TRUE(append(*store, ids[0], always_to).has_value());
  EXPECT_EQ(store->stats().future_samples, 2U);
  EXPECT_EQ(model_of(*store).at(0).size(), 3U);
  ASSERT_TRUE(store->seal().has_value());
  ASSERT_TRUE(append(*store, ids[0], now).has_value());
  ASSERT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->merge(true).value(), 1U) << "a wrong clock keeps nothing from merging";
  EXPECT_EQ(model_of(*store).at(0).size(), 4U);
  clock_.set_ms(now + 24 * 3'600'000 + 1);
  EXPECT_EQ(store->expire(), 1U);
  EXPECT_EQ(store->stats().parts, 0U);
}

}  // namespace
}  // namespace tallymill::collector
