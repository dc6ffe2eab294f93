// Goal: of each series the newest exemplars are there, by their times, within the bounds. Method:
// exemplars in tables, with bounds that a test can reach.
#include "collector/exemplars.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

namespace tallymill::collector {
namespace {

constexpr std::int64_t ever = std::numeric_limits<std::int64_t>::max();
constexpr SeriesId a{1};
constexpr SeriesId b{2};

void add(ExemplarStore& store, SeriesId series, std::int64_t t_ms, double value = 1,
         std::string_view job = "7") {
  const std::array labels{Label{"job_id", job}};
  store.add(series, {.labels = labels, .value = value, .t_ms = t_ms}, 0);
}

std::vector<std::int64_t> times(const ExemplarStore& store, SeriesId series,
                                std::int64_t from_ms = -ever, std::int64_t to_ms = ever) {
  std::vector<std::int64_t> times;
  const auto kept = store.read(series, from_ms, to_ms);
  for (const auto& one : kept) times.push_back(one.t_ms);
  return times;
}

using Times = std::vector<std::int64_t>;

TEST(ExemplarStore, TheyAreReadByTimeInWhateverOrderTheyCame) {
  ExemplarStore store;
  for (const std::int64_t t : {30, 10, 20}) add(store, a, t);
  EXPECT_EQ(times(store, a), (Times{10, 20, 30}));
  EXPECT_EQ(times(store, a, 10, 20), (Times{10, 20}));
  EXPECT_EQ(times(store, a, 11, 19), Times{});
  EXPECT_EQ(times(store, b), Times{});
  EXPECT_EQ(store.read(a, 0, 10)[0].labels, Labels::of({{"job_id", "7"}}));
}

TEST(ExemplarStore, OneThatDoesNotSayWhenIsOfItsSamplesTime) {
  ExemplarStore store;
  store.add(a, {.labels = {}, .value = 2}, 44);
  EXPECT_EQ(times(store, a), Times{44});
}

TEST(ExemplarStore, TheSameOneIsThereOnce) {
  ExemplarStore store;
  for (int i = 0; i < 3; ++i) add(store, a, 10);
  add(store, a, 10, 2);
  add(store, a, 10, 1, "8");
  EXPECT_EQ(times(store, a), (Times{10, 10, 10}));
  EXPECT_EQ(store.stats().added, 3u);
}

TEST(ExemplarStore, TheOldestOfASeriesMakesRoomAndAnOlderOneIsLeft) {
  ExemplarStore store(3, 100);
  for (std::int64_t t = 1; t <= 3; ++t) add(store, a, t * 10);
  EXPECT_EQ(times(store, a), (Times{10, 20, 30}));
  add(store, a, 40);
  EXPECT_EQ(times(store, a), (Times{20, 30, 40}));
  add(store, a, 5);
  EXPECT_EQ(times(store, a), (Times{20, 30, 40}));
  add(store, a, 25);
  EXPECT_EQ(times(store, a), (Times{25, 30, 40}));
}

TEST(ExemplarStore, OfAllTheOneThatCameFirstMakesRoom) {
  ExemplarStore store(3, 4);
  add(store, a, 100);
  for (std::int64_t t = 1; t <= 3; ++t) add(store, b, t);
  EXPECT_EQ(store.stats().exemplars, 4u);
  add(store, a, 200);
  EXPECT_EQ(times(store, a), Times{200});
  EXPECT_EQ(times(store, b), (Times{1, 2, 3}));
  EXPECT_EQ(store.stats().exemplars, 4u);
}

}  // namespace
}  // namespace tallymill::collector
