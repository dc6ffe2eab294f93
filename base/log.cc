#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/utf8.h"

namespace tallymill::log {
namespace {

constexpr std::array<std::pair<std::string_view, Level>, 6> levels{{{"trace", Level::trace},
                                                                    {"debug", Level::debug},
                                                                    {"info", Level::info},
                                                                    {"warn", Level::warn},
                                                                    {"error", Level::error},
                                                                    {"off", Level::off}}};
constexpr std::array<std::pair<std::string_view, Format>, 3> formats{
    {{"console", Format::console}, {"logfmt", Format::logfmt}, {"json", Format::json}}};

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warn:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  std::unreachable();
}

// U+0080 to U+009F, of which U+009B does what ESC [ does.
// REQUIRES: a whole character stands in front.
bool is_c1(std::string_view text) {
  return text.front() == '\xc2' && static_cast<unsigned char>(text[1]) < 0xa0;
}

// With \n, \u001b and the like for what would end a line or drive a terminal, and U+FFFD for what
// is no text; `quoted` also for what would end a JSON string. Ends in "..." where it would be
// longer than `most`.
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

// A value as it may stand after "=": a space or a quote in it would begin another field.
std::string field_value(std::string_view value) {
  const bool plain = value.find_first_of(" =\"\\") == std::string_view::npos;
  const std::size_t most = limits::log_field_bytes;
  return plain ? clean(value, false, most) : "\"" + clean(value, true, most) + "\"";
}

// The part of a line that differs from event to event; the pattern holds the rest.
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

std::string pattern(Format format, std::string_view program) {
  switch (format) {
    case Format::console:
      return fmt::format("%H:%M:%S.%e %^%-5l%$ {}: %v", program);
    case Format::logfmt:
      return fmt::format("ts=%Y-%m-%dT%H:%M:%S.%fZ level=%l program={} pid=%P %v", program);
    case Format::json:
      return fmt::format(
          "{{\"ts\":\"%Y-%m-%dT%H:%M:%S.%fZ\",\"level\":\"%l\",\"program\":\"{}\",\"pid\":%P,%v}}",
          program);
  }
  std::unreachable();
}

struct Log {
  Format format = Format::console;
  std::unique_ptr<spdlog::logger> out;

  Log(std::string_view program, Level level, Format chosen) : format(chosen) {
    const char* no_color = std::getenv("NO_COLOR");
    const bool plain = no_color != nullptr && *no_color != '\0';
    auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(
        plain ? spdlog::color_mode::never : spdlog::color_mode::automatic);
    out = std::make_unique<spdlog::logger>(std::string(program), std::move(sink));
    out->set_level(spdlog_level(level));
    out->set_pattern(pattern(format, program), format == Format::console
                                                   ? spdlog::pattern_time_type::local
                                                   : spdlog::pattern_time_type::utc);
  }
};

Log& current() {
  static Log log("tallymill", Level::info, Format::console);
  return log;
}

}  // namespace

Result<Level> level_named(std::string_view name) {
  for (const auto& [known, level] : levels) {
    if (known == name) return level;
  }
  return fail(Errc::bad_params, fmt::format("'{}' is no log level", name), "/log/level");
}

Result<Format> format_named(std::string_view name) {
  for (const auto& [known, format] : formats) {
    if (known == name) return format;
  }
  return fail(Errc::bad_params, fmt::format("'{}' is no log format", name), "/log/format");
}

void start(std::string_view program, Level level, Format format) {
  current() = Log(program, level, format);
}

bool is_line(std::string_view line) {
  switch (current().format) {
    case Format::console:
      return true;
    case Format::logfmt:
      return line.starts_with("ts=");
    case Format::json:
      return line.starts_with("{\"ts\":") && line.ends_with('}');
  }
  std::unreachable();
}

bool is_on(Level level) {
  return level != Level::off && current().out->should_log(spdlog_level(level));
}

void write(Level level, std::string_view message, const Fields& fields) {
  if (!is_on(level)) return;
  const std::string line = body(current().format, message, fields);
  current().out->log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

std::string_view trace_id(std::string_view traceparent) {
  constexpr std::size_t begin = 3;
  constexpr std::size_t length = 32;
  const bool whole = traceparent.size() > begin + length && traceparent[begin - 1] == '-' &&
                     traceparent[begin + length] == '-';
  return whole ? traceparent.substr(begin, length) : std::string_view{};
}

void Limited::write(Level level, std::string_view message, Instant now, const Fields& fields) {
  if (any_ && now - said_ < limits::log_again) {
    ++left_out_;
    return;
  }
  any_ = true;
  said_ = now;
  const std::uint64_t more = std::exchange(left_out_, 0);
  if (more == 0) return log::write(level, message, fields);
  log::write(level, fmt::format("{} (and {} such lines before)", message, more), fields);
}

}  // namespace tallymill::log
