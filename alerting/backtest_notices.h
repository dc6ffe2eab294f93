// How often a backtest's firings would have been told: by each sink of a file, as its grouping has
// it (grouping.h), were each message taken at once and nothing silenced or inhibited.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alerting/backtest.h"
#include "alerting/grouping.h"
#include "alerting/sink_config.h"

namespace tallymill::alerting {

struct SinkCount {
  std::string sink;
  std::uint64_t messages = 0;   // that say what is new
  std::uint64_t reminders = 0;  // of what still fires
};

// One message sequence of a route, from the first firing to the backtest's end.
[[nodiscard]] SinkCount count_messages(const Backtest& result, const std::string& sink,
                                       const Route& route);
// Of each sink that groups by itself (Alertmanager's own grouping is not known), and of those that
// publish each transition. Without a file: each firing and each end, and a reminder every 4 h, as
// Alertmanager has it.
[[nodiscard]] std::vector<SinkCount> count_messages(const Backtest& result,
                                                    const SinksConfig* sinks);

}  // namespace tallymill::alerting
