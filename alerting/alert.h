// Alert: one label set of one alerting rule, from its first match to 15 minutes after its end.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <string_view>

#include "collector/series.h"

namespace tallymill::alerting {

enum class AlertState : std::uint8_t { inactive, pending, firing };
// "inactive", "pending", "firing".
[[nodiscard]] std::string_view name_of(AlertState state);

struct Alert {
  AlertState state = AlertState::pending;
  collector::Labels labels;         // its rule's and alertname among them; no metric's name
  collector::Labels annotations;    // as the last match had them
  double value = 0;                 // of the last match
  std::int64_t active_ms = 0;       // the first match in a row
  std::int64_t fired_ms = 0;        // 0: it did not fire yet
  std::int64_t resolved_ms = 0;     // 0: it is not over
  std::int64_t matched_ms = 0;      // the last evaluation that it matched
  std::int64_t last_sent_ms = 0;    // to Alertmanager; 0: never
  std::int64_t valid_until_ms = 0;  // what was said to Alertmanager last
};

}  // namespace tallymill::alerting
