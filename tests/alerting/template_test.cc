// Templates as Prometheus expands them. Goal: for every template of tests/rules/templates.yml the
// text, or the error, that promtool gives (template_differential.py asked it), and every limit held
// at it and broken one above. Method: the file's series in memory, asked through PromQL itself.
#include "alerting/template.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <re2/re2.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/limits.h"
#include "alerting/template_functions.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/go_text.h"
#include "collector/promql/parser.h"
#include "tests/collector/promql/memory_source.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;
using collector::LabelsBuilder;

Labels labels_of(const YAML::Node& map) {
  LabelsBuilder builder;
  for (const auto& pair : map)
    builder.set(pair.first.as<std::string>(), pair.second.as<std::string>());
  return builder.build();
}

// As a rule asks: a scalar is one sample without labels.
auto query_of(const collector::MemorySource& source) {
  return [&source](std::string_view query) -> Result<std::vector<TemplateSample>> {
    const auto node = promql::parse(query);
    if (!node) return std::unexpected(node.error());
    if ((*node)->type != promql::Type::vector && (*node)->type != promql::Type::scalar)
      return fail(Errc::bad_params, "rule result is not a vector or scalar");
    const auto value = promql::evaluate(**node, {}, source, {});
    if (!value) return std::unexpected(value.error());
    std::vector<TemplateSample> samples;
    if (value->type == promql::Type::scalar) samples.push_back({{}, value->scalars[0]});
    for (const auto& row : value->rows) samples.push_back({row.labels, row.values[0]});
    return samples;
  };
}

class DataFile {
 public:
  explicit DataFile(const std::string& path) : file_(YAML::LoadFile(path)) {
    for (const auto& one : file_["series"]) {
      const auto selector = promql::parse_selector(one["series"].as<std::string>());
      LabelsBuilder builder;
      for (const auto& matcher : *selector) builder.set(matcher.name(), matcher.value());
      source_.add(builder.build(), 0, one["value"].as<double>());
    }
  }

  [[nodiscard]] YAML::Node cases() const { return file_["cases"]; }

  [[nodiscard]] TemplateData data(const YAML::Node& one) const {
    TemplateData data;
    data.labels = labels_of(one["labels"]);
    data.value = one["value"] ? *promql::go_float(one["value"].as<std::string>()) : 1;
    data.external_labels = labels_of(file_["external_labels"]);
    data.external_url = file_["external_url"].as<std::string>();
    data.query = query_of(source_);
    data.alert = "T";
    return data;
  }

 private:
  YAML::Node file_;
  collector::MemorySource source_;
};

// LINE: MESSAGE of our LINE:COLUMN: MESSAGE.
std::string without_column(const std::string& message) {
  const std::size_t line = message.find(':');
  const std::size_t column = message.find(':', line + 1);
  return message.substr(0, line) + message.substr(column);
}

std::string file_of_cases() {
  const char* const other = std::getenv("TALLYMILL_TEMPLATES");
  return other != nullptr ? other : TALLYMILL_SOURCE_DIR "/tests/rules/templates.yml";
}

TEST(Template, EveryTextAndEveryErrorIsThatOfPrometheus) {
  const DataFile file(file_of_cases());
  std::size_t count = 0;
  for (const auto& one : file.cases()) {
    const auto text = one["template"].as<std::string>();
    SCOPED_TRACE(text);
    ++count;
    const auto parsed = Template::parse(text);
    if (one["error"]) {
      EXPECT_EQ(parsed ? "no error" : without_column(parsed.error().message),
                one["error"].as<std::string>());
      continue;
    }
    EXPECT_EQ(parsed ? parsed->text_or_error(file.data(one)) : parsed.error().message,
              one["text"].as<std::string>());
  }
  EXPECT_GE(count, 150u);
}

// What an expansion gives, or its error.
Result<std::string> expanded(const std::string& text, TemplateData data = {}) {
  const auto parsed = Template::parse(text);
  if (!parsed) return std::unexpected(parsed.error());
  return parsed->expand(data);
}

void expect_fits(const Result<std::string>& result) {
  EXPECT_TRUE(result) << result.error().message;
}
void expect_too_big(const Result<std::string>& result, std::string_view why) {
  ASSERT_FALSE(result) << result->substr(0, 100);
  EXPECT_EQ(result.error().code, Errc::too_big) << result.error().message;
  EXPECT_NE(result.error().message.find(why), std::string::npos) << result.error().message;
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string made;
  for (std::size_t i = 0; i < times; ++i) made += text;
  return made;
}

TemplateData with_samples(std::size_t count) {
  TemplateData data;
  data.query = [count](std::string_view) -> Result<std::vector<TemplateSample>> {
    return std::vector<TemplateSample>(count, {Labels::of({{"a", "b"}}), 1});
  };
  return data;
}

TEST(Template, ErrorsSayLineAndColumnOfTheUsersText) {
  const auto error = [](const std::string& text) { return Template::parse(text).error().message; };
  EXPECT_EQ(error("{{ nope }}"), "1:4: function \"nope\" not defined");
  EXPECT_EQ(error("{{ $x }}"), "1:4: undefined variable \"$x\"");
  EXPECT_EQ(error("a\n  {{ $value | nope }}"), "2:15: function \"nope\" not defined");
  EXPECT_EQ(error("a\nb {{ if true }}"), "2:16: unexpected EOF");
}

TEST(Template, TheOutsideUrlAndItsPathCanBeAsked) {
  TemplateData data;
  data.external_url = "https://mill.example.com:9090/a/b%20c?d=/e";
  EXPECT_EQ(expanded("{{ externalURL }} {{ pathPrefix }}", data).value(),
            data.external_url + " /a/b c");
  data.external_url = "http://mill";
  EXPECT_EQ(expanded("{{ pathPrefix }}|", data).value(), "|");
}

TEST(Template, AQueryThatFailsOrIsNotThereIsAnErrorInTheText) {
  const auto parsed = Template::parse("{{ query \"up\" }}");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(
      parsed->text_or_error({}),
      "<error expanding template: error executing template __alert_: template: "
      "__alert_:1:115: executing \"__alert_\" at <query \"up\">: error calling query: there is "
      "nothing to query here>");
}

TEST(Template, ALabelsTextIsUtf8WhateverWasCutApart) {
  const auto parsed = Template::parse("{{ slice \"\u00e9\" 0 1 }}\u00e9");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->text_or_error({}), "\ufffd\u00e9");
}

TEST(TemplateLimits, ATextHasSoManyBytesAndNoMore) {
  expect_fits(expanded(std::string(limits::template_bytes, 'a')));
  expect_too_big(expanded(std::string(limits::template_bytes + 1, 'a')), "bytes");
}

TEST(TemplateLimits, WhatItGivesHasSoManyBytesAndNoMore) {
  const auto wide = [](std::size_t width) {
    return fmt::format("{{{{ printf \"%{}d\" 1 }}}}", width);
  };
  expect_fits(expanded(wide(limits::template_output_bytes)));
  expect_too_big(expanded(wide(limits::template_output_bytes + 1)), "gives more than");
  expect_fits(expanded(wide(limits::template_output_bytes - 1) + "a"));
  expect_too_big(expanded(wide(limits::template_output_bytes - 1) + "ab"), "gives more than");
  // Nor has any text on the way, however it grows.
  expect_too_big(expanded("{{ $s := \"x\" }}{{ range query \"\" }}{{ $s = print $s $s }}{{ end }}",
                          with_samples(100)),
                 "gives more than");
  expect_too_big(expanded(fmt::format("{{{{ $s := printf \"%60000d\" 1 }}}}{{{{ {} }}}}",
                                      "reReplaceAll \".\" \"xy\" $s | len")),
                 "more than");
}

TEST(TemplateLimits, BlocksAndParenthesesAreSoDeepAndNoDeeper) {
  const auto blocks = [](std::size_t depth) {
    return repeated("{{ if true }}", depth) + repeated("{{ end }}", depth);
  };
  const auto parens = [](std::size_t depth) {
    return "{{ " + repeated("(", depth) + "1" + repeated(")", depth) + " }}";
  };
  expect_fits(expanded(blocks(limits::template_depth)));
  expect_too_big(expanded(blocks(limits::template_depth + 1)), "deep");
  expect_fits(expanded(parens(limits::template_depth)));
  expect_too_big(expanded(parens(limits::template_depth + 1)), "deep");
}

TEST(TemplateLimits, TemplatesCallOneAnotherSoDeepAndNoDeeper) {
  const auto calls = [](int count) {
    return fmt::format(
        "{{{{ define \"r\" }}}}{{{{ if lt (len .) {} }}}}{{{{ template \"r\" (print . \"x\") }}}}"
        "{{{{ end }}}}{{{{ end }}}}{{{{ template \"r\" \"\" }}}}",
        count - 1);
  };
  expect_fits(expanded(calls(limits::template_depth)));
  expect_too_big(expanded(calls(limits::template_depth + 1)), "maximum template depth");
  // The deepest that can be: each of them as deep as it may be itself.
  const std::size_t blocks = limits::template_depth - 1;
  expect_too_big(
      expanded("{{ define \"r\" }}" + repeated("{{ with 1 }}", blocks) + "{{ template \"r\" . }}" +
               repeated("{{ end }}", blocks) + "{{ end }}{{ template \"r\" . }}"),
      "maximum template depth");
}

TEST(TemplateLimits, ItTakesSoManyStepsAndNoMore) {
  templates::Budget budget;
  EXPECT_TRUE(budget.spend(static_cast<std::size_t>(limits::template_steps)));
  EXPECT_TRUE(budget.spend(0));
  EXPECT_FALSE(budget.spend(1));
  const std::string ranges =
      "{{ $q := query \"\" }}{{ range $q }}{{ range $q }}{{ range $q }}{{ end }}{{ end }}{{ end }}";
  expect_fits(expanded(ranges, with_samples(30)));
  expect_too_big(expanded(ranges, with_samples(10'000)), "steps");
}

TEST(TemplateLimits, ItAsksSoManyQueriesAndNoMore) {
  const auto queries = [](std::size_t count) { return repeated("{{ query \"a\" | len }}", count); };
  expect_fits(expanded(queries(limits::template_queries), with_samples(1)));
  expect_too_big(expanded(queries(limits::template_queries + 1), with_samples(1)), "queries");
}

TEST(TemplateLimits, ARegularExpressionHasSoManyInstructionsAndNoMore) {
  std::string pattern = repeated("a{1000}", limits::template_program / 1000 - 1) + "a{900}";
  while (RE2(pattern).ProgramSize() < limits::template_program) pattern += 'a';
  ASSERT_EQ(RE2(pattern).ProgramSize(), limits::template_program);
  const auto match = [](const std::string& what) { return "{{ match \"" + what + "\" \"a\" }}"; };
  expect_fits(expanded(match(pattern)));
  expect_too_big(expanded(match(pattern + "a")), "instructions");
  // One that takes long over every byte is paid for by the byte.
  expect_too_big(expanded("{{ $s := printf \"%60000d\" 1 }}{{ match \"(x+x+)+y" +
                          repeated("a{1000}", 9) + "\" $s }}"),
                 "steps");
}

TEST(TemplateLimits, ArgumentsAreInOneAnotherSoDeepAndNoDeeper) {
  const auto nested = [](std::size_t depth) {
    return "{{ $a := args 1 }}" + repeated("{{ $a = args $a $a }}", depth - 1);
  };
  expect_fits(expanded(nested(limits::template_depth)));
  expect_too_big(expanded(nested(limits::template_depth + 1)), "deep");
  expect_too_big(expanded(nested(limits::template_depth) + "{{ print $a }}"), "gives more than");
}

}  // namespace
}  // namespace tallymill::alerting
