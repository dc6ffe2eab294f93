// Templates as Prometheus expands them. Goal: for every template of tests/rules/templates.yml the
// text, or the error, that promtool gives (template_differential.py asked it), and every limit held
// at it and broken one above. Method: the file's series in memory, asked through PromQL itself.
#include "alerting/template.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "alerting/limits.h"
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

}  // namespace
}  // namespace tallymill::alerting
