// One event is one line, whatever is in it. Goal: each format carries message, job and trace, and
// no text from outside can forge a second line or a field. Method: stderr captured, hostile text.
#include "base/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/limits.h"

namespace tallymill::log {
namespace {

std::string written(Format format, std::string_view message, const Fields& fields = {}) {
  start("front", Level::info, format);
  testing::internal::CaptureStderr();
  warn(message, fields);
  return testing::internal::GetCapturedStderr();
}

// Of what is no UTF-8: stray bytes, half of a surrogate pair, a '/' in more bytes than it needs.
const std::string hostile = "a\nts=forged \x1b[31m \"quoted\" \\ \xff\xc3 \xed\xa0\x80 \xc0\xaf ü";

TEST(Log, ConsoleIsOneLineForAPersonWithoutColoursOffATerminal) {
  const std::string line = written(Format::console, "disk is slow", {"42", "abc"});
  EXPECT_NE(line.find(" warning front: disk is slow job=42 trace=abc\n"), std::string::npos)
      << line;
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(Log, LogfmtHasItsKeysInOrder) {
  const std::string line = written(Format::logfmt, "disk \"sda\"", {"42", ""});
  EXPECT_TRUE(line.starts_with("ts=2")) << line;
  EXPECT_NE(line.find(" level=warning program=front pid="), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with(" msg=\"disk \\\"sda\\\"\" job=42\n")) << line;
}

TEST(Log, JsonIsAnObjectALine) {
  const auto line = nlohmann::json::parse(written(Format::json, hostile, {"42", "abc"}));
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["program"], "front");
  EXPECT_EQ(line["job"], "42");
  EXPECT_EQ(line["trace"], "abc");
  const auto lost = [](int bytes) {
    std::string marks;
    for (int i = 0; i < bytes; ++i) marks += "\xef\xbf\xbd";
    return marks;
  };
  EXPECT_EQ(line["msg"].get<std::string>(), "a\nts=forged \x1b[31m \"quoted\" \\ " + lost(2) + " " +
                                                lost(3) + " " + lost(2) + " ü");
  EXPECT_FALSE(nlohmann::json::parse(written(Format::json, "x")).contains("job"));
}

TEST(Log, NoTextForgesALineOrDrivesATerminal) {
  for (const Format format : {Format::console, Format::logfmt, Format::json}) {
    const std::string eight_bit =
        "\xc2\x9b"
        "31m\xc2\x80\xc2\x9f\xc2\xa0";
    const std::string text = written(format, hostile + eight_bit, {"4\n2", hostile + eight_bit});
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_NE(text.find("\\u009b31m\\u0080\\u009f\xc2\xa0"), std::string::npos) << text;
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos) << text;
  }
}

TEST(Log, WhatIsBelowTheLevelIsNotWritten) {
  start("front", Level::error, Format::console);
  EXPECT_FALSE(is_on(Level::warn));
  testing::internal::CaptureStderr();
  warn("unheard");
  error("heard");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("unheard"), std::string::npos);
  EXPECT_NE(text.find("heard"), std::string::npos);
}

TEST(Log, NamesAreThoseOfTheConfiguration) {
  EXPECT_EQ(level_named("warn").value(), Level::warn);
  EXPECT_EQ(format_named("json").value(), Format::json);
  EXPECT_EQ(level_named("loud").error().field, "/log/level");
  EXPECT_EQ(format_named("xml").error().code, Errc::bad_params);
}

TEST(Log, WhatIsTooLongIsCutAndTheLineIsStillWhole) {
  const std::size_t most = limits::log_message_bytes;
  const auto message = [](const std::string& text) {
    return nlohmann::json::parse(written(Format::json, text, {std::string(9999, '"'), ""}))["msg"]
        .get<std::string>();
  };
  EXPECT_EQ(message(std::string(most, 'x')).size(), most - 5 + 3) << "room for any character";
  EXPECT_EQ(message(std::string(most - 5, 'x')), std::string(most - 5, 'x'));
  for (const char* worst : {"\x01", "\xff", "\"", "\xf0\x9f\x98\x80"}) {
    std::string text;
    while (text.size() < 99'999) text += worst;
    for (const Format format : {Format::console, Format::logfmt, Format::json})
      EXPECT_LT(written(format, text, {text, text}).size(), limits::child_line_bytes);
  }
}

TEST(Log, ATraceIdIsTheSecondPartOfATraceparent) {
  EXPECT_EQ(trace_id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(trace_id(""), "");
  EXPECT_EQ(trace_id("00-0af7651916cd43dd8448eb211c80319c"), "");
  EXPECT_EQ(trace_id("0000af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), "");
}

TEST(Limited, SaysTheFirstLineAtOnceThenOneAPeriodWithTheNumberOfThoseLeftOut) {
  start("front", Level::info, Format::logfmt);
  Limited limited;
  testing::internal::CaptureStderr();
  for (int ms = 0; ms < 25'000; ms += 100)
    limited.write(Level::warn, "the collector is away", Instant(std::chrono::milliseconds(ms)));
  const std::string text = testing::internal::GetCapturedStderr();
  const auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_EQ(lines, 3) << text;  // at 0, 10 and 20 s
  EXPECT_NE(text.find("away (and 99 such lines before)"), std::string::npos) << text;
  EXPECT_EQ(limited.left_out(), 49U);
}

TEST(Limited, AfterAPauseItSaysTheNextLineAtOnce) {
  Limited limited;
  testing::internal::CaptureStderr();
  limited.write(Level::warn, "full", Instant(std::chrono::seconds(1)));
  limited.write(Level::warn, "full", Instant(std::chrono::seconds(1)) + limits::log_again);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_EQ(text.find("such lines"), std::string::npos) << text;
}

}  // namespace
}  // namespace tallymill::log
