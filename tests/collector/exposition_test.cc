// The text formats. Goal: a text gives the samples that Prometheus 2.42 reads in it, and a bad line
// is refused by its number. Method: tables of lines; what was given to the sink, as text.
#include "collector/exposition.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/limits.h"
#include "collector/labels_check.h"

namespace tallymill::collector {
namespace {

using namespace std::string_view_literals;
using enum ExpositionFormat;

std::string said(std::span<const Label> labels) {
  std::string text;
  for (const Label& label : labels) {
    text += text.empty() ? "" : ",";
    text += label.name;
    text += "=";
    append_quoted(text, label.value);
  }
  return "{" + text + "}";
}

class Told : public ExpositionSink {
 public:
  Status metadata(const Metadata& metadata) override {
    lines.push_back(
        fmt::format("{} {}{}{}", metadata.name,
                    metadata.type ? fmt::format("type={}", name_of(*metadata.type)) : "",
                    metadata.help ? fmt::format("help={}", *metadata.help) : "",
                    metadata.unit ? fmt::format("unit={}", *metadata.unit) : ""));
    return stop_at == lines.size() ? fail(Errc::busy, "full") : Status();
  }
  Status sample(const ExpositionSample& sample) override {
    std::string line = fmt::format("{} {}", said(sample.labels), sample.value);
    if (sample.t_ms) line += fmt::format(" @{}", *sample.t_ms);
    if (sample.exemplar) {
      line += fmt::format(" #{} {}", said(sample.exemplar->labels), sample.exemplar->value);
      if (sample.exemplar->t_ms) line += fmt::format(" @{}", *sample.exemplar->t_ms);
    }
    lines.push_back(line);
    series.emplace_back(sample.series);
    return stop_at == lines.size() ? fail(Errc::busy, "full") : Status();
  }
  std::vector<std::string> lines;
  std::vector<std::string> series;
  std::size_t stop_at = 0;
};

// All that was told, and the error.
std::string read(std::string_view text, ExpositionFormat format) {
  Told told;
  const auto counts = read_exposition(text, format, told);
  std::string all;
  for (const std::string& line : told.lines) all += line + "\n";
  if (!counts) all += fmt::format("{} {}", info(counts.error().code).name, counts.error().message);
  return all;
}
// Of OpenMetrics with its end.
std::string strict(std::string_view lines) {
  return read(fmt::format("{}# EOF\n", lines), open_metrics);
}

TEST(Exposition, ATextOfPrometheusIsItsSamples) {
  EXPECT_EQ(read(R"(# HELP http_requests_total How many, by "code".\nAnd \\ method.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero"} +Inf -3982045
# TYPE h histogram
h_bucket{le="+Inf"} 144320
	 spaced	 {	a = "b" ,	c= "d"	, } 	1e3	 7  
)",
                 text),
            R"(http_requests_total help=How many, by "code".
And \ method.
http_requests_total type=counter
{__name__="http_requests_total",code="200",method="post"} 1027 @1395066363000
{__name__="http_requests_total",code="400",method="post"} 3 @1395066363000
{__name__="msdos_file_access_time_seconds",error="Cannot find file:\n\"FILE.TXT\"",path="C:\\DIR\\FILE.TXT"} 1458255915
{__name__="metric_without_timestamp_and_labels"} 12.47
{__name__="something_weird",problem="division by zero"} inf @-3982045
h type=histogram
{__name__="h_bucket",le="+Inf"} 144320
{__name__="spaced",a="b",c="d"} 1000 @7
)");
}

TEST(Exposition, ATextOfOpenMetricsIsItsSamples) {
  EXPECT_EQ(read(R"(# TYPE acme_http_router_request_seconds summary
# UNIT acme_http_router_request_seconds seconds
# HELP acme_http_router_request_seconds Latency of \"all\".
acme_http_router_request_seconds_sum{path="/api/v1",method="GET"} 9036.32
acme_http_router_request_seconds_created{path="/api/v1",method="GET"} 1605281325.0
# TYPE go_goroutines gauge
go_goroutines 69 1520879607.789
# TYPE foo gaugehistogram
foo_bucket{le="0.01"} 0
foo_bucket{le="0.1"} 8 # {} 0.054
foo_bucket{le="1"} 11 1520879607 # {trace_id="KOO5S4vxi0o"} 0.67
foo_total{a="\\\"\n"} NaN # {trace_id="oHg5SJYRHA0",a="b"} 9.8 1520879607.789
foo_total{} -Inf -1.5
# EOF
)",
                 open_metrics),
            R"(acme_http_router_request_seconds type=summary
acme_http_router_request_seconds unit=seconds
acme_http_router_request_seconds help=Latency of "all".
{__name__="acme_http_router_request_seconds_sum",method="GET",path="/api/v1"} 9036.32
{__name__="acme_http_router_request_seconds_created",method="GET",path="/api/v1"} 1605281325
go_goroutines type=gauge
{__name__="go_goroutines"} 69 @1520879607789
foo type=gaugehistogram
{__name__="foo_bucket",le="0.01"} 0
{__name__="foo_bucket",le="0.1"} 8 #{} 0.054
{__name__="foo_bucket",le="1"} 11 @1520879607000 #{trace_id="KOO5S4vxi0o"} 0.67
{__name__="foo_total",a="\\\"\n"} nan #{a="b",trace_id="oHg5SJYRHA0"} 9.8 @1520879607789
{__name__="foo_total"} -inf @-1500
)");
  EXPECT_EQ(read("# EOF", open_metrics), "");
}

TEST(Exposition, WhatPrometheusTakesInItsOwnFormatIsTaken) {
  const std::initializer_list<std::pair<std::string_view, std::string_view>> table = {
      {"", ""},
      {"\n\n \t\n", ""},
      {"#", ""},
      {"#HELP a b", ""},
      {"# anything # at all \xff", ""},
      {"# HELP", ""},
      {"# TYPES a counter", ""},
      {"# UNIT a_seconds seconds", ""},
      {"# EOF\na 1", "{__name__=\"a\"} 1\n"},
      {"# HELP a", "a help=\n"},
      {"  #\tHELP\t a\t b ", "a help= b \n"},
      {"# HELP a x\\y\\", "a help=x\\y\\\n"},
      {"# HELP a \\\"x\\\"", "a help=\\\"x\\\"\n"},
      {"# TYPE a untyped", "a type=unknown\n"},
      {"# TYPE a  gauge ", "a type=gauge\n"},
      {"a 1", "{__name__=\"a\"} 1\n"},
      {":a:b 1", "{__name__=\":a:b\"} 1\n"},
      {"a{}1", "{__name__=\"a\"} 1\n"},
      {"a {} 1", "{__name__=\"a\"} 1\n"},
      {"a{b=\"c\"d=\"e\"} 1", "{__name__=\"a\",b=\"c\",d=\"e\"} 1\n"},
      {"a{b=\"c\",} 1", "{__name__=\"a\",b=\"c\"} 1\n"},
      {"a{b=\"\",c=\"d\"} 1", "{__name__=\"a\",c=\"d\"} 1\n"},
      {"a{b=\"\\d\\\"}\"} 1", "{__name__=\"a\",b=\"\\\\d\\\"}\"} 1\n"},
      {"a{b=\"# {},=\"} 1", "{__name__=\"a\",b=\"# {},=\"} 1\n"},
      {"NaN NaN", "{__name__=\"NaN\"} nan\n"},
      {"a 1 0", "{__name__=\"a\"} 1 @0\n"},
      {"a 1 9223372036854775807", "{__name__=\"a\"} 1 @9223372036854775807\n"}};
  for (const auto& [line, what] : table) {
    EXPECT_EQ(read(line, text), what) << line;
    EXPECT_EQ(read(fmt::format("{}\n", line), text), what) << line;
  }
  EXPECT_EQ(read("# HELP a b\0c\na{b=\"\0\"} 1"sv, text),
            "a help=b\0c\n{__name__=\"a\",b=\"\0\"} 1\n"sv);
}

TEST(Exposition, ABadLineIsRefusedByItsNumberAndWhatStoodBeforeItWasGiven) {
  for (const std::string_view line : {"a"sv,
                                      "a "sv,
                                      "1a 1"sv,
                                      "a-b 1"sv,
                                      "{a=\"b\"} 1"sv,
                                      "a{ 1"sv,
                                      "a{b 1"sv,
                                      "a{b} 1"sv,
                                      "a{b=} 1"sv,
                                      "a{b=c} 1"sv,
                                      "a{b='c'} 1"sv,
                                      "a{b=\"c} 1"sv,
                                      "a{b=\"c\\\"} 1"sv,
                                      "a{b=\"c\" 1"sv,
                                      "a{,} 1"sv,
                                      "a{,b=\"c\"} 1"sv,
                                      "a{b=\"c\",,} 1"sv,
                                      "a{9=\"c\"} 1"sv,
                                      "a{b:c=\"d\"} 1"sv,
                                      "a{\"b\"=\"c\"} 1"sv,
                                      "a{b=\"c\"}"sv,
                                      "a{b=\"c\"}{} 1"sv,
                                      "a 1{"sv,
                                      "a{b=\"c\",b=\"d\"} 1"sv,
                                      "a{__name__=\"b\"} 1"sv,
                                      "a{b=\"\xff\"} 1"sv,
                                      "a{b=\"\x80\"} 1"sv,
                                      "a one"sv,
                                      "a 0x1"sv,
                                      "a 1_0"sv,
                                      "a 1p1"sv,
                                      "a 1e999"sv,
                                      "a -nan"sv,
                                      "a 1 x"sv,
                                      "a 1 1.5"sv,
                                      "a 1 +1"sv,
                                      "a 1 9223372036854775808"sv,
                                      "a 1 1 1"sv,
                                      "a 1 1x"sv,
                                      "a 1 # {} 1"sv,
                                      "a 1\r"sv,
                                      "a\0 1"sv,
                                      "\0"sv,
                                      "# TYPE a"sv,
                                      "# TYPE a b"sv,
                                      "# TYPE a info"sv,
                                      "# TYPE a stateset"sv,
                                      "# TYPE a gaugehistogram"sv,
                                      "# TYPE a unknown"sv,
                                      "# TYPE a counter gauge"sv,
                                      "# TYPE a Counter"sv,
                                      "# TYPE 9 counter"sv,
                                      "# TYPE "sv,
                                      "# HELP 9 x"sv,
                                      "# HELP "sv,
                                      "# HELP a-b x"sv,
                                      "# HELP a \xff"sv,
                                      "a{b=\"\n\"} 1"sv,
                                      "\xef\xbb\xbf"
                                      "a 1"sv}) {
    const std::string told = read(fmt::format("x 1\n\n{}\ny 2\n", line), text);
    EXPECT_TRUE(told.starts_with("{__name__=\"x\"} 1\nE_PARAMS line 3: ")) << line << "\n" << told;
  }
}

TEST(Exposition, OpenMetricsIsReadToTheLetter) {
  for (const std::string_view line : {""sv,
                                      " "sv,
                                      "#"sv,
                                      "# "sv,
                                      "#x"sv,
                                      "# x"sv,
                                      "# help a b"sv,
                                      "#  HELP a b"sv,
                                      "# HELP  a b"sv,
                                      "# HELP a"sv,
                                      "# HELP"sv,
                                      "# TYPE a untyped"sv,
                                      "# TYPE a  gauge"sv,
                                      "# TYPE a gauge "sv,
                                      "# TYPE a"sv,
                                      "# UNIT a b"sv,
                                      "# UNIT a a"sv,
                                      "# UNIT a_b _b"sv,
                                      "# UNIT ab b"sv,
                                      "# EOF x"sv,
                                      "# EOFx"sv,
                                      " a 1"sv,
                                      "a  1"sv,
                                      "a\t1"sv,
                                      "a 1 "sv,
                                      "a 1  1"sv,
                                      "a {} 1"sv,
                                      "a{}1"sv,
                                      "a{ b=\"c\"} 1"sv,
                                      "a{b =\"c\"} 1"sv,
                                      "a{b=\"c\" } 1"sv,
                                      "a{b=\"c\",} 1"sv,
                                      "a{b=\"c\"d=\"e\"} 1"sv,
                                      "a{b=\"c\", d=\"e\"} 1"sv,
                                      "a 1 x"sv,
                                      "a 1 NaN"sv,
                                      "a 1 +Inf"sv,
                                      "a 1 1e16"sv,
                                      "a 1 1 1"sv,
                                      "a 1 # {} 1"sv,
                                      "a_sum 1 # {} 1"sv,
                                      "a_total 1 #{} 1"sv,
                                      "a_total 1 # {}1"sv,
                                      "a_total 1 # {}"sv,
                                      "a_total 1 # {} "sv,
                                      "a_total 1 # {} 1 "sv,
                                      "a_total 1 # {} 1 x"sv,
                                      "a_total 1 # {} 1 NaN"sv,
                                      "a_total 1 # {} 1 1 1"sv,
                                      "a_total 1 # {a=\"b\",a=\"c\"} 1"sv,
                                      "a_total 1 # {a=\"\xff\"} 1"sv,
                                      "a_total 1 #  {} 1"sv,
                                      "a_total 1 # {a=\"b\",} 1"sv,
                                      "a_total 1 # {} 1 1 # {} 1"sv,
                                      "a_total # {} 1"sv,
                                      "a{b=\"c\n\"} 1"sv}) {
    const std::string told = strict(fmt::format("x 1\n{}\n", line));
    EXPECT_TRUE(told.starts_with("{__name__=\"x\"} 1\nE_PARAMS line 2: ")) << line << "\n" << told;
  }
}

TEST(Exposition, OpenMetricsEndsWithItsMarkAndNothingBehindIt) {
  EXPECT_EQ(read("", open_metrics), "E_PARAMS line 1: the text ends without # EOF");
  EXPECT_EQ(read("a 1\n", open_metrics),
            "{__name__=\"a\"} 1\nE_PARAMS line 2: the text ends without # EOF");
  EXPECT_EQ(read("# EOF\n\n", open_metrics), "E_PARAMS line 2: there is more behind # EOF");
  EXPECT_EQ(read("# EOF\na 1", open_metrics), "E_PARAMS line 2: there is more behind # EOF");
}

TEST(Exposition, AnErrorShowsTheLineCutAndClean) {
  EXPECT_EQ(read("a \x1b[2J\xff", text), "E_PARAMS line 1: expected a value, not '?[2J?'");
  EXPECT_EQ(read("a " + std::string(100, 'x'), text),
            "E_PARAMS line 1: expected a value, not '" + std::string(40, 'x') + "'");
  EXPECT_EQ(read("a{b=\"c\",b=\"d\"} 1", text), "E_PARAMS line 1: a label's name is there twice");
}

TEST(Exposition, TheBytesOfASeriesAreItsNameAndLabels) {
  Told told;
  ASSERT_TRUE(read_exposition("a 1\n b { c = \"d\\\\\" } 2 3\nc{}4", text, told));
  EXPECT_EQ(told.series, (std::vector<std::string>{"a", "b { c = \"d\\\\\" }", "c{}"}));
}

TEST(Exposition, AnErrorOfTheSinkEndsTheReading) {
  for (const std::size_t stop_at : {1U, 2U}) {
    Told told;
    told.stop_at = stop_at;
    const auto counts = read_exposition("# TYPE a counter\na 1\na 2\n", text, told);
    ASSERT_FALSE(counts);
    EXPECT_EQ(counts.error().message, "full");
    EXPECT_EQ(told.lines.size(), stop_at);
  }
}

TEST(Exposition, ALineIsAsLongAsItsBoundAndNotOneMore) {
  const std::string comment = "#" + std::string(limits::exposition_line_bytes - 1, ' ');
  EXPECT_EQ(read(comment, text), "");
  EXPECT_EQ(read(comment + "\na 1", text), "{__name__=\"a\"} 1\n");
  for (const std::string_view end : {""sv, "\na 1"sv})
    EXPECT_EQ(read(comment + " " + std::string(end), text),
              "E_TOO_BIG line 1: longer than 65536 bytes");
}

TEST(Exposition, LabelsAreAsManyAndAsLongAsTheyMayAndNotMore) {
  const auto with = [](std::size_t labels, std::size_t bytes) {
    std::string line = "a{";
    for (std::size_t i = 0; i < labels; ++i)
      line += fmt::format("l{}=\"{}\",", i, std::string(bytes, 'x'));
    Told told;
    const auto counts = read_exposition(line + "} 1", text, told);
    return counts ? std::string("ok") : counts.error().message;
  };
  EXPECT_EQ(with(limits::series_labels - 1, 1), "ok");  // and the metric's name
  EXPECT_EQ(with(limits::series_labels, 1), "line 1: too many labels");
  EXPECT_EQ(with(1000, 1), "line 1: too many labels");
  EXPECT_EQ(with(1, limits::label_value_bytes), "ok");
  EXPECT_EQ(with(1, limits::label_value_bytes + 1), "line 1: a label's value is too long");
  EXPECT_EQ(with(8, 3000), "line 1: the labels are too long together");
}

TEST(Exposition, AHelpIsCutAndALongExemplarDroppedWithoutItsSample) {
  Told told;
  ASSERT_TRUE(
      read_exposition("# HELP a " + std::string(limits::metric_help_bytes + 1, 'x'), text, told));
  EXPECT_EQ(told.lines[0].size(), std::string("a help=").size() + limits::metric_help_bytes);
  const auto with = [](std::size_t chars) {
    return fmt::format("a_total 1 # {{b=\"{}\"}} 2\n# EOF\n", std::string(chars - 1, 'x'));
  };
  auto counts = read_exposition(with(limits::exemplar_chars), open_metrics, told);
  EXPECT_EQ(counts.value().dropped_exemplars, 0U);
  EXPECT_NE(told.lines.back().find(" #{b="), std::string::npos);
  counts = read_exposition(with(limits::exemplar_chars + 1), open_metrics, told);
  EXPECT_EQ(counts.value().dropped_exemplars, 1U);
  EXPECT_EQ(counts.value().samples, 1U);
  EXPECT_EQ(told.lines.back(), "{__name__=\"a_total\"} 1");
}

TEST(Exposition, TheFormatIsWhatTheContentTypeSays) {
  EXPECT_EQ(exposition_format("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            open_metrics);
  EXPECT_EQ(exposition_format("Application/OpenMetrics-Text"), open_metrics);
  EXPECT_EQ(exposition_format("text/plain; version=0.0.4"), text);
  EXPECT_EQ(exposition_format(""), text);
}

// A sample as whoever exposes it would write it, in both formats the same but for its time.
TEST(Exposition, WhatIsWrittenIsRead) {
  const auto seed = std::random_device{}();
  fmt::print("exposition: seed {}\n", seed);
  std::mt19937_64 random(seed);
  constexpr std::string_view pieces[] = {"a",  "\"", "\\",  "\n", "}",        "{",
                                         ",",  "=",  " ",   "#",  "\xc3\xa4", "\xf0\x9f\x98\x80",
                                         "\t", "n",  "\0"sv};
  for (int i = 0; i < 5'000; ++i) {
    std::vector<std::pair<std::string, std::string>> pairs = {{"__name__", "metric_total"}};
    std::string line = "metric_total{";
    for (auto labels = random() % 6; labels > 0; --labels) {
      std::string value;
      for (auto length = random() % 8; length > 0; --length)
        value += pieces[random() % std::size(pieces)];
      pairs.emplace_back(fmt::format("l{}", labels), value);
      if (!line.ends_with('{')) line += ',';
      line += pairs.back().first + "=";
      append_quoted(line, value);
    }
    const double value = std::bit_cast<double>(random());
    line += fmt::format("}} {}", value != value ? 0 : value);
    const std::int64_t t_ms = static_cast<std::int64_t>(random() >> 24) - (std::int64_t{1} << 39);
    for (const ExpositionFormat format : {text, open_metrics}) {
      const std::string whole = format == text ? fmt::format("{} {}\n", line, t_ms)
                                               : fmt::format("{} {:.3f}\n# EOF\n", line,
                                                             static_cast<double>(t_ms) / 1000);
      Told told;
      ASSERT_TRUE(read_exposition(whole, format, told)) << "seed " << seed << "\n" << whole;
      std::vector<Label> labels;
      for (const auto& [name, text] : pairs) labels.push_back({name, text});
      ASSERT_EQ(settle(labels), LabelFault::none);
      EXPECT_EQ(told.lines.at(0),
                fmt::format("{} {} @{}", said(labels), value != value ? 0 : value, t_ms))
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tallymill::collector
