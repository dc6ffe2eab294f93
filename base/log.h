// Log: what a process says while it works, one line an event, to stderr.
//
// Three forms of the same line: for a person (console), for grep (logfmt), for a program (json). A
// line about a job carries its id, and its trace's id when the client gave one, as fields, so that
// all lines of a job are found by it over all processes. Data never goes here, only to stdout.
//
// What comes from outside (names, messages of libraries) cannot forge a line: control characters
// are escaped in every form, and what is too long is cut.
//
// Threads: start() before the others are made; the rest from any. Cost: a write to stderr, on the
// calling thread; not for the road of a job that goes well.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace tallymill::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error, off };
enum class Format : std::uint8_t { console, logfmt, json };

// As the configuration spells them (log.level, log.format); bad_params for another word.
[[nodiscard]] Result<Level> level_named(std::string_view name);
[[nodiscard]] Result<Format> format_named(std::string_view name);

// Until this is called: info, console, "tallymill". Colours only on a terminal without NO_COLOR.
void start(std::string_view program, Level level, Format format);

struct Fields {
  std::string_view job = {};
  std::string_view trace = {};  // W3C trace id
};

// The trace id of a W3C traceparent, "00-TRACE-PARENT-FLAGS"; empty: it is none.
[[nodiscard]] std::string_view trace_id(std::string_view traceparent);

[[nodiscard]] bool is_on(Level level);  // to spare the making of a message
void write(Level level, std::string_view message, const Fields& fields = {});

inline void debug(std::string_view message, const Fields& fields = {}) {
  write(Level::debug, message, fields);
}
inline void info(std::string_view message, const Fields& fields = {}) {
  write(Level::info, message, fields);
}
inline void warn(std::string_view message, const Fields& fields = {}) {
  write(Level::warn, message, fields);
}
inline void error(std::string_view message, const Fields& fields = {}) {
  write(Level::error, message, fields);
}

// What is said again and again while something is away or full: the first time at once, then at
// most once in limits::log_again, with the number of lines that were left out in between.
//
// Threads: one.
class Limited {
 public:
  void write(Level level, std::string_view message, Instant now, const Fields& fields = {});
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }  // since the last line

 private:
  Instant said_{};
  bool any_ = false;
  std::uint64_t left_out_ = 0;
};

}  // namespace tallymill::log
