// Telemetry of a program: started if its settings name a collector.
//
// Threads: as bus::Telemetry.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "bus/telemetry.h"

namespace tallymill::apps {

// Null: they name none. Errors as bus::Telemetry::start.
[[nodiscard]] inline Result<std::unique_ptr<bus::Telemetry>> start_telemetry(
    zmq::context_t& context, const Config& config, std::string job,
    std::vector<std::function<metrics::Snapshot()>> sources) {
  if (config.telemetry.endpoint.empty()) return nullptr;
  return bus::Telemetry::start(context, {.endpoint = config.telemetry.endpoint,
                                         .job = std::move(job),
                                         .instance = config.telemetry.instance,
                                         .sources = std::move(sources),
                                         .insecure = config.front.insecure});
}

}  // namespace tallymill::apps
