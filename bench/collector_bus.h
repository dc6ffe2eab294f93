// Samples over a collector's own bus, as processes push them: bench/collector_load.cc's other half.
//
// Threads: one a sender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tallymill::bench {

// The samples of collector_samples.h from two senders, each with half of the series: frames made
// beforehand, a frame a step, none dropped. Says as a JSON object when it began to send, in seconds
// of the host's monotonic clock. Returns when all are sent, which is before all are stored.
void push_bus(const std::string& endpoint, std::size_t steps, std::int64_t end_ms);

}  // namespace tallymill::bench
