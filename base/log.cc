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
#include "base/log_line.h"

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
