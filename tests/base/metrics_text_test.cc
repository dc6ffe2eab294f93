// Both texts of metrics are what their formats say. Goal: a strict reader finds every value that
// was counted, under its name and labels, in the text format 0.0.4 and in OpenMetrics 1.0.0.
// Method: a parser of its own that refuses what the formats refuse, over a registry with every
// type, unit and character that must be escaped.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/metrics.h"

namespace tallymill::metrics {
namespace {

using namespace std::chrono_literals;

struct Read {
  struct Family {
    std::string type;
    std::string help;
    std::string unit;
    std::map<std::string, double> samples;  // by `name{a="b"}`, labels unescaped
  };
  std::map<std::string, Family> families;
};

[[noreturn]] void refuse(const std::string& why, const std::string& line) {
  throw std::runtime_error(why + ": " + line);
}

// Up to the quote that ends it.
std::string unescaped(std::string_view& rest, const std::string& line) {
  std::string value;
  while (!rest.empty() && rest.front() != '"') {
    char c = rest.front();
    rest.remove_prefix(1);
    if (c == '\\') {
      if (rest.empty() || std::string_view("n\\\"").find(rest.front()) == std::string_view::npos)
        refuse("a bad escape", line);
      c = rest.front() == 'n' ? '\n' : rest.front();
      rest.remove_prefix(1);
    }
    value += c;
  }
  if (rest.empty()) refuse("a quote is missing", line);
  rest.remove_prefix(1);
  return value;
}

// Name and labels of a sample; `rest` goes on with its value.
std::string series_of(std::string_view& rest, std::string& name, const std::string& line) {
  const std::size_t end = rest.find_first_of("{ ");
  if (end == std::string_view::npos || end == 0) refuse("no name", line);
  name = std::string(rest.substr(0, end));
  rest.remove_prefix(end);
  std::string series = name;
  if (rest.front() == '{') {
    std::set<std::string> seen;
    do {
      rest.remove_prefix(1);
      const std::size_t equals = rest.find("=\"");
      if (equals == std::string_view::npos) refuse("a label without a value", line);
      const std::string key(rest.substr(0, equals));
      rest.remove_prefix(equals + 2);
      if (!seen.insert(key).second) refuse("a label twice", line);
      series += "," + key + "=" + unescaped(rest, line);
      if (rest.empty()) refuse("labels without an end", line);
    } while (rest.front() == ',');
    if (rest.front() != '}') refuse("labels without an end", line);
    rest.remove_prefix(1);
  }
  if (rest.empty() || rest.front() != ' ') refuse("no value", line);
  rest.remove_prefix(1);
  return series;
}

bool may_follow(const std::string& name, const std::string& family, const std::string& type,
                bool open) {
  if (type == "counter" && open) return name == family + "_total";
  if (type == "histogram")
    return name == family + "_bucket" || name == family + "_sum" || name == family + "_count";
  return name == family;
}

Read read(const std::string& text, bool open) {
  if (text.empty() || text.back() != '\n') refuse("the last line has no end", text);
  Read out;
  std::string at;  // the family that is being told
  bool ended = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (ended) refuse("something behind the end", line);
    if (line == "# EOF" && open) {
      ended = true;
      continue;
    }
    if (line.starts_with("# ")) {
      std::istringstream words(line.substr(2));
      std::string what, name, rest;
      words >> what >> name;
      std::getline(words >> std::ws, rest);
      if (what != "TYPE" && what != "HELP" && !(what == "UNIT" && open)) refuse("a comment", line);
      if (name != at) {
        if (out.families.contains(name)) refuse("a family twice", line);
        at = name;
      }
      Read::Family& family = out.families[name];
      if (!family.samples.empty()) refuse("said behind a sample", line);
      std::string& field = what == "TYPE"   ? family.type
                           : what == "UNIT" ? family.unit
                                            : family.help;
      if (!field.empty()) refuse("said twice", line);
      field = rest;
      if (open && what == "HELP") {
        const std::string quoted = rest + "\"";
        std::string_view whole = quoted;
        field = unescaped(whole, line);
        if (!whole.empty()) refuse("a quote that is not escaped", line);
      }
      if (what == "UNIT" && !name.ends_with("_" + rest)) refuse("the name has another unit", line);
      continue;
    }
    std::string_view rest = line;
    std::string name;
    const std::string series = series_of(rest, name, line);
    if (at.empty() || out.families[at].type.empty()) refuse("a sample without a type", line);
    Read::Family& family = out.families[at];
    if (!may_follow(name, at, family.type, open)) refuse("a sample of no family", line);
    std::size_t used = 0;
    const double value = std::stod(std::string(rest), &used);
    if (used != rest.size()) refuse("no number", line);
    if (!family.samples.emplace(series, value).second) refuse("a series twice", line);
  }
  if (open && !ended) refuse("no end", "");
  return out;
}

class MetricsText : public ::testing::Test {
 protected:
  MetricsText() {
    registry.counter("tallymill_a_total", "A \"b\" \\ c\nd.", {{"reason", "x\"\\\ny,z}"}}).add(3);
    registry.counter("tallymill_a_total", "A \"b\" \\ c\nd.", {{"reason", "plain"}}).add();
    registry.counter("tallymill_sent_bytes_total", "Bytes.").add(1'000'000'007);
    registry.gauge("tallymill_busy_ratio", "Share.").set(0.25);
    registry.gauge("tallymill_waiting", "Jobs.", {{"for", "place"}}).set(2);
    registry.histogram("tallymill_wait_seconds", "Waits.", {{"kind", "box"}}).record(1500us);
    registry.histogram("tallymill_wait_seconds", "Waits.", {{"kind", "thumbs"}}).record(2s);
  }
  // What both must say.
  static void expect_values(const Read& found, const std::string& counters) {
    const auto sample = [&](const std::string& family, const std::string& series) {
      return found.families.at(family).samples.at(series);
    };
    EXPECT_EQ(sample("tallymill_a" + counters, "tallymill_a_total,reason=x\"\\\ny,z}"), 3);
    EXPECT_EQ(sample("tallymill_a" + counters, "tallymill_a_total,reason=plain"), 1);
    EXPECT_EQ(sample("tallymill_sent_bytes" + counters, "tallymill_sent_bytes_total"),
              1'000'000'007);
    EXPECT_EQ(sample("tallymill_busy_ratio", "tallymill_busy_ratio"), 0.25);
    EXPECT_EQ(sample("tallymill_waiting", "tallymill_waiting,for=place"), 2);
    const std::string wait = "tallymill_wait_seconds";
    EXPECT_EQ(sample(wait, wait + "_bucket,kind=box,le=+Inf"), 1);
    EXPECT_EQ(sample(wait, wait + "_count,kind=thumbs"), 1);
    EXPECT_DOUBLE_EQ(sample(wait, wait + "_sum,kind=box"), 0.0015);
    EXPECT_EQ(found.families.size(), 5U);
    for (const auto& [name, family] : found.families) EXPECT_FALSE(family.help.empty()) << name;
  }

  Registry registry;
};

TEST_F(MetricsText, TheTextFormatIsReadStrictly) {
  const Read found = read(to_prometheus(registry.snapshot()), false);
  expect_values(found, "_total");
  EXPECT_EQ(found.families.at("tallymill_a_total").help, "A \"b\" \\\\ c\\nd.");
  EXPECT_EQ(found.families.at("tallymill_wait_seconds").type, "histogram");
}

TEST_F(MetricsText, OpenMetricsIsReadStrictly) {
  const Read found = read(to_openmetrics(registry.snapshot()) + std::string(openmetrics_end), true);
  expect_values(found, "");
  EXPECT_EQ(found.families.at("tallymill_a").help, "A \"b\" \\ c\nd.");
  EXPECT_EQ(found.families.at("tallymill_a").type, "counter");
  EXPECT_EQ(found.families.at("tallymill_a").unit, "");
  EXPECT_EQ(found.families.at("tallymill_sent_bytes").unit, "bytes");
  EXPECT_EQ(found.families.at("tallymill_wait_seconds").unit, "seconds");
  EXPECT_EQ(found.families.at("tallymill_busy_ratio").unit, "ratio");
}

TEST_F(MetricsText, OpenMetricsSaysWhichJobABucketCountedLastAndTheTextFormatDoesNot) {
  Registry one;
  const SystemClock clock;
  one.histogram("tallymill_length_seconds", "Lengths.")
      .record(std::chrono::milliseconds(2), JobId(42), clock.now());
  const std::string text = to_openmetrics(one.snapshot());
  const auto from = text.find(" # {job_id=\"42\"} 0.002 ");
  ASSERT_NE(from, std::string::npos) << text;
  EXPECT_EQ(text.find(" # {", from + 1), std::string::npos) << text;
  EXPECT_TRUE(
      text.substr(text.rfind('\n', from) + 1).starts_with("tallymill_length_seconds_bucket"));
  const double at = std::stod(text.substr(from + std::string(" # {job_id=\"42\"} 0.002 ").size()));
  EXPECT_NEAR(at, static_cast<double>(to_ns(clock.wall())) / 1e9, 60);
  EXPECT_EQ(to_prometheus(one.snapshot()).find(" # {"), std::string::npos);
}

TEST_F(MetricsText, SeveralSnapshotsAreOneTextWithOneEnd) {
  Registry other;
  other.counter("tallymill_other_total", "Other.").add(9);
  const Read found = read(to_openmetrics(registry.snapshot()) + to_openmetrics(other.snapshot()) +
                              std::string(openmetrics_end),
                          true);
  EXPECT_EQ(found.families.at("tallymill_other").samples.at("tallymill_other_total"), 9);
}

TEST_F(MetricsText, TheReaderRefusesWhatTheFormatsRefuse) {
  const std::string end(openmetrics_end);
  for (const std::string& text : std::vector<std::string>{
           "",
           end + end,
           "a 1\n" + end,
           "# TYPE a gauge\na 1\n",
           "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n" + end,
           "# TYPE a gauge\na 1\n# HELP a A.\n" + end,
           "# TYPE a counter\na 1\n" + end,
           "# TYPE a gauge\na 1\na 2\n" + end,
           "# TYPE a gauge\na{b=\"\\x\"} 1\n" + end,
           "# TYPE a gauge\na{b=\"c} 1\n" + end,
           "# TYPE a gauge\n# UNIT a seconds\n" + end,
           "# TYPE a gauge\n# HELP a \"A\".\n" + end,
           "# TYPE a gauge\na one\n" + end,
       })
    EXPECT_ANY_THROW((void)read(text, true)) << text;
}

}  // namespace
}  // namespace tallymill::metrics
