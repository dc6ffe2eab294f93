// What is told of ends and of kept waterfalls, as JSON: the rows of docs/protocol.md.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "front/ledger.h"

namespace tallymill::front {

[[nodiscard]] nlohmann::json end_json(const EndsPage::Of& of);

// A page of those behind `after`, of at most limits::waterfalls_page_bytes as it is sent, without
// the ledger's id. Cost: some 20 microseconds each, too much for a loop.
[[nodiscard]] nlohmann::json waterfalls_json(const WaterfallsPage& page, std::int64_t after);

}  // namespace tallymill::front
