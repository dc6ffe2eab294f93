// Series that die. Goal: one of which no sample is left anywhere is forgotten, makes room, costs no
// memory and almost no disk, and its id is never another's; one that somebody is about to append to
// is not. Method: a clock that is moved past the retention; many short-lived series beside some
// that stay, and the resident memory of this process while they come and go.
//
// TALLYMILL_CHURN_SERIES: how many come and go (100,000).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "base/limits.h"
#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

constexpr std::int64_t hour = 3'600'000;
constexpr std::int64_t start = 1'700'000'000'000;

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) / 1e6;
}

class StoreChurnTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    options_.retention = std::chrono::hours(4);
  }
  Status append(Store& store, SeriesId id, double value = 1) {
    const Point point[] = {{id, now_, value}};
    return store.append(point);
  }
  void pass(std::int64_t ms) { clock_.set_ms(now_ += ms); }
  std::int64_t now_ = start;
};

TEST_F(StoreChurnTest, ASeriesWithoutASampleIsForgottenMakesRoomAndItsIdIsNobodys) {
  options_.series = 2;
  auto store = open();
  const auto ids = make_series(*store, 2);
  for (const SeriesId id : ids) ASSERT_TRUE(append(*store, id).has_value());
  ASSERT_TRUE(store->seal().has_value());
  store->expire();
  const std::uint64_t drops = store->drops();
  pass(5 * hour);
  ASSERT_TRUE(append(*store, ids[1]).has_value());
  EXPECT_EQ(store->series(labels(2)).error().code, Errc::too_big);
  EXPECT_EQ(store->expire(), 1U);
  EXPECT_GT(store->drops(), drops);
  EXPECT_EQ(store->stats().dropped_series, 1U);
  EXPECT_EQ(store->stats().series, 1U);
  EXPECT_EQ(store->select({}, 0, always_to)->size(), 1U);
  EXPECT_EQ(store->values("i"), std::vector<std::string>{"1"});
  EXPECT_EQ(*store->series(labels(2)), SeriesId(2));
  EXPECT_EQ(store->series(labels(3)).error().code, Errc::too_big);
  // Whoever kept the id is told to ask again, and nothing of the push is stored.
  const Point old[] = {{ids[1], now_ + 1, 1}, {ids[0], now_, 1}};
  EXPECT_EQ(store->append(old).error().code, Errc::busy);
  EXPECT_EQ(model_of(*store).at(1).size(), 1U);
  // It may come again, under another id, and over a restart it stays so.
  pass(5 * hour);
  ASSERT_TRUE(store->seal().has_value());
  pass(5 * hour);
  store->expire();
  store->expire();
  EXPECT_EQ(store->stats().series, 1U) << "the one that nobody has appended to since it was made";
  const SeriesId again = *store->series(labels(0));
  EXPECT_EQ(again, SeriesId(3));
  ASSERT_TRUE(append(*store, again, 7).has_value());
  store.reset();
  store = open();
  EXPECT_EQ(*store->series(labels(0)), again);
  EXPECT_EQ(model_of(*store).at(3).size(), 1U);
}

TEST_F(StoreChurnTest, ASeriesThatWasAskedForIsNotForgottenBeforeTheNextLook) {
  auto store = open();
  const auto ids = make_series(*store, 2);
  ASSERT_TRUE(append(*store, ids[0]).has_value());
  ASSERT_TRUE(store->seal().has_value());
  pass(5 * hour);
  ASSERT_EQ(*store->series(labels(0)), ids[0]);
  store->expire();
  EXPECT_TRUE(append(*store, ids[0]).has_value());
  // The other was made, and nobody appends to it.
  store->expire();
  EXPECT_EQ(append(*store, ids[1]).error().code, Errc::busy);
  EXPECT_EQ(append(*store, SeriesId(2)).error().code, Errc::bad_params);
}

TEST_F(StoreChurnTest, SeriesOfAPartWhoseDirectoryIsDamagedAreNotForgotten) {
  {
    auto store = open();
    const auto ids = make_series(*store, 2);
    for (const SeriesId id : ids) ASSERT_TRUE(append(*store, id).has_value());
    ASSERT_TRUE(store->seal().has_value());
  }
  const fs::path file = only_file(folder_ / "parts", ".part");
  std::string bytes = read_file(file);
  bytes[bytes.size() - 88 - 1] ^= 1;
  write_file(file, bytes);
  auto store = open();
  store->expire();
  store->expire();
  EXPECT_EQ(store->stats().series, 2U);
}

TEST_F(StoreChurnTest, ManyThatComeAndGoCostNoMemoryNorDiskAndThoseThatStayAreWhole) {
  const char* said = std::getenv("TALLYMILL_CHURN_SERIES");
  const std::size_t all = said != nullptr ? std::strtoull(said, nullptr, 10) : 100'000;
  constexpr std::size_t staying = 200;
  constexpr std::size_t per_round = 5'000;
  auto store = open();
  const std::size_t rounds = all / per_round;
  double first = 0;
  double most = 0;
  std::uint64_t most_list = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    pass(hour);
    std::vector<Point> points;
    for (std::size_t i = 0; i < staying; ++i)
      points.push_back({*store->series(labels(i)), now_, static_cast<double>(round)});
    for (std::size_t i = 0; i < per_round; ++i)
      points.push_back({*store->series(labels(staying + round * per_round + i)), now_, 1});
    ASSERT_TRUE(store->append(points).has_value());
    ASSERT_TRUE(store->seal().has_value());
    ASSERT_TRUE(store->merge().has_value());
    store->expire();
    // Four hours of them, that which is merged with the newest of them, and one that was asked for.
    ASSERT_LE(store->stats().series, staying + 7 * per_round);
    if (round == rounds / 3) first = resident_mb();
    most = std::max(most, resident_mb());
    most_list = std::max(most_list, store->stats().list_bytes);
  }
  std::printf("%zu series: %.1f MB resident after a third, %.1f MB at most; list %llu bytes\n", all,
              first, most, static_cast<unsigned long long>(most_list));
#ifdef __SANITIZE_ADDRESS__
  std::puts("SKIPPED: memory under a sanitizer, which keeps what was freed");
#else
  // 10 MB of what an allocator keeps, whatever came and went.
  EXPECT_LE(most, first * 1.1 + 10);
#endif
  EXPECT_GE(store->stats().dropped_series, all - 8 * per_round);
  EXPECT_LE(most_list, 60 * (limits::dead_series + 8 * per_round));
  store.reset();
  store = open();
  for (std::size_t i = 0; i < staying; ++i) {
    Column column;
    const auto id = *store->series(labels(i));
    ASSERT_LT(id.raw(), staying);
    ASSERT_TRUE(store->read(id, always_from, always_to, column).has_value());
    EXPECT_GE(column.size(), 4U);
    EXPECT_EQ(column.value.back(), static_cast<double>(rounds - 1));
  }
  EXPECT_GE(store->stats().series_ids, all);
}

}  // namespace
}  // namespace tallymill::collector
