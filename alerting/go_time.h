// GoTime: moments as Go's time prints them, always in UTC.
//
// Threads: pure functions.
// Source: Go's time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tallymill::alerting::templates {

// A moment's parts.
struct GoTime {
  explicit GoTime(std::int64_t ms);
  std::int64_t year, month, day;  // month and day from 1
  std::int64_t hour, minute, second, millisecond;
  std::int64_t weekday;   // 0: Sunday
  std::int64_t year_day;  // from 1
};

[[nodiscard]] std::string_view month_name(std::int64_t month);
[[nodiscard]] std::string_view weekday_name(std::int64_t weekday);
// 2006-01-02 15:04:05.999 +0000 UTC
[[nodiscard]] std::string time_text(std::int64_t ms);
// As time.Time.Format: the layout is how it would show 2006-01-02 15:04:05 -0700 (MST), a Monday.
[[nodiscard]] std::string time_text(std::int64_t ms, std::string_view layout);

}  // namespace tallymill::alerting::templates
