#include "bench/collector_samples.h"

#include <fmt/format.h>

namespace tallymill::bench {
namespace {

constexpr std::size_t first_bucket = 4'000;
constexpr std::size_t first_gauge = 7'000;
constexpr std::size_t buckets = 20;  // of a histogram

}  // namespace

SeriesLabels labels_of_series(std::size_t i) {
  const auto instance = [](std::size_t k) { return fmt::format("10.1.7.{}:9100", k / 10 % 25); };
  const auto stage = [](std::size_t k) { return fmt::format("stage-{}", k % 10); };
  if (i < first_bucket) {
    const std::size_t k = i % 1000;
    return {{"__name__", "mill_jobs_total"},
            {"instance", instance(k)},
            {"job", "mill"},
            {"kind", fmt::format("kind-{}", i / 1000)},
            {"stage", stage(k)},
            {"worker", fmt::format("{}", k / 250)}};
  }
  if (i < first_gauge) {
    const std::size_t k = (i - first_bucket) % 1000;
    const std::size_t le = k % buckets;
    return {{"__name__", "mill_seconds_bucket"},
            {"job", "mill"},
            {"kind", fmt::format("kind-{}", (i - first_bucket) / 1000)},
            {"le", le + 1 == buckets ? "+Inf" : fmt::format("{}", 0.001 * double(1U << le))},
            {"stage", stage(k / buckets)},
            {"worker", fmt::format("{}", k / 200)}};
  }
  const std::size_t k = i - first_gauge;
  return {{"__name__", "mill_queue_depth"},
          {"instance", instance(k)},
          {"job", "mill"},
          {"kind", "kind-0"},
          {"stage", stage(k)},
          {"worker", fmt::format("{}", k / 250)}};
}

bool is_gauge(std::size_t i) { return i >= first_gauge; }

void Values::step() {
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < series_count; ++i) {
    if (i < first_bucket) {
      hundredths_[i] += std::int64_t(random_() % 100) * 100;
    } else if (i < first_gauge) {
      if ((i - first_bucket) % buckets == 0) counted = 0;
      counted += random_() % 5;
      hundredths_[i] += std::int64_t(counted) * 100;
    } else {
      hundredths_[i] += std::int64_t(random_() % 201) - 100;
    }
  }
}

}  // namespace tallymill::bench
