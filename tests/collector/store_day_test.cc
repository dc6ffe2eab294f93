// A day. Goal: the metrics of a front and two workers at one sample a second, for 24 hours: memory
// stays what it is, and the disk holds what the tiers say, at the bytes a sample that they promise.
// Method: the metrics that docs/metrics.md lists, with histograms as their buckets, moved by jobs
// that come by chance (seeded); a clock that is set, and the store's upkeep as its threads do it.
//
// TALLYMILL_DAY_HOURS: how long (1; the long tier says 24).
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>

#include "base/limits.h"
#include "tests/collector/store_fixture.h"
#include "tests/metrics_doc.h"

namespace tallymill::collector {
namespace {

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) / 1e6;
}

// What moves as metrics do.
class Pipeline {
 public:
  static constexpr std::size_t bounds = 25;

  explicit Pipeline(Store& store) : store_(store) {
    std::ifstream in(std::string(TALLYMILL_SOURCE_DIR) + "/docs/metrics.md");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    for (const auto& [name, metric] : tests::documented_metrics(text)) {
      if (name.starts_with("tallymill_collector_")) continue;
      const bool of_stage = name.starts_with("tallymill_stage_");
      for (const char* process : {"front", "compute-1", "image-1"})
        if ((std::string_view(process) == "front") != of_stage) add(name, metric, process);
    }
  }

  [[nodiscard]] std::size_t series() const { return points_.size(); }

  // Its series at this second.
  [[nodiscard]] std::span<const Point> at(std::int64_t t_ms) {
    const std::uint64_t jobs = poisson_(random_);
    std::size_t next = 0;
    for (Moved& moved : moved_) {
      switch (moved.kind) {
        case Kind::counter:
          // Most of them count what is rare.
          for (std::uint64_t i = 0; i < jobs; ++i)
            if (random_() % moved.rarity == 0) moved.value += 1;
          points_[next++].value = moved.value;
          break;
        case Kind::gauge:
          if (random_() % moved.rarity == 0)
            moved.value = std::max(0.0, moved.value + static_cast<double>(random_() % 9) - 4);
          points_[next++].value = moved.value * moved.unit;
          break;
        case Kind::histogram:
          for (std::uint64_t i = 0; i < jobs; ++i) observe(moved);
          for (const double bucket : moved.buckets) points_[next++].value = bucket;
          points_[next++].value = moved.buckets.back();
          points_[next++].value = moved.value;
          break;
      }
    }
    for (Point& point : points_) point.t_ms = t_ms;
    return points_;
  }

 private:
  enum class Kind : std::uint8_t { counter, gauge, histogram };
  struct Moved {
    Kind kind;
    std::uint64_t rarity = 1;
    double unit = 1;
    double value = 0;
    std::array<double, bounds> buckets{};
  };

  void add(const std::string& name, const tests::DocumentedMetric& metric,
           const std::string& process) {
    // As many values of each label as a small installation has.
    const std::size_t copies = metric.labels.empty() ? 1 : 3;
    for (std::size_t copy = 0; copy < copies; ++copy) {
      Labels::Pairs labels = {{"__name__", name}, {"process", process}};
      for (const std::string& label : metric.labels)
        labels.emplace_back(label, "v" + std::to_string(copy));
      Moved moved{Kind::counter, 1 + random_() % 400, 1, 0, {}};
      if (metric.type == "gauge") {
        moved.kind = Kind::gauge;
        moved.unit = name.find("bytes") != std::string::npos ? 4096 : 1;
      } else if (metric.type == "histogram") {
        moved.kind = Kind::histogram;
        moved.rarity = 1 + random_() % 4;
        for (std::size_t bound = 0; bound < bounds; ++bound) {
          auto with = labels;
          with[0].second += "_bucket";
          with.emplace_back("le", std::to_string(bound));
          add_series(with);
        }
        labels[0].second = name + "_count";
        add_series(labels);
        labels[0].second = name + "_sum";
      }
      add_series(labels);
      moved_.push_back(moved);
    }
  }
  void add_series(const Labels::Pairs& labels) {
    points_.push_back({*store_.series(Labels::of(labels), Origin::own_bus), 0, 0});
  }
  void observe(Moved& moved) {
    if (random_() % moved.rarity != 0) return;
    const double at = std::clamp(length_(random_), 0.0, bounds - 1.0);
    for (auto bound = static_cast<std::size_t>(at); bound < bounds; ++bound)
      moved.buckets[bound] += 1;
    // Nanoseconds, as they are added up.
    moved.value = (std::round(moved.value * 1e9) + std::round(std::exp(at) * 25'000)) / 1e9;
  }

  Store& store_;
  std::mt19937_64 random_{20};
  std::poisson_distribution<std::uint64_t> poisson_{12};
  std::normal_distribution<double> length_{11, 2.5};
  std::vector<Moved> moved_;
  std::vector<Point> points_;
};

class StoreDayTest : public StoreTest {};

TEST_F(StoreDayTest, ADayOfAPipelineTakesTheMemoryAndTheDiskThatWerePredicted) {
  const char* said = std::getenv("TALLYMILL_DAY_HOURS");
  const int hours = said != nullptr ? std::atoi(said) : 1;
  constexpr std::int64_t begin = 1'700'000'000'000;
  auto store = open();
  Pipeline pipeline(*store);
  const auto series = static_cast<double>(pipeline.series());
  std::vector<double> most(static_cast<std::size_t>(hours));  // MB of each hour
  const auto real = std::chrono::steady_clock::now();
  for (std::int64_t second = 0; second < hours * 3600; ++second) {
    clock_.set_ms(begin + second * 1000);
    ASSERT_TRUE(store->append(pipeline.at(begin + second * 1000)).has_value());
    if (second % 10 == 0 && store->stats().log_bytes >= limits::seal_log_bytes) {
      ASSERT_TRUE(store->seal().has_value());
      ASSERT_TRUE(store->merge().has_value());
    }
    if (second % 600 == 0) {
      ASSERT_TRUE(store->thin().has_value());
      store->expire();
    }
    double& hour = most[static_cast<std::size_t>(second / 3600)];
    if (second % 60 == 0) hour = std::max(hour, resident_mb());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - real;
  ASSERT_TRUE(store->seal().has_value());
  const auto stats = store->stats();
  const double written = series * 3600 * hours;
  const auto left = static_cast<double>(stats.sealed_samples);
  // The last hour at full resolution, and as much again until what is old enough is written anew;
  // of what is before one sample in 15.
  const double least = series * 3600 * std::min(hours, 1) + series * 3600 * (hours - 1) / 15;
  const double predicted = least + series * 3600 * std::min(hours - 1, 1);
  const double bytes = static_cast<double>(stats.part_bytes) / left;
  std::printf(
      "%d h of %.0f series: %.1f M samples in %.1f s; left %.2f M (predicted %.2f to %.2f M), %.2f "
      "MB on disk, %.3f bytes a sample left, %.3f a sample written; resident MB by hour:",
      hours, series, written / 1e6, took.count(), left / 1e6, least / 1e6, predicted / 1e6,
      static_cast<double>(stats.part_bytes) / 1e6, bytes,
      static_cast<double>(stats.part_bytes) / written);
  for (const double mb : most) std::printf(" %.1f", mb);
  std::printf("\n");
  EXPECT_GE(series, 400);
  EXPECT_GE(left, least * 0.98);
  EXPECT_LE(left, predicted * 1.02);
  EXPECT_LE(bytes, hours == 1 ? 1.3 : 2.0);
  for (std::size_t hour = 2; hour < most.size(); ++hour)
    EXPECT_NEAR(most[hour], most[1], most[1] / 10);
}

}  // namespace
}  // namespace tallymill::collector
