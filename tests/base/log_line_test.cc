// A line read back is the line that was said. Goal: no field is lost between a process, what `up`
// keeps and what is shown, and no text of a line forges another, however often it is passed on.
// Method: lines of the logger itself, captured; texts that would break each form; damaged lines.
#include "base/log_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "base/limits.h"

namespace tallymill::log {
namespace {

std::string written(Format format, std::string_view message, const Fields& fields = {}) {
  start("compute", Level::debug, format);
  testing::internal::CaptureStderr();
  warn(message, fields);
  std::string text = testing::internal::GetCapturedStderr();
  text.pop_back();
  return text;
}

const std::string hostile =
    "a\nts=forged \x1b[31m \"q\" \\ \xff \xc2\x9b 1m \x7f\xe2\x80\xa8 {\"ts\":1} ü";

TEST(LogLine, WhatTheLoggerWroteIsReadBackWithEveryField) {
  const auto line = parse_line(written(Format::json, "disk is slow", {"42", "abc"}));
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->level, Level::warn);
  EXPECT_EQ(line->program, "compute");
  EXPECT_EQ(line->pid, ::getpid());
  EXPECT_EQ(line->message, "disk is slow");
  EXPECT_EQ(line->job, "42");
  EXPECT_EQ(line->trace, "abc");
  EXPECT_EQ(line->process, "");
}

TEST(LogLine, EachFormIsThatOfTheLoggerItself) {
  for (const std::string& text : {std::string("disk is slow"), hostile}) {
    const Fields fields{"42", "a b\n=\"c"};
    auto line = parse_line(written(Format::json, text, fields)).value();
    const auto without_time = [](const std::string& shown, std::size_t time) {
      return shown.substr(time);
    };
    EXPECT_EQ(without_time(as_json(line), 36),
              without_time(written(Format::json, text, fields), 36));
    EXPECT_EQ(without_time(as_logfmt(line), 30),
              without_time(written(Format::logfmt, text, fields), 30));
    EXPECT_EQ(without_time(as_console(line), 12),
              without_time(written(Format::console, text, fields), 12));
  }
}

TEST(LogLine, PassedOnItStaysTheSameLine) {
  auto line = parse_line(written(Format::json, hostile, {"4\n2", hostile})).value();
  line.process = "compute-1\n\x1b\"";
  const std::string once = as_json(line);
  const std::string twice = as_json(parse_line(once).value());
  EXPECT_EQ(once, twice);
  EXPECT_EQ(nlohmann::json::parse(once)["process"], line.process);
}

TEST(LogLine, NoFormOfAHostileLineForgesALineOrDrivesATerminal) {
  Line line = line_of(hostile, Level::error, hostile);
  line.job = line.trace = hostile;
  for (const std::string& text : {as_json(line), as_logfmt(line), as_console(line)}) {
    EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c >= 0x20 || c < 0; })) << text;
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos) << text;
    EXPECT_EQ(text.find('\x7f'), std::string::npos) << text;
  }
  EXPECT_TRUE(nlohmann::json::accept(as_json(line)));
}

TEST(LogLine, TheLongestLineFitsWhatTheSupervisorTakes) {
  Line line = line_of("compute", Level::warn, std::string(100'000, '\x01'));
  line.job = line.trace = line.process = std::string(100'000, '"');
  line.pid = -2'147'483'647;
  EXPECT_LT(as_json(line).size(), limits::child_line_bytes);
  EXPECT_TRUE(parse_line(as_json(line)).has_value());
}

TEST(LogLine, WhatIsDamagedOrNoLineIsNone) {
  const std::string whole = as_json(line_of("front", Level::info, "x"));
  ASSERT_TRUE(parse_line(whole).has_value());
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(parse_line(std::string_view(whole).substr(0, length)).has_value()) << length;
  for (const char* text :
       {"", "terminate called after throwing", "{}", "[]", "{\"ts\":1}", "null",
        R"({"ts":"2026-11-21 07:15:02.123456Z","level":"info","program":"a","pid":1,"msg":"x"})",
        R"({"ts":"2026-11-21T07:15:02.12345Z","level":"info","program":"a","pid":1,"msg":"x"})",
        R"({"ts":"2026-11-21T07:15:02.123456Z","level":"off","program":"a","pid":1,"msg":"x"})",
        R"({"ts":"2026-11-21T07:15:02.123456Z","level":7,"program":"a","pid":1,"msg":"x"})",
        R"({"ts":"2026-11-21T07:15:02.123456Z","level":"info","program":"a","pid":"1","msg":"x"})",
        R"({"ts":"2026-11-21T07:15:02.123456Z","level":"info","program":"a","pid":1})"})
    EXPECT_FALSE(parse_line(text).has_value()) << text;
  EXPECT_FALSE(parse_line(std::string(1 << 20, '[')).has_value());
}

TEST(LogLine, ATimeIsOneThatTheClockCanTell) {
  const auto at = [](const char* ts) {
    return parse_line(std::string(R"({"ts":")") + ts +
                      R"(","level":"info","program":"a","pid":1,"msg":"x"})");
  };
  for (const char* ts : {"1970-01-01T00:00:00.000000Z", "2261-12-31T23:59:60.999999Z"}) {
    ASSERT_TRUE(at(ts).has_value()) << ts;
    EXPECT_NE(as_console(*at(ts)), "");
  }
  for (const char* ts :
       {"1969-12-31T23:59:59.999999Z", "2262-01-01T00:00:00.000000Z", "2026-13-01T00:00:00.000000Z",
        "2026-00-01T00:00:00.000000Z", "2026-01-32T00:00:00.000000Z", "2026-01-01T24:00:00.000000Z",
        "2026-01-01T00:60:00.000000Z", "2026-01-01T00:00:61.000000Z"})
    EXPECT_FALSE(at(ts).has_value()) << ts;
}

TEST(LogLine, AJobThatIsNoTextIsNone) {
  const auto line = parse_line(
      R"({"ts":"2026-11-21T07:15:02.123456Z","level":"warn","program":"a","pid":1,"msg":"x","job":7})");
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->job, "");
  EXPECT_EQ(line->level, Level::warn) << "as the configuration spells it";
}

TEST(LogLine, AStampIsItsTimeToTheMicrosecondInUtc) {
  const WallTime at = wall_from_ns(1'795'851'134'000'007'999);
  EXPECT_EQ(time_stamp(at), "2026-11-28T07:32:14.000007Z");
  EXPECT_EQ(to_ns(time_of(time_stamp(at))), 1'795'851'134'000'007'000);
}

}  // namespace
}  // namespace tallymill::log
