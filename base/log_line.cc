#include "base/log_line.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "base/utf8.h"

namespace tallymill::log {
namespace {

using nlohmann::json;

constexpr std::string_view stamp_shape = "dddd-dd-ddTdd:dd:dd.ddddddZ";

int number_at(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  std::from_chars(text.data() + at, text.data() + at + digits, value);
  return value;
}

// Also that it is a time which WallTime can tell, which ends in the year 2262.
bool is_stamp(std::string_view text) {
  struct Part {
    std::size_t at, digits;
    int least, most;
  };
  constexpr std::array<Part, 6> parts{{{0, 4, 1970, 2261},
                                       {5, 2, 1, 12},
                                       {8, 2, 1, 31},
                                       {11, 2, 0, 23},
                                       {14, 2, 0, 59},
                                       {17, 2, 0, 60}}};
  const bool shaped = std::ranges::equal(text, stamp_shape, [](char c, char shape) {
    return shape == 'd' ? c >= '0' && c <= '9' : c == shape;
  });
  return shaped && std::ranges::all_of(parts, [&](const Part& part) {
           const int value = number_at(text, part.at, part.digits);
           return value >= part.least && value <= part.most;
         });
}

// U+0080 to U+009F, of which U+009B does what ESC [ does.
// REQUIRES: a whole character stands in front.
bool is_c1(std::string_view text) {
  return text.front() == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0;
}

// A value as it may stand after "=": a space or a quote in it would begin another field.
std::string field_value(std::string_view value) {
  const bool plain = value.find_first_of(" =\"\\") == std::string_view::npos;
  const std::size_t most = limits::log_field_bytes;
  return plain ? clean(value, false, most) : "\"" + clean(value, true, most) + "\"";
}

// The member as text; none: it is missing or something else.
std::optional<std::string> text_of(const json& line, const char* name) {
  const auto found = line.find(name);
  if (found == line.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

// "warning" as well as "warn".
std::optional<Level> level_of(std::string_view name) {
  if (name == name_of(Level::warn)) return Level::warn;
  const auto level = level_named(name);
  if (!level || *level == Level::off) return std::nullopt;
  return *level;
}

}  // namespace

std::optional<Line> parse_line(std::string_view untrusted) {
  if (untrusted.size() > 2 * limits::child_line_bytes || !untrusted.starts_with('{')) return {};
  const json read = json::parse(untrusted, nullptr, false);
  if (!read.is_object()) return {};
  const auto ts = text_of(read, "ts");
  const auto level = level_of(text_of(read, "level").value_or(""));
  auto program = text_of(read, "program");
  auto message = text_of(read, "msg");
  const auto pid = read.find("pid");
  if (!ts || !is_stamp(*ts) || !level || !program || !message || pid == read.end() ||
      !pid->is_number_integer())
    return {};
  return Line{.ts = *ts,
              .level = *level,
              .process = text_of(read, "process").value_or(""),
              .program = std::move(*program),
              .pid = pid->get<std::int64_t>(),
              .message = std::move(*message),
              .job = text_of(read, "job").value_or(""),
              .trace = text_of(read, "trace").value_or("")};
}

std::string time_stamp(WallTime at) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(at);
  const auto whole = std::chrono::floor<std::chrono::seconds>(micros);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                     (micros - whole).count());
}

WallTime time_of(std::string_view ts) {
  std::tm at{};
  at.tm_year = number_at(ts, 0, 4) - 1900;
  at.tm_mon = number_at(ts, 5, 2) - 1;
  at.tm_mday = number_at(ts, 8, 2);
  at.tm_hour = number_at(ts, 11, 2);
  at.tm_min = number_at(ts, 14, 2);
  at.tm_sec = number_at(ts, 17, 2);
  const std::chrono::sys_seconds seconds{std::chrono::seconds(::timegm(&at))};
  return WallTime(std::chrono::time_point_cast<Duration>(seconds)) +
         std::chrono::microseconds(number_at(ts, 20, 6));
}

std::string_view name_of(Level level) {
  constexpr std::array<std::string_view, 6> names{"trace",   "debug", "info",
                                                  "warning", "error", "off"};
  return names[static_cast<std::size_t>(level)];
}

Line line_of(std::string_view program, Level level, std::string message) {
  return {.ts = time_stamp(SystemClock().wall()),
          .level = level,
          .process = std::string(program),
          .program = std::string(program),
          .pid = ::getpid(),
          .message = std::move(message),
          .job = {},
          .trace = {}};
}

std::string as_json(const Line& line) {
  const std::string process =
      line.process.empty()
          ? ""
          : fmt::format(R"("process":"{}",)", clean(line.process, true, limits::log_field_bytes));
  return fmt::format(R"({{"ts":"{}","level":"{}",{}"program":"{}","pid":{},{}}})", line.ts,
                     name_of(line.level), process,
                     clean(line.program, true, limits::log_field_bytes), line.pid,
                     body(Format::json, line.message, {line.job, line.trace}));
}

std::string as_logfmt(const Line& line) {
  const std::string process =
      line.process.empty() ? "" : fmt::format("process={} ", field_value(line.process));
  return fmt::format("ts={} level={} {}program={} pid={} {}", line.ts, name_of(line.level), process,
                     field_value(line.program), line.pid,
                     body(Format::logfmt, line.message, {line.job, line.trace}));
}

std::string as_console(const Line& line) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time_of(line.ts));
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:%H:%M:%S}.{} {:<5} {}: {}", local, line.ts.substr(20, 3),
                     name_of(line.level), clean(line.program, false, limits::log_field_bytes),
                     body(Format::console, line.message, {line.job, line.trace}));
}

std::string clean(std::string_view text, bool quoted, std::size_t most) {
  constexpr std::size_t one = 6;  // bytes that one character becomes, at most
  std::string out;
  out.reserve(std::min(text.size(), most));
  while (!text.empty()) {
    if (out.size() + one > most) return out + "...";
    const std::size_t length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text.front());
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", c);
    } else if (is_c1(text)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[1]));
    } else {
      if (quoted && (c == '"' || c == '\\')) out += '\\';
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string body(Format format, std::string_view message, const Fields& fields) {
  const bool json = format == Format::json;
  const std::string text = clean(message, format != Format::console, limits::log_message_bytes);
  std::string out = format == Format::console ? text
                    : json                    ? fmt::format("\"msg\":\"{}\"", text)
                                              : fmt::format("msg=\"{}\"", text);
  for (const auto& [name, value] :
       {std::pair<std::string_view, std::string_view>{"job", fields.job},
        {"trace", fields.trace}}) {
    if (value.empty()) continue;
    out += json ? fmt::format(",\"{}\":\"{}\"", name, clean(value, true, limits::log_field_bytes))
                : fmt::format(" {}={}", name, field_value(value));
  }
  return out;
}

}  // namespace tallymill::log
