// logs: what `up` kept of its processes' lines, in order of time.
#include <fmt/format.h>
#include <poll.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "apps/cli/command.h"
#include "apps/cli/log_filter.h"
#include "apps/cli/terminal.h"
#include "base/clock.h"
#include "base/kept_log.h"
#include "base/log_line.h"

namespace tallymill::cli {

bool names_job(std::string_view message, std::int64_t job) {
  const auto drop = [&](std::string_view word) {
    const bool there = message.starts_with(word);
    if (there) message.remove_prefix(word.size());
    return there;
  };
  for (std::size_t at = 0; (at = message.find("job")) != std::string_view::npos;) {
    message.remove_prefix(at + 3);
    const bool many = drop("s");
    if (!drop(" ")) continue;
    do {
      std::int64_t number = 0;
      const auto [end, error] =
          std::from_chars(message.data(), message.data() + message.size(), number);
      if (error != std::errc()) break;
      if (number == job) return true;
      message.remove_prefix(static_cast<std::size_t>(end - message.data()));
    } while (many && (drop(", ") || drop(" and ")));
  }
  return false;
}

bool LogFilter::takes(const log::Line& line) const {
  if (line.level < level || line.ts < since) return false;
  if (!process.empty() && line.process != process && line.program != process) return false;
  if (!trace.empty() && line.trace != trace) return false;
  return job == 0 || line.job == std::to_string(job) || names_job(line.message, job);
}

namespace {

namespace fs = std::filesystem;

constexpr int follow_ms = 200;

Colour colour_of(log::Level level) {
  switch (level) {
    case log::Level::error:
      return Colour::red;
    case log::Level::warn:
      return Colour::yellow;
    case log::Level::info:
      return Colour::plain;
    default:
      return Colour::dim;
  }
}

// With the day: what was kept may be of last week.
std::string for_a_person(const log::Line& line) {
  return fmt::format(
      "{}.{} {} {}: {}", human_time(to_ns(log::time_of(line.ts))), line.ts.substr(20, 3),
      coloured(fmt::format("{:<7}", log::name_of(line.level)), colour_of(line.level)),
      printable(line.process.empty() ? line.program : line.process),
      log::body(log::Format::console, line.message, {line.job, line.trace}));
}

std::string shown(const log::Line& line, log::Format format) {
  switch (format) {
    case log::Format::console:
      return for_a_person(line);
    case log::Format::logfmt:
      return log::as_logfmt(line);
    case log::Format::json:
      return log::as_json(line);
  }
  std::unreachable();
}

class Printer {
 public:
  Printer(const fs::path& folder, LogFilter filter, log::Format format)
      : reader_(folder), filter_(std::move(filter)), format_(format) {}

  // What is new, in order of time: processes' lines came to the file in the order they were read.
  void print_new() {
    reader_.read([this](std::string_view text) { take(text); });
    for (const auto& [ts, line] : found_) print(line + "\n");
    printed_ += found_.size();
    found_.clear();
  }
  // The end of the last one is not awaited any more.
  void finish() { unread_ += reader_.is_inside_a_line() ? 1 : 0; }
  void tell_unread() {
    if (unread_ > 0)
      fmt::print(stderr, "  {} line{} could not be read\n", unread_, unread_ == 1 ? "" : "s");
    unread_ = 0;
  }
  [[nodiscard]] std::size_t printed() const { return printed_; }

 private:
  void take(std::string_view text) {
    const auto line = log::parse_line(text);
    if (!line)
      ++unread_;
    else if (filter_.takes(*line))
      found_.emplace(line->ts, shown(*line, format_));
  }

  log::KeptLogReader reader_;
  LogFilter filter_;
  log::Format format_;
  std::multimap<std::string, std::string> found_;  // by time; of one time in the files' order
  std::size_t printed_ = 0;
  std::size_t unread_ = 0;
};

LogFilter filter_of(const LogsArgs& args) {
  LogFilter filter{.job = args.job,
                   .trace = args.trace,
                   .process = args.process,
                   .level = log::level_named(args.level).value(),
                   .since = {}};
  if (args.since_s > 0)
    filter.since =
        log::time_stamp(SystemClock().wall() - std::chrono::duration_cast<Duration>(
                                                   std::chrono::duration<double>(args.since_s)));
  return filter;
}

int tell_none(const LogsArgs& args, const fs::path& folder) {
  const auto none = [&](std::string message) {
    return tell(args.common, {Errc::not_found, std::move(message), "", {}});
  };
  if (args.job != 0)
    return none(
        fmt::format("no line about job {} in {}: one that goes well says nothing above debug",
                    args.job, folder.string()));
  if (!args.trace.empty())
    return none(fmt::format("no line of trace {} in {}", args.trace, folder.string()));
  fmt::print(stderr, "no lines match\n");
  return exit_ok;
}

}  // namespace

int logs(const LogsArgs& args) {
  const fs::path folder = fs::path(data_folder(args.folder)) / "logs";
  const log::Format format =
      args.common.json ? log::Format::json : log::format_named(args.format).value();
  std::error_code failed;
  (void)fs::directory_iterator(folder, failed);
  if (failed == std::errc::no_such_file_or_directory && !args.follow)
    return tell(args.common,
                {Errc::not_found,
                 fmt::format("no lines were kept in {}: `tallymill up` does", folder.string()),
                 "",
                 {}});
  if (failed && failed != std::errc::no_such_file_or_directory)
    return tell(
        args.common,
        {Errc::disk, fmt::format("cannot read {}: {}", folder.string(), failed.message()), "", {}});
  Printer printer(folder, filter_of(args), format);
  printer.print_new();
  while (args.follow && std::fflush(stdout) == 0) {
    printer.tell_unread();
    ::poll(nullptr, 0, follow_ms);
    printer.print_new();
  }
  printer.finish();
  printer.tell_unread();
  return printer.printed() > 0 || args.follow ? exit_ok : tell_none(args, folder);
}

}  // namespace tallymill::cli
