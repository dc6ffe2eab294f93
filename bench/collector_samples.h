// Samples that a benchmark of the collector sends: the same in every run.
//
// 10,000 series of 6 labels, one sample a step of 15 s each: 4,000 counters that grow by less than
// 100, 3,000 buckets of 150 histograms, 3,000 gauges that walk by up to 1.00.
//
// Threads: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace tallymill::bench {

inline constexpr std::size_t series_count = 10'000;
inline constexpr std::int64_t step_ms = 15'000;

// By name.
using SeriesLabels = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] SeriesLabels labels_of_series(std::size_t i);
[[nodiscard]] bool is_gauge(std::size_t i);

// The values of all series at one step after another.
class Values {
 public:
  Values() : hundredths_(series_count, 5'000) {}
  void step();
  [[nodiscard]] double of(std::size_t series) const {
    return static_cast<double>(hundredths_[series]) / 100;
  }

 private:
  std::mt19937_64 random_{1};
  std::vector<std::int64_t> hundredths_;
};

}  // namespace tallymill::bench
