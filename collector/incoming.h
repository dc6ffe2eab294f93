// Incoming: what a door of the collector hands in beside samples: what a metric is, and exemplars.
//
// Threads: values; the views in them live as long as the call that they are given to.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "collector/series.h"

namespace tallymill::collector {

// In the order of remote write's enumeration.
enum class MetricType : std::uint8_t {
  unknown,
  counter,
  gauge,
  histogram,
  gauge_histogram,
  summary,
  info,
  state_set
};

// As the API and OpenMetrics name them: "gaugehistogram".
[[nodiscard]] constexpr std::string_view name_of(MetricType type) {
  constexpr std::string_view names[] = {"unknown",        "counter", "gauge", "histogram",
                                        "gaugehistogram", "summary", "info",  "stateset"};
  return names[static_cast<std::size_t>(type)];
}

// What somebody said about the metric `name`; what is not there was not said. In the text formats a
// line says one of them.
struct Metadata {
  std::string_view name;
  std::optional<MetricType> type = {};
  std::optional<std::string_view> help = {};  // UTF-8, at most limits::metric_help_bytes
  std::optional<std::string_view> unit = {};
};

// One event that a counter or a bucket counted.
struct Exemplar {
  std::span<const Label> labels;  // by name, distinct, with values
  double value = 0;
  std::optional<std::int64_t> t_ms = {};
};

}  // namespace tallymill::collector
