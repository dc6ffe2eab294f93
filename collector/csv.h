// Csv: a query's answer as a table, a line for each sample: its labels, its time, its value.
//
//   __name__,instance,job,timestamp,value
//   up,10.0.0.1:9100,node,2026-01-01T00:00:00.000Z,1
//
// Columns of labels are those that any of the series has, by name. A time is RFC 3339 in UTC; a
// value is written as in the JSON. What a spreadsheet would take for a formula ("=", "+", "-", "@",
// tab and CR in front of a label's value) has an apostrophe before it, so that nobody who sends
// labels makes somebody's spreadsheet calculate.
//
//   invariant: at most limits::answer_bytes
//
// Threads: pure functions.
// Source: RFC 4180; OWASP on CSV injection.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "collector/promql/evaluate.h"

namespace tallymill::collector {

inline constexpr std::string_view csv_type = "text/csv; charset=utf-8; header=present";

// too_big: there would be more.
[[nodiscard]] Result<std::string> csv_of(const promql::Value& value, const promql::Grid& grid);
[[nodiscard]] Result<std::string> csv_of(std::span<const promql::RawSeries> raw);

void append_csv_cell(std::string& to, std::string_view text);
// "2026-01-01T00:00:00.000Z"; what no such year has, as seconds.
void append_rfc3339(std::string& to, std::int64_t t_ms);

}  // namespace tallymill::collector
