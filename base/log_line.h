// LogLine: one line of a process's log as data: what a program reads back of what base/log.h wrote.
//
// `up` has its children speak JSON, keeps each line and shows it in the format that was asked for;
// `tallymill logs` reads what was kept. What either prints was cleaned here: a line that was forged
// or damaged where it lay cannot drive a terminal or make a second line.
//
//   invariant: as_json() of what parse_line() took is one line that parse_line() takes
//
// Threads: plain functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"

namespace tallymill::log {

struct Line {
  std::string ts;  // UTC, "2026-11-21T07:15:02.123456Z": as text in order of time
  Level level = Level::info;
  std::string process;  // its name in its tree, "compute-1"; empty: it did not stand in the line
  std::string program;  // "compute"
  std::int64_t pid = 0;
  std::string message;
  std::string job;    // empty: about none
  std::string trace;  // empty: none
};

// None: it is no whole JSON line of a log.
[[nodiscard]] std::optional<Line> parse_line(std::string_view untrusted);

[[nodiscard]] std::string time_stamp(WallTime at);    // as Line::ts
[[nodiscard]] std::string_view name_of(Level level);  // as lines have it: "warning"
// REQUIRES: a `ts` of parse_line() or time_stamp().
[[nodiscard]] WallTime time_of(std::string_view ts);

// Said now, by a process that is known in its tree by the name of its program.
[[nodiscard]] Line line_of(std::string_view program, Level level, std::string message);

[[nodiscard]] std::string as_json(const Line& line);
[[nodiscard]] std::string as_logfmt(const Line& line);
// As the process itself would write it: local time, no day.
[[nodiscard]] std::string as_console(const Line& line);

// With \n, \u001b and the like for what would end a line or drive a terminal, and U+FFFD for what
// is no text; `quoted` also for what would end a JSON string. Ends in "..." where it would be
// longer than `most`.
[[nodiscard]] std::string clean(std::string_view text, bool quoted, std::size_t most);

// What differs from event to event: message, job and trace.
[[nodiscard]] std::string body(Format format, std::string_view message, const Fields& fields);

}  // namespace tallymill::log
