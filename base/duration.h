// Durations as people write them: 1h30m, 15s, 250ms; the units of Prometheus, the largest first.
//
// Threads: pure functions.
// Source: Prometheus 2.42, model.ParseDuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill {

// In milliseconds. bad_params: no duration, units out of order, more than 292 years.
[[nodiscard]] Result<std::int64_t> duration_ms(std::string_view text);
// Written as briefly as it goes: "1h30m", "0s".
[[nodiscard]] std::string duration_text(std::int64_t ms);
// Bytes of the unit with which the text begins; 0: with none.
[[nodiscard]] std::size_t duration_unit_bytes(std::string_view text);

}  // namespace tallymill
