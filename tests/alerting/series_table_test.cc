// Goal: what is known of a series is found by its id and by no other. Method: random work beside a
// map.
#include "alerting/series_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace tallymill::alerting {
namespace {

using collector::SeriesId;

TEST(SeriesTable, RandomWorkIsWhatAMapSays) {
  const unsigned seed = std::random_device{}();
  fmt::print("TALLYMILL_SEED={}\n", seed);
  std::mt19937 random(seed);
  SeriesTable<int> table;
  std::map<std::uint32_t, int> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto id = static_cast<std::uint32_t>(random() % 300);
    const int* const found = table.find(SeriesId(id));
    const auto expected = model.find(id);
    ASSERT_EQ(found != nullptr, expected != model.end()) << id;
    if (found != nullptr) {
      ASSERT_EQ(*found, expected->second) << id;
    }
    if (found != nullptr && random() % 2 == 0) {
      table.erase(SeriesId(id));
      model.erase(id);
    } else {
      table[SeriesId(id)] = i;
      model[id] = i;
    }
  }
  table.clear();
  EXPECT_EQ(table.find(SeriesId(0)), nullptr);
}

}  // namespace
}  // namespace tallymill::alerting
