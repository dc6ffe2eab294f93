// Packed labels: as they lie in the outbox, each text behind its length (4 bytes, little-endian).
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "collector/series.h"

namespace tallymill::alerting {

[[nodiscard]] std::string pack_labels(const collector::Labels& labels);
// corrupt: it is none.
[[nodiscard]] Result<collector::Labels> unpack_labels(std::string_view packed);

}  // namespace tallymill::alerting
