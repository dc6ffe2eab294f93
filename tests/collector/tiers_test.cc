// Downsampling. Goal: of old samples of our own bus the last of each bucket is left, with its own
// time and value, in whatever order parts were written; what others wrote and what is young is as
// it came; a counter says at the end of each bucket what it said. Method: the rule by itself
// against a direct one over random samples, seed printed; a store with a clock that is moved.
#include "collector/tiers.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const std::vector<Tier> both = {{minutes(60), seconds(15)}, {hours(24), minutes(5)}};

Column column_of(const std::map<std::int64_t, double>& samples) {
  Column column;
  for (const auto& [t, value] : samples) column.add(t, value);
  return column;
}

TEST(Tiers, ABucketIsThinnedWhenAllOfItIsOldEnough) {
  const Tiers tiers(both);
  constexpr std::int64_t now = 9'000'000'000'000;  // a whole bucket of each
  constexpr std::int64_t hour = 3'600'000;
  EXPECT_EQ(tiers.step_ms(now - hour, now), 0);
  EXPECT_EQ(tiers.step_ms(now - hour - 1, now), 15'000);
  EXPECT_EQ(tiers.step_ms(now - hour - 1, now - 1), 0) << "its bucket ends 1 ms too late";
  EXPECT_EQ(tiers.step_ms(now - 24 * hour - 1, now), 300'000);
  EXPECT_EQ(tiers.step_ms(now - 24 * hour, now), 15'000);
  EXPECT_EQ(tiers.step_ms(now + hour, now), 0);
  EXPECT_EQ(tiers.step_ms(always_from, now), 0);
  EXPECT_EQ(tiers.step_ms(always_to, now), 0);
  EXPECT_EQ(tiers.step_ms(-1, now), 300'000);
  EXPECT_EQ(Tiers({}).step_ms(0, now), 0);
}

TEST(Tiers, TheLastOfEachBucketIsLeftHoweverSamplesCameTogether) {
  const auto seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  const Tiers tiers({{minutes(60), seconds(15)}});
  for (int round = 0; round < 200; ++round) {
    const std::int64_t now = 1'700'000'000'000 + static_cast<std::int64_t>(random() % 100'000);
    std::map<std::int64_t, double> all, early, late, wanted;
    for (int i = 0; i < 300; ++i) {
      const std::int64_t t = now - 3'800'000 + static_cast<std::int64_t>(random() % 300'000);
      all[t] = static_cast<double>(i);
      (random() % 2 == 0 ? early : late)[t] = all[t];
    }
    // Of the duplicates the last counts, as in the store.
    for (auto& [t, value] : early) value = all[t];
    for (auto& [t, value] : late) value = all[t];
    for (const auto& [t, value] : all) {
      const std::int64_t end = (t / 15'000 + 1) * 15'000;
      const auto next = all.upper_bound(t);
      const bool last = next == all.end() || next->first >= end;
      if (end > now - 3'600'000 || last) wanted[t] = value;
    }
    Column once = column_of(all);
    tiers.thin(once, now);
    EXPECT_EQ(once.t_ms, column_of(wanted).t_ms);
    EXPECT_EQ(once.value, column_of(wanted).value);
    // One half, thinned, then the other with it.
    Column half = column_of(early);
    tiers.thin(half, now);
    for (std::size_t i = 0; i < half.size(); ++i) late[half.t_ms[i]] = half.value[i];
    Column again = column_of(late);
    tiers.thin(again, now);
    EXPECT_EQ(again.t_ms, once.t_ms);
    EXPECT_EQ(again.value, once.value);
  }
}

class TieredStoreTest : public StoreTest {
 protected:
  static constexpr std::int64_t start = 1'700'000'010'000;  // a bucket begins
  static constexpr std::int64_t hour = 3'600'000;

  // A second each, of both: a counter of ours and the same of somebody else.
  void write(Store& store, std::int64_t from_ms, int count) {
    const auto own = store.series(labels(0), Origin::own_bus);
    const auto other = store.series(labels(1));
    for (int i = 0; i < count; ++i) {
      const std::int64_t t = from_ms + i * 1000;
      clock_.set_ms(t);
      const auto value = static_cast<double>((t - start) / 1000 * 3);
      const Point points[] = {{*own, t, value}, {*other, t, value}};
      ASSERT_TRUE(store.append(points).has_value());
    }
  }
};

TEST_F(TieredStoreTest, OwnSeriesAreThinnedAfterAnHourAndOthersNever) {
  auto store = open();
  write(*store, start, 600);
  ASSERT_TRUE(store->seal().has_value());
  EXPECT_EQ(store->thin().value(), 0U);
  clock_.set_ms(start + 600'000 + hour - 2'000);
  EXPECT_EQ(store->thin().value(), 0U) << "an hour after the last of it came";
  clock_.set_ms(start + 600'000 + hour + 15'000);
  EXPECT_EQ(store->thin().value(), 1U);
  EXPECT_EQ(store->thin().value(), 0U) << "once";
  for (int reopened = 0; reopened < 2; ++reopened) {
    const Model model = model_of(*store);
    EXPECT_EQ(model.at(1).size(), 600U);
    ASSERT_EQ(model.at(0).size(), 40U);
    for (const auto& [t, bits] : model.at(0)) {
      EXPECT_EQ((t - start) % 15'000, 14'000);
      EXPECT_EQ(bits, model.at(1).at(t)) << "its own time and value";
    }
    store.reset();
    store = open();
    EXPECT_EQ(store->thin().value(), 0U);
  }
  EXPECT_EQ(*store->series(labels(0)), SeriesId(0));
  const auto found = store->select({}, start, start + 1000);
  EXPECT_EQ(found->at(0).step_ms, 15'000);
  EXPECT_EQ(found->at(1).step_ms, 0);
  EXPECT_EQ(store->select({}, start + hour, start + hour)->at(0).step_ms, 0);
}

TEST_F(TieredStoreTest, AMergeThinsWhatIsOldAndLeavesTheLastHour) {
  auto store = open();
  for (int part = 0; part < 4; ++part) {
    write(*store, start + part * 1'800'000, 1800);
    ASSERT_TRUE(store->seal().has_value());
  }
  EXPECT_EQ(store->merge().value(), 3U);
  const Model model = model_of(*store);
  EXPECT_EQ(model.at(1).size(), 7200U);
  // At 1:59:59: 59 minutes and 45 seconds of whole buckets are older than an hour.
  EXPECT_EQ(model.at(0).size(), 3585U / 15 + 7200 - 3585);
  clock_.set_ms(start + 7'200'000 + hour + 15'000);
  EXPECT_EQ(store->thin().value(), 1U);
  EXPECT_EQ(model_of(*store).at(0).size(), 480U);
  EXPECT_EQ(store->stats().thinned_parts, 1U);
}

TEST_F(TieredStoreTest, ALateSampleOfAThinnedBucketTakesThePlaceOfTheOneBeforeIt) {
  auto store = open();
  const auto own = *store->series(labels(0), Origin::own_bus);
  clock_.set_ms(start + 2 * hour);
  for (const std::int64_t t : {start + 5'000, start + 14'000, start + 9'000}) {
    const Point point[] = {{own, t, static_cast<double>(t)}};
    ASSERT_TRUE(store->append(point).has_value());
    ASSERT_TRUE(store->seal().has_value());
  }
  ASSERT_EQ(store->merge(true).value(), 2U);
  EXPECT_EQ(model_of(*store).at(0).size(), 1U);
  EXPECT_EQ(model_of(*store).at(0).begin()->first, start + 14'000);
}

TEST_F(TieredStoreTest, TheSecondTierIsOffUntilItIsAskedFor) {
  auto store = open();
  write(*store, start, 900);
  ASSERT_TRUE(store->seal().has_value());
  clock_.set_ms(start + 100 * hour);
  EXPECT_EQ(store->thin().value(), 1U);
  EXPECT_EQ(model_of(*store).at(0).size(), 60U);
  store.reset();
  options_.tiers = both;
  store = open();
  EXPECT_EQ(store->thin().value(), 1U);
  EXPECT_EQ(model_of(*store).at(1).size(), 900U);
  // 900 s from the 210th of a bucket on: four of 5 minutes meet them.
  EXPECT_EQ(model_of(*store).at(0).size(), 4U);
}

TEST_F(TieredStoreTest, APartWithDamageIsNotThinned) {
  {
    auto store = open();
    write(*store, start, 60);
    ASSERT_TRUE(store->seal().has_value());
  }
  const fs::path file = only_file(folder_ / "parts", ".part");
  std::string bytes = read_file(file);
  bytes[3] ^= 1;
  write_file(file, bytes);
  auto store = open();
  clock_.set_ms(start + 3 * hour);
  EXPECT_EQ(store->thin().value(), 0U);
  EXPECT_EQ(model_of(*store).at(1).size(), 60U);
}

}  // namespace
}  // namespace tallymill::collector
