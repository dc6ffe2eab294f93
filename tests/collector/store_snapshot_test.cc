// Goal: a snapshot holds all that was acknowledged before it, opens as a store of its own, and
// neither of the two changes the other; there are no more than there may be. Method: real stores in
// a temporary folder, one of them written to while it is copied.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "collector/store.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t ever = std::numeric_limits<std::int64_t>::max();

class StoreSnapshot : public ::testing::Test {
 protected:
  StoreSnapshot() {
    std::string path = ::testing::TempDir() + "tallymill-snapshot-XXXXXX";
    folder_ = ::mkdtemp(path.data());
    store_ = *Store::open(folder_, {.background = false});
  }
  ~StoreSnapshot() override {
    store_.reset();
    fs::remove_all(folder_);
  }
  void add(Store& store, std::int64_t t_ms) {
    const auto id = store.series(Labels::of({{"__name__", "m"}, {"i", std::to_string(t_ms % 7)}}));
    ASSERT_TRUE(id);
    const Point point{*id, t_ms, static_cast<double>(t_ms)};
    ASSERT_TRUE(store.append({&point, 1}));
  }
  static std::size_t samples(const Store& store) {
    std::size_t count = 0;
    Column column;
    const auto all = *store.select({}, -ever, ever);
    for (const Source::Found& one : all) {
      EXPECT_TRUE(store.read(one.series, -ever, ever, column));
      count += column.size();
    }
    return count;
  }

  fs::path folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreSnapshot, OpensAsAStoreThatGoesItsOwnWay) {
  for (std::int64_t t = 0; t < 100; ++t) add(*store_, t);
  ASSERT_TRUE(store_->seal());
  for (std::int64_t t = 100; t < 150; ++t) add(*store_, t);
  const auto path = store_->snapshot();
  ASSERT_TRUE(path) << path.error().message;
  add(*store_, 150);
  {
    const auto copy = Store::open(*path, {.background = false});
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_EQ(samples(**copy), 150u);
    for (std::int64_t t = 1'000; t < 1'010; ++t) add(**copy, t);
    ASSERT_TRUE((*copy)->seal());
    ASSERT_TRUE((*copy)->merge(true));
    EXPECT_EQ(samples(**copy), 160u);
  }
  EXPECT_EQ(samples(*store_), 151u);
  store_.reset();
  store_ = *Store::open(folder_, {.background = false});
  EXPECT_EQ(samples(*store_), 151u);
  // A second one does not hold the first.
  const auto again = store_->snapshot();
  ASSERT_TRUE(again);
  EXPECT_FALSE(fs::exists(*again / "snapshots"));
}

TEST_F(StoreSnapshot, HoldsWhatWasAcknowledgedWhileItIsWrittenTo) {
  std::atomic<std::int64_t> acknowledged = 0;
  std::atomic<bool> stop = false;
  std::thread writes([&] {
    for (std::int64_t t = 0; !stop; ++t) {
      add(*store_, t);
      acknowledged = t + 1;
    }
  });
  for (int i = 0; i < 5; ++i) {
    while (acknowledged < i * 100) std::this_thread::yield();
    const std::int64_t before = acknowledged;
    const auto path = store_->snapshot();
    const std::int64_t after = acknowledged;
    ASSERT_TRUE(path) << path.error().message;
    const auto copy = Store::open(*path, {.background = false});
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_GE(samples(**copy), static_cast<std::size_t>(before));
    EXPECT_LE(samples(**copy), static_cast<std::size_t>(after + 1));
  }
  stop = true;
  writes.join();
}

TEST_F(StoreSnapshot, AsManyAsThereMayBeAreKeptAndOneMoreIsRefused) {
  add(*store_, 1);
  std::vector<fs::path> made;
  for (std::size_t i = 0; i < limits::snapshots; ++i) {
    const auto path = store_->snapshot();
    ASSERT_TRUE(path) << path.error().message;
    made.push_back(*path);
    EXPECT_EQ(store_->stats().snapshots, i + 1);
  }
  const auto refused = store_->snapshot();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::too_big);
  EXPECT_NE(refused.error().message.find((folder_ / "snapshots").string()), std::string::npos);
  for (const fs::path& path : made) EXPECT_TRUE(fs::exists(path / "log" / "series")) << path;
  // They count at the next start too, until one is removed.
  store_.reset();
  store_ = *Store::open(folder_, {.background = false});
  EXPECT_EQ(store_->stats().snapshots, limits::snapshots);
  EXPECT_FALSE(store_->snapshot());
  fs::remove_all(made[3]);
  EXPECT_TRUE(store_->snapshot());
  EXPECT_EQ(store_->stats().snapshots, limits::snapshots);
}

TEST_F(StoreSnapshot, HalfOfOneThatAProcessLeftIsRemovedAtTheNextStart) {
  add(*store_, 1);
  const auto whole = store_->snapshot();
  ASSERT_TRUE(whole);
  const fs::path torn = folder_ / "snapshots" / "20260101T000000Z-0123456789abcdef.new";
  fs::create_directories(torn / "parts");
  EXPECT_EQ(store_->stats().snapshots, 1u);
  store_.reset();
  store_ = *Store::open(folder_, {.background = false});
  EXPECT_FALSE(fs::exists(torn));
  EXPECT_TRUE(fs::exists(*whole));
  EXPECT_EQ(store_->stats().snapshots, 1u);
}

// As lost+found, which not even the collector may read.
TEST_F(StoreSnapshot, WhatSomebodyElseHasInTheFolderIsNotInIt) {
  add(*store_, 1);
  fs::create_directories(folder_ / "lost+found" / "deep");
  ASSERT_EQ(std::fclose(std::fopen((folder_ / "waterfalls.db").c_str(), "w")), 0);
  const auto path = store_->snapshot();
  ASSERT_TRUE(path) << path.error().message;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(*path))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"format", "log", "parts"}));
}

TEST_F(StoreSnapshot, WithoutAPlaceForItThereIsNone) {
  add(*store_, 1);
  fs::create_directories(folder_ / "parts");
  // A file where the folder should be.
  ASSERT_EQ(std::fclose(std::fopen((folder_ / "snapshots").c_str(), "w")), 0);
  const auto path = store_->snapshot();
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, Errc::disk);
  EXPECT_EQ(samples(*store_), 1u);
}

TEST_F(StoreSnapshot, WhatThereIsMostOfAndWhenIsTold) {
  EXPECT_FALSE(store_->span());
  for (std::int64_t t = 5; t < 105; ++t) add(*store_, t);
  ASSERT_TRUE(store_->seal());
  add(*store_, 400);
  const auto span = store_->span();
  ASSERT_TRUE(span);
  EXPECT_EQ(span->first_ms, 5);
  EXPECT_EQ(span->last_ms, 400);
  ASSERT_TRUE(store_->series(Labels::of({{"__name__", "n"}, {"i", "1"}})));
  const auto all = store_->cardinality(2);
  using Counts = Index::Cardinality::Counts;
  EXPECT_EQ(all.pairs, 9u);
  EXPECT_EQ(all.series_by_metric, (Counts{{"m", 7}, {"n", 1}}));
  EXPECT_EQ(all.values_by_name, (Counts{{"i", 7}, {"__name__", 2}}));
  EXPECT_EQ(all.bytes_by_name, (Counts{{"i", 7}, {"__name__", 2}}));
  EXPECT_EQ(all.series_by_pair, (Counts{{"__name__=m", 7}, {"i=1", 2}}));
  EXPECT_EQ(store_->cardinality(0).series_by_pair, Counts{});
}

}  // namespace
}  // namespace tallymill::collector
