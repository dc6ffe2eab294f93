// Store probe: what a store says of itself as metrics: how full each of its bounds is, what it
// refused, lost and did.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/metrics.h"
#include "collector/store.h"

namespace tallymill::collector {

class StoreProbe {
 public:
  explicit StoreProbe(metrics::Registry& registry) : registry_(registry) {}
  void set(const Store::Stats& stats);

 private:
  void gauge(std::string_view name, std::string_view help, std::uint64_t value);
  void count(std::string_view name, std::string_view help, std::uint64_t total,
             metrics::Labels labels = {});

  metrics::Registry& registry_;
};

}  // namespace tallymill::collector
