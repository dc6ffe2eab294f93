// Goal: a listener of the store is told of what is made, comes and is forgotten, in time. Method: a
// listener that reads what it is told of back as soon as the store lets it.
#include "collector/arrivals.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

class Listener final : public ArrivalListener {
 public:
  void made(SeriesId series, const Labels& labels) override {
    told.push_back("made " + std::to_string(series.raw()) + " " + labels.text());
  }
  void arrived(std::span<const Point> points) override {
    for (const Point& point : points) {
      Column column;
      const bool is_there = store->read(point.series, point.t_ms, point.t_ms, column) &&
                            column.size() == 1 && column.value[0] == point.value;
      told.push_back((is_there ? "came " : "not there yet ") + std::to_string(point.series.raw()));
    }
  }
  void forgotten(std::span<const SeriesId> series) override {
    for (const SeriesId one : series) told.push_back("forgotten " + std::to_string(one.raw()));
  }
  const Store* store = nullptr;
  std::vector<std::string> told;
};

using ArrivalsTest = StoreTest;
using Told = std::vector<std::string>;

TEST_F(ArrivalsTest, AListenerIsToldOfWhatIsVisibleAndOnlyWhileItListens) {
  const auto store = open();
  Listener listener;
  listener.store = store.get();
  const SeriesId before = *store->series(labels(0));
  store->listen(&listener);
  const SeriesId id = *store->series(labels(1));
  EXPECT_EQ(*store->series(labels(1)), id) << "which makes nothing";
  const std::vector<Point> points{{id, clock_.ms(), 1}, {before, clock_.ms(), 2}};
  ASSERT_TRUE(store->append(points));
  ASSERT_FALSE(store->append(std::vector<Point>{{SeriesId(7), clock_.ms(), 1}}));
  EXPECT_EQ(listener.told, (Told{R"(made 1 m{i="1"})", "came 1", "came 0"}));
  store->listen(nullptr);
  ASSERT_TRUE(store->append(points));
  EXPECT_EQ(listener.told.size(), 3U);
}

TEST_F(ArrivalsTest, AListenerIsToldOfSeriesThatAreForgotten) {
  const auto store = open();
  const SeriesId old = *store->series(labels(0));
  ASSERT_TRUE(store->append(std::vector<Point>{{old, clock_.ms(), 1}}));
  ASSERT_TRUE(store->seal());
  Listener listener;
  store->listen(&listener);
  clock_.set_ms(clock_.ms() + 2 * std::chrono::milliseconds(options_.retention).count());
  for (int i = 0; i < 3; ++i) store->expire();
  EXPECT_EQ(listener.told, Told{"forgotten 0"});
}

}  // namespace
}  // namespace tallymill::collector
