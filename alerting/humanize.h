// Humanize: numbers for people: 1.235k, 1.206Ki, 1d 2h 3m 4s, 12.3%, 2015-06-23 13:19:44 +0000 UTC.
//
// Threads: pure functions.
// Source: Prometheus 2.42, template functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace tallymill::alerting::templates {

[[nodiscard]] std::string humanize(double value);
[[nodiscard]] std::string humanize1024(double value);
[[nodiscard]] std::string humanize_duration(double seconds);
[[nodiscard]] std::string humanize_percentage(double ratio);
[[nodiscard]] Result<std::string> humanize_timestamp(double seconds);

// Milliseconds since 1970. bad_params: NaN, infinite, or over what nanoseconds in 64 bits can say.
[[nodiscard]] Result<std::int64_t> to_time(double seconds);
// Seconds of 1h30m, as Prometheus writes durations. bad_params: it is none.
[[nodiscard]] Result<double> parse_duration(std::string_view text);

}  // namespace tallymill::alerting::templates
