// Goal: a leak in what the processes told is told with their names, and ends when they do; only so
// many processes are watched. Method: a real store with samples as the bus brings them.
#include "collector/leak_watch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/limits.h"
#include "collector/store.h"

namespace tallymill::collector {
namespace {

constexpr std::chrono::seconds window{120};
constexpr double mib = 1 << 20;
constexpr std::int64_t t0 = 1'700'000'000'000;

class LeakWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("tallymill-leak-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    auto store = Store::open(folder_, {.background = false});
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  SeriesId series(const char* metric, const std::string& job, const std::string& instance) {
    auto id = store_->series(
        Labels::of({{std::string(metric_name), metric}, {"job", job}, {"instance", instance}}));
    EXPECT_TRUE(id);
    return *id;
  }
  // 120 seconds of it, from t0.
  void tell(SeriesId id, double bytes_per_second) {
    std::vector<Point> points;
    for (int s = 0; s <= 120; ++s)
      points.push_back({id, t0 + 1000 * s, 30 * mib + bytes_per_second * s});
    ASSERT_TRUE(store_->append(points));
  }
  std::map<std::string, double> told(std::string_view name) {
    std::map<std::string, double> values;
    for (const auto& family : registry_.snapshot().families) {
      if (family.name != name) continue;
      for (const auto& sample : family.samples) {
        std::string key;
        for (const auto& label : sample.labels) key += label.second + " ";
        values[key] = sample.value;
      }
    }
    return values;
  }
  std::filesystem::path folder_;
  std::unique_ptr<Store> store_;
  metrics::Registry registry_;
};

constexpr const char* resident = "tallymill_process_resident_memory_bytes";
constexpr const char* allocated = "tallymill_process_heap_allocated_bytes";

TEST_F(LeakWatchTest, AProcessThatLeaksIsToldByNameAndAnotherIsSilent) {
  tell(series(resident, "compute", "a"), 100 * 1024);
  tell(series(allocated, "compute", "a"), 90 * 1024);
  tell(series(resident, "front", "b"), 0);
  LeakWatch watch(*store_, registry_, window);
  watch.look(t0 + 120'000);
  const auto slopes = told("tallymill_collector_leak_bytes_per_second");
  const auto suspected = told("tallymill_collector_leak_suspected");
  EXPECT_NEAR(slopes.at("compute a resident "), 100 * 1024, 1);
  EXPECT_NEAR(slopes.at("compute a allocated "), 90 * 1024, 1);
  EXPECT_EQ(slopes.at("front b resident "), 0);
  EXPECT_EQ(suspected.at("compute a resident "), 1);
  EXPECT_EQ(suspected.at("compute a allocated "), 1);
  EXPECT_EQ(suspected.at("front b resident "), 0);
}

TEST_F(LeakWatchTest, ACacheThatFillsUpIsNoLeakAndALeakBesideItIsTold) {
  for (const char* instance : {"fills", "leaks"}) {
    tell(series(resident, "front", instance), 200 * 1024);
    tell(series(allocated, "front", instance), 200 * 1024);
  }
  tell(series("tallymill_process_cache_bytes", "front", "fills"), 200 * 1024);
  tell(series("tallymill_process_cache_bytes", "front", "leaks"), 100 * 1024);
  LeakWatch watch(*store_, registry_, window);
  watch.look(t0 + 120'000);
  const auto slopes = told("tallymill_collector_leak_bytes_per_second");
  const auto suspected = told("tallymill_collector_leak_suspected");
  EXPECT_NEAR(slopes.at("front fills resident "), 0, 1);
  EXPECT_NEAR(slopes.at("front leaks allocated "), 100 * 1024, 1);
  EXPECT_EQ(suspected.at("front fills resident "), 0);
  EXPECT_EQ(suspected.at("front fills allocated "), 0);
  EXPECT_EQ(suspected.at("front leaks resident "), 1);
}

TEST_F(LeakWatchTest, AProcessThatHasGoneLeaksNoMore) {
  tell(series(resident, "compute", "a"), 100 * 1024);
  LeakWatch watch(*store_, registry_, window);
  watch.look(t0 + 120'000);
  EXPECT_EQ(told("tallymill_collector_leak_suspected").at("compute a resident "), 1);
  watch.look(t0 + 400'000);
  EXPECT_EQ(told("tallymill_collector_leak_suspected").at("compute a resident "), 0);
  EXPECT_EQ(told("tallymill_collector_leak_bytes_per_second").at("compute a resident "), 0);
}

TEST_F(LeakWatchTest, AtTheLimitOfProcessesAllAreWatchedAndOneMoreIsCounted) {
  const std::size_t most = limits::leak_processes;
  const auto name = [](std::size_t i) { return fmt::format("worker-{:04}", i); };
  const auto say = [&](std::size_t i) {
    const std::vector<Point> points{{series(resident, "compute", name(i)), t0, 1},
                                    {series(allocated, "compute", name(i)), t0, 1}};
    ASSERT_TRUE(store_->append(points));
  };
  for (std::size_t i = 0; i < most; ++i) say(i);
  LeakWatch watch(*store_, registry_, window);
  watch.look(t0);
  EXPECT_EQ(told("tallymill_collector_leak_suspected").size(), 2 * most);
  EXPECT_EQ(told("tallymill_collector_leak_left_out").at(""), 0);
  say(most);
  watch.look(t0);
  EXPECT_EQ(told("tallymill_collector_leak_suspected").size(), 2 * most);
  EXPECT_EQ(told("tallymill_collector_leak_left_out").at(""), 2);
}

}  // namespace
}  // namespace tallymill::collector
