// StoreSink: where rules put what they gave, over the collector's store.
//
// The store takes samples in any order and keeps the last of several at one time; rules are told
// what Prometheus tells them, so what each series was given last is remembered here.
//
//   invariant: of a series that rules write, what this stores is in the order of its times
//
// Threads: any; one writes at a time.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "alerting/group.h"
#include "collector/store.h"

namespace tallymill::apps {

class StoreSink final : public alerting::SampleSink {
 public:
  // REQUIRES: the store outlives it.
  explicit StoreSink(collector::Store& store) : store_(store) {}
  [[nodiscard]] Status append(std::span<const Sample> samples) override;

  // Series that are remembered; what was not written for limits::rule_series_forgotten goes.
  [[nodiscard]] std::size_t series() const;

 private:
  struct Last {
    collector::SeriesId series;
    std::int64_t t_ms;
    double value;
  };
  [[nodiscard]] Result<Last*> last_of(const Sample& sample);
  void forget(std::int64_t now_ms);

  collector::Store& store_;
  mutable std::mutex mutex_;  // guards all below
  std::unordered_map<collector::Labels, Last, collector::LabelsHash> last_;
  std::uint64_t drops_ = 0;  // of the store, when the ids were asked for
  std::int64_t forgot_ms_ = 0;
  std::vector<collector::Point> points_;  // of one call, kept for its memory
};

}  // namespace tallymill::apps
