// For state: since when alerts were active, as their series say it: for who has no other memory.
//
// Threads: a function.
// Source: Prometheus 2.42, which restores `for` from these series.
#pragma once

#include <cstdint>
#include <vector>

#include "alerting/rule_file.h"
#include "base/result.h"
#include "collector/query.h"

namespace tallymill::alerting {

struct ForState {
  collector::Labels labels;    // of the alert
  std::int64_t active_ms = 0;  // a whole second
  std::int64_t last_ms = 0;    // when that was said last
};

// The last sample of each series of ALERTS_FOR_STATE that may be this rule's: it has its name and
// those of its labels that are no templates; at most limits::rule_rows. One that ended is none.
// corrupt: they cannot be read.
[[nodiscard]] Result<std::vector<ForState>> read_for_states(const collector::Source& source,
                                                            const Rule& rule, std::int64_t from_ms,
                                                            std::int64_t to_ms);

}  // namespace tallymill::alerting
