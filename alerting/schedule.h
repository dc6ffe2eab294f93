// Schedule: at which moments a group is evaluated.
//
// Every interval, at an offset of its own that its name gives it: so that groups of one interval
// are spread over it, and a group is evaluated at the same moments after a restart.
//
// Threads: pure functions.
// Source: Prometheus 2.42, EvalTimestamp of a group; the hash is our own.
#pragma once

#include <cstdint>
#include <string_view>

namespace tallymill::alerting {

// Of a group, from 0 to below the interval.
[[nodiscard]] std::int64_t offset_of(std::string_view file, std::string_view group,
                                     std::int64_t interval_ms);
// The first moment at or after `now_ms`.
[[nodiscard]] std::int64_t moment_from(std::int64_t now_ms, std::int64_t interval_ms,
                                       std::int64_t offset_ms);

// What follows an evaluation of `at_ms` that was over at `now_ms`: the next moment that is not
// past, and how many were missed before it.
struct Next {
  std::int64_t at_ms;
  std::int64_t missed;
};
[[nodiscard]] Next after(std::int64_t at_ms, std::int64_t now_ms, std::int64_t interval_ms);

}  // namespace tallymill::alerting
