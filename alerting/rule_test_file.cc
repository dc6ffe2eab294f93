#include "alerting/rule_test_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "alerting/limits.h"
#include "alerting/rule_file.h"
#include "alerting/yaml_reader.h"
#include "alerting/yaml_tree.h"

namespace tallymill::alerting {
namespace {

class Loader {
 public:
  explicit Loader(std::string_view file) : reader_(file) {}

  Result<RuleTestFile> load(const YamlNode& root) {
    const YamlFields fields =
        reader_.fields(root, {"rule_files", "evaluation_interval", "group_eval_order", "tests"});
    RuleTestFile file{.name = reader_.file()};
    file.rule_files = texts(fields, "rule_files");
    const auto interval = duration(fields, "evaluation_interval");
    if (interval.count() > 0) file.interval = interval;
    file.group_order = texts(fields, "group_eval_order");
    std::set<std::string> seen;
    for (const std::string& name : file.group_order)
      if (!seen.insert(name).second)
        reader_.wrong(fields.place("group_eval_order"),
                      fmt::format("the group '{}' is there twice", name));
    for (const YamlNode* one : every(fields, "tests")) file.tests.push_back(test(*one));
    if (!reader_.ok()) return std::unexpected(reader_.error());
    return file;
  }

 private:
  RuleTest test(const YamlNode& node) {
    const YamlFields fields =
        reader_.fields(node, {"name", "interval", "input_series", "alert_rule_test",
                              "promql_expr_test", "external_labels", "external_url"});
    RuleTest made{.name = text(fields, "name"),
                  .interval = duration(fields, "interval"),
                  .external_labels = collector::Labels::of(named(fields, "external_labels")),
                  .external_url = text(fields, "external_url"),
                  .line = node.line};
    for (const YamlNode* one : every(fields, "input_series")) {
      const YamlFields series = reader_.fields(*one, {"series", "values"});
      made.series.push_back({text(series, "series"), text(series, "values"), one->line});
    }
    for (const YamlNode* one : every(fields, "alert_rule_test"))
      made.alerts.push_back(alert_case(*one));
    for (const YamlNode* one : every(fields, "promql_expr_test"))
      made.expressions.push_back(expression_case(*one));
    return made;
  }

  AlertCase alert_case(const YamlNode& node) {
    const YamlFields fields = reader_.fields(node, {"eval_time", "alertname", "exp_alerts"});
    AlertCase made{
        .at = duration(fields, "eval_time"), .alert = text(fields, "alertname"), .line = node.line};
    for (const YamlNode* one : every(fields, "exp_alerts")) {
      const YamlFields alert = reader_.fields(*one, {"exp_labels", "exp_annotations"});
      made.expected.push_back({named(alert, "exp_labels"), named(alert, "exp_annotations")});
    }
    return made;
  }

  ExpressionCase expression_case(const YamlNode& node) {
    const YamlFields fields = reader_.fields(node, {"expr", "eval_time", "exp_samples"});
    ExpressionCase made{
        .at = duration(fields, "eval_time"), .expr = text(fields, "expr"), .line = node.line};
    for (const YamlNode* one : every(fields, "exp_samples")) {
      const YamlFields sample = reader_.fields(*one, {"labels", "value"});
      const YamlNode* const value = sample.find("value");
      made.expected.push_back(
          {text(sample, "labels"), value == nullptr ? 0.0 : reader_.real(*value)});
    }
    return made;
  }

  // ---- parts ----

  std::vector<const YamlNode*> every(const YamlFields& fields, std::string_view key) {
    const YamlNode* const said = fields.find(key);
    return said == nullptr ? std::vector<const YamlNode*>() : reader_.every(*said, key);
  }
  std::vector<std::string> texts(const YamlFields& fields, std::string_view key) {
    std::vector<std::string> made;
    for (const YamlNode* one : every(fields, key)) made.push_back(reader_.text(*one));
    return made;
  }
  std::string text(const YamlFields& fields, std::string_view key) {
    const YamlNode* const said = fields.find(key);
    return said == nullptr ? std::string() : reader_.text(*said);
  }
  std::chrono::milliseconds duration(const YamlFields& fields, std::string_view key) {
    const YamlNode* const said = fields.find(key);
    return said == nullptr ? std::chrono::milliseconds(0) : reader_.duration(*said);
  }
  NamedTexts named(const YamlFields& fields, std::string_view key) {
    NamedTexts made;
    const YamlNode* const said = fields.find(key);
    if (said == nullptr) return made;
    for (YamlText& one : reader_.texts(*said))
      made.emplace_back(std::move(one.name), std::move(one.text));
    std::ranges::sort(made);
    return made;
  }

  YamlReader reader_;
};

}  // namespace

Result<RuleTestFile> parse_rule_test_file(std::string_view text, std::string_view name) {
  if (text.size() > limits::rule_file_bytes)
    return fail(Errc::too_big,
                fmt::format("{}: longer than {} bytes", name, limits::rule_file_bytes));
  const auto tree = YamlTree::parse(text, name);
  if (!tree) return std::unexpected(tree.error());
  return Loader(name).load(tree->root());
}

Result<RuleTestFile> read_rule_test_file(const std::string& path) {
  const auto text = text_of_rule_file(path);
  if (!text) return std::unexpected(text.error());
  return parse_rule_test_file(*text, path);
}

}  // namespace tallymill::alerting
