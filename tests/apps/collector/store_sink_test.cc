// Goal: what rules give is in the store as Prometheus would have it: in the order of its times, and
// the first of two at one time stays. Method: a real store with a clock that the test moves.
#include "apps/store_sink.h"

#include <cmath>
#include <utility>

#include "alerting/limits.h"
#include "tests/collector/store_fixture.h"

namespace tallymill::apps {
namespace {

using collector::labels;
using Sample = alerting::SampleSink::Sample;

constexpr std::int64_t start = 1'700'000'000'000;
constexpr std::int64_t hour = 3'600'000;

class StoreSinkTest : public collector::StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    options_.retention = std::chrono::hours(4);
    store = open();
    sink = std::make_unique<StoreSink>(*store);
  }
  void TearDown() override {
    sink.reset();
    store.reset();
    StoreTest::TearDown();
  }
  Status put(std::size_t series, std::int64_t at_ms, double value) {
    const Sample one[] = {{labels(series), at_ms, value}};
    return sink->append(one);
  }
  // All values of a series, by time.
  std::vector<std::pair<std::int64_t, double>> stored(std::size_t series) {
    std::vector<std::pair<std::int64_t, double>> all;
    collector::Column column;
    const auto found = store->select({}, 0, collector::always_to);
    for (const auto& one : *found) {
      if (one.labels != labels(series)) continue;
      EXPECT_TRUE(store->read(one.series, 0, collector::always_to, column));
      for (std::size_t i = 0; i < column.size(); ++i)
        all.emplace_back(column.t_ms[i], column.value[i]);
    }
    return all;
  }
  using Values = std::vector<std::pair<std::int64_t, double>>;

  std::unique_ptr<collector::Store> store;
  std::unique_ptr<StoreSink> sink;
};

TEST_F(StoreSinkTest, OfTwoSamplesAtOneTimeTheFirstStaysAndTheOtherIsAnErrorUnlessItIsTheSame) {
  ASSERT_TRUE(put(0, start, 1));
  EXPECT_TRUE(put(0, start, 1));
  const auto other = put(0, start, 2);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::bad_params);
  EXPECT_EQ(stored(0), (Values{{start, 1}}));
}

TEST_F(StoreSinkTest, ValuesAreTheSameByTheirBits) {
  ASSERT_TRUE(put(0, start, collector::stale_marker));
  EXPECT_TRUE(put(0, start, collector::stale_marker));
  EXPECT_FALSE(put(0, start, std::nan("")));
  ASSERT_TRUE(put(1, start, 0.0));
  EXPECT_FALSE(put(1, start, -0.0));
}

TEST_F(StoreSinkTest, ASampleThatIsOlderThanTheLastOfItsSeriesIsRefusedAndTheOthersAreStored) {
  ASSERT_TRUE(put(0, start + 2, 1));
  const Sample both[] = {{labels(0), start + 1, 5}, {labels(1), start + 1, 6}};
  const auto stored_both = sink->append(both);
  ASSERT_FALSE(stored_both);
  EXPECT_EQ(stored_both.error().code, Errc::bad_params);
  EXPECT_TRUE(stored_both.error().message.starts_with("1 samples are older"))
      << stored_both.error().message;
  EXPECT_EQ(stored(0), (Values{{start + 2, 1}}));
  EXPECT_EQ(stored(1), (Values{{start + 1, 6}}));
}

TEST_F(StoreSinkTest, OfOneCallTheFirstAtATimeStays) {
  const Sample twice[] = {{labels(0), start, 1}, {labels(0), start, 2}, {labels(0), start + 1, 3}};
  EXPECT_FALSE(sink->append(twice));
  EXPECT_EQ(stored(0), (Values{{start, 1}, {start + 1, 3}}));
}

TEST_F(StoreSinkTest, WhatTheStoreForgotIsAskedForAnew) {
  ASSERT_TRUE(put(0, start, 1));
  ASSERT_TRUE(store->seal());
  const std::uint64_t drops = store->drops();
  store->expire();
  clock_.set_ms(start + 5 * hour);
  store->expire();
  store->expire();
  ASSERT_GT(store->drops(), drops) << "the store has forgotten the series";
  EXPECT_TRUE(stored(0).empty());
  EXPECT_TRUE(put(0, start + 5 * hour, 2));
  EXPECT_EQ(stored(0), (Values{{start + 5 * hour, 2}}));
}

TEST_F(StoreSinkTest, ASeriesThatTheStoreHasNoRoomForIsAnErrorAndTheOthersAreStored) {
  sink.reset();
  store.reset();
  options_.series = 1;
  store = open();
  sink = std::make_unique<StoreSink>(*store);
  const Sample both[] = {{labels(0), start, 1}, {labels(1), start, 2}};
  const auto put_both = sink->append(both);
  ASSERT_FALSE(put_both);
  EXPECT_EQ(put_both.error().code, Errc::too_big);
  EXPECT_EQ(stored(0), (Values{{start, 1}}));
  EXPECT_TRUE(put(0, start + 1, 3));
}

TEST_F(StoreSinkTest, WhatWasNotWrittenForFifteenMinutesIsForgottenAndWhatWasStays) {
  constexpr std::int64_t after = limits::rule_series_forgotten.count();
  ASSERT_EQ(after, 15 * 60'000);
  ASSERT_TRUE(put(0, start, 1));
  ASSERT_TRUE(put(1, start + 1, 1));
  EXPECT_EQ(sink->series(), 2U);
  ASSERT_TRUE(put(2, start + after, 1));
  EXPECT_EQ(sink->series(), 3U) << "just so long ago";
  ASSERT_TRUE(put(2, start + 2 * after + 2, 1));
  EXPECT_EQ(sink->series(), 1U);
  // It is as new: what is older than its last is not known to be.
  EXPECT_TRUE(put(0, start - 1, 5));
}

}  // namespace
}  // namespace tallymill::apps
