// Live ask: what a client of the live feed says (collector/live.h).
//
//   {"subscribe": [{"topic": "cpu", "query": "rate(process_cpu_seconds_total[1m])"}]}
//   {"unsubscribe": ["cpu"]}
//   {"alerts": true}
//
// One or more of them; what is unsubscribed goes first. Unknown members are ignored, so that a
// newer page can speak with an older collector.
//
// Threads: a pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tallymill::collector {

struct LiveAsk {
  struct Topic {
    std::string name;
    std::string query;
  };
  std::vector<Topic> subscribe;
  std::vector<std::string> unsubscribe;
  std::optional<bool> alerts = {};  // whether it is told what becomes of alerts
};

// bad_frame: it is none of these. The texts may be of any length up to the message's.
[[nodiscard]] Result<LiveAsk> parse_live_ask(std::string_view untrusted);

}  // namespace tallymill::collector
