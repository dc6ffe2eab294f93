#include "alerting/rule_file.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "alerting/expression.h"
#include "alerting/limits.h"
#include "alerting/shorthand.h"
#include "alerting/yaml_reader.h"
#include "alerting/yaml_tree.h"
#include "collector/labels_check.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::alerting {
namespace {

using promql::Type;
using NodePtr = std::shared_ptr<const promql::Node>;

// What every rule of one entry has: a plain one, or all that a shorthand becomes.
struct Entry {
  const YamlNode* at = nullptr;
  std::string alert;
  std::string record;
  std::vector<YamlText> labels;
  std::vector<YamlText> annotations;
};

// What rules of all files hold so far.
struct Held {
  std::size_t groups = 0;
  std::size_t rules = 0;
  Size size;
};

class Loader {
 public:
  Loader(std::string_view file, Held& held)
      : reader_(file), ours_(file.ends_with(".tm.yml")), held_(held) {}

  Result<std::vector<RuleGroup>> load(const YamlNode& root) {
    const YamlFields fields = reader_.fields(root, {"groups"});
    if (const YamlNode* groups = fields.find("groups"))
      for (const YamlNode* one : reader_.list(*groups, "groups")) group(*one);
    if (!reader_.ok()) return std::unexpected(reader_.error());
    return std::move(groups_);
  }

 private:
  void group(const YamlNode& node) {
    if (!reader_.ok()) return;
    const YamlFields fields = reader_.fields(node, {"name", "interval", "limit", "rules"});
    RuleGroup group{.file = reader_.file(), .name = {}, .rules = {}};
    if (const YamlNode* said = fields.find("name")) group.name = reader_.text(*said);
    if (group.name.empty()) reader_.wrong(fields.place("name"), "a group needs a name");
    if (!names_.insert(group.name).second)
      reader_.wrong(fields.place("name"), fmt::format("a second group '{}'", group.name));
    if (++held_.groups > limits::rule_groups)
      reader_.wrong(node, fmt::format("more than {} groups", limits::rule_groups), Errc::too_big);
    if (const YamlNode* said = fields.find("interval")) group.interval = reader_.duration(*said);
    if (const YamlNode* said = fields.find("limit"))
      group.limit = static_cast<std::size_t>(std::max<std::int64_t>(reader_.integer(*said), 0));
    rules_ = &group.rules;
    if (const YamlNode* said = fields.find("rules"))
      for (const YamlNode* one : reader_.list(*said, "rules")) rule(*one);
    groups_.push_back(std::move(group));
  }

  void rule(const YamlNode& node) {
    if (!reader_.ok()) return;
    const YamlFields fields =
        ours_ ? reader_.fields(node, {"record", "alert", "expr", "for", "keep_firing_for", "labels",
                                      "annotations", "on_arrival", "resolve_expr", "no_data",
                                      "threshold", "slo"})
              : reader_.fields(node, {"record", "alert", "expr", "for", "keep_firing_for", "labels",
                                      "annotations"});
    Entry entry{.at = &node,
                .alert = reader_.raw(fields, "alert"),
                .record = reader_.raw(fields, "record"),
                .labels = labels(fields),
                .annotations = annotations(fields)};
    if (!entry.alert.empty() && !entry.record.empty())
      reader_.wrong(fields.place("record"), "only one of 'record' and 'alert' can be set");
    else if (!entry.record.empty())
      recording(fields, entry);
    else if (!entry.alert.empty())
      alerting(fields, entry);
    else
      reader_.wrong(node, "one of 'record' or 'alert' must be set");
  }

  // ---- one kind each ----

  void recording(const YamlFields& fields, const Entry& entry) {
    if (!collector::is_metric_name(entry.record))
      reader_.wrong(fields.place("record"), fmt::format("'{}' is no metric's name", entry.record));
    for (const char* key : {"on_arrival", "resolve_expr", "no_data", "threshold", "slo"})
      if (fields.find(key) != nullptr) not_of_recording(fields, key);
    if (!entry.annotations.empty()) not_of_recording(fields, "annotations");
    for (const char* key : {"for", "keep_firing_for"})
      if (duration(fields, key) != std::chrono::milliseconds(0)) not_of_recording(fields, key);
    Rule made{.kind = Rule::Kind::recording, .name = entry.record, .line = entry.at->line};
    expression(fields, made);
    for (const YamlText& one : entry.labels) made.labels.push_back({one.name, one.text, {}});
    add(std::move(made), *entry.at);
  }

  void not_of_recording(const YamlFields& fields, std::string_view key) {
    reader_.wrong(fields.place(key), fmt::format("a recording rule has no '{}'", key));
  }

  void alerting(const YamlFields& fields, const Entry& entry) {
    for (const char* other : {"threshold", "slo"})
      if (fields.find(other) != nullptr && fields.find("expr") != nullptr)
        reader_.wrong(fields.place("expr"), fmt::format("'expr' beside '{}'", other));
    if (fields.find("threshold") != nullptr && fields.find("slo") != nullptr)
      reader_.wrong(fields.place("slo"), "'slo' beside 'threshold'");
    Rule made{.kind = Rule::Kind::alerting,
              .name = entry.alert,
              .hold = duration(fields, "for"),
              .keep_firing = duration(fields, "keep_firing_for"),
              .labels = templates(entry.labels, "label"),
              .annotations = templates(entry.annotations, "annotation"),
              .line = entry.at->line};
    if (fields.find("slo") != nullptr) return slo(fields, entry, made);
    const bool is_threshold = fields.find("threshold") != nullptr;
    if (is_threshold)
      threshold(fields, made);
    else
      expression(fields, made);
    if (!reader_.ok()) return;
    beyond(fields, is_threshold, made);
    add(std::move(made), *entry.at);
  }

  void threshold(const YamlFields& fields, Rule& made) {
    const YamlNode& node = *fields.find("threshold");
    const ThresholdRule said = read_threshold(node, reader_);
    if (said.hold && fields.find("for") != nullptr)
      reader_.wrong(fields.place("for"), "'for' is in the threshold, too");
    if (!said.resolve_expr.empty() && fields.find("resolve_expr") != nullptr)
      reader_.wrong(fields.place("resolve_expr"), "'resolve_expr' beside a threshold that clears");
    if (!reader_.ok()) return;
    made.expanded = true;
    made.hold = said.hold.value_or(made.hold);
    made.node = parsed(said.expr, node);
    made.expr = text_of(made.node);
    if (said.resolve_expr.empty()) return;
    made.resolve_node = parsed(said.resolve_expr, node);
    made.resolve_expr = text_of(made.resolve_node);
  }

  void slo(const YamlFields& fields, const Entry& entry, const Rule& alert) {
    for (const char* key : {"on_arrival", "resolve_expr", "no_data"})
      if (fields.find(key) != nullptr)
        reader_.wrong(fields.place(key), fmt::format("'{}' beside 'slo'", key));
    const YamlNode& node = *fields.find("slo");
    for (SloRule& one : read_slo(node, entry.alert, reader_)) {
      if (!reader_.ok()) return;
      Rule made = one.recording ? Rule{.kind = Rule::Kind::recording, .line = alert.line} : alert;
      made.expanded = true;
      made.name = std::move(one.name);
      made.node = parsed(one.expr, node);
      made.expr = text_of(made.node);
      for (auto& [name, text] : one.labels)  // what the entry says itself counts
        if (std::ranges::find(made.labels, name, &Templated::name) == made.labels.end())
          made.labels.push_back({name, text, {}});
      std::ranges::sort(made.labels, {}, &Templated::name);
      for (Templated& label : made.labels)
        if (!one.recording)
          label.compiled = compiled({label.name, label.text, &node, &node}, "label");
      add(std::move(made), node);
    }
  }

  // ---- parts ----

  std::chrono::milliseconds duration(const YamlFields& fields, std::string_view key) {
    const YamlNode* const said = fields.find(key);
    return said == nullptr ? std::chrono::milliseconds(0) : reader_.duration(*said);
  }

  void expression(const YamlFields& fields, Rule& made) {
    const std::string text = reader_.raw(fields, "expr");
    const YamlNode& place = fields.place("expr");
    if (text.empty()) return reader_.wrong(place, "a rule needs an 'expr'");
    made.node = parsed(text, place);
    if (made.node == nullptr) return;
    made.expr = text_of(made.node);
  }

  // Null: it was told.
  NodePtr parsed(std::string_view text, const YamlNode& place) {
    auto node = promql::parse(text);
    if (node) {
      hold(size_of(**node), place);
      return std::move(*node);
    }
    reader_.wrong(place, "could not parse expression: " + node.error().message);
    return nullptr;
  }
  void hold(const Size& size, const YamlNode& at) {
    held_.size.nodes += size.nodes;
    held_.size.program += size.program;
    if (held_.size.nodes > limits::rule_nodes)
      reader_.wrong(at,
                    fmt::format("expressions and templates of all rules are too large: more than "
                                "{} operators, selectors, matchers and actions",
                                limits::rule_nodes),
                    Errc::too_big);
    if (held_.size.program > limits::rule_program)
      reader_.wrong(at, "the regular expressions of all rules are too large", Errc::too_big);
  }
  static std::string text_of(const NodePtr& node) {
    return node == nullptr ? std::string() : promql::text(*node);
  }

  void beyond(const YamlFields& fields, bool is_threshold, Rule& made) {
    const bool plain = plain_threshold(*made.node).has_value();
    made.on_arrival = is_threshold && plain;
    if (const YamlNode* said = fields.find("on_arrival")) {
      made.on_arrival = reader_.truth(*said);
      if (made.on_arrival && !plain)
        reader_.wrong(*said,
                      "only a selector that is compared with a number can be judged when a "
                      "sample comes");
    }
    if (const YamlNode* said = fields.find("resolve_expr")) {
      made.resolve_node = parsed(reader_.text(*said), *said);
      if (made.resolve_node != nullptr && made.resolve_node->type != Type::vector)
        reader_.wrong(*said, fmt::format("what resolves is an instant vector, this is a {}",
                                         name_of(made.resolve_node->type)));
      made.resolve_expr = text_of(made.resolve_node);
    }
    if (const YamlNode* said = fields.find("no_data")) {
      made.no_data = no_data(*said);
      if (input_of(*made.node) == nullptr)
        reader_.wrong(*said,
                      "no_data needs an expression that is a comparison: what is compared is "
                      "the input");
    }
  }

  Rule::NoData no_data(const YamlNode& node) {
    const std::string said = reader_.text(node);
    if (said == "fire") return Rule::NoData::fire;
    if (said == "resolve") return Rule::NoData::resolve;
    if (said != "keep") reader_.wrong(node, "expected keep, fire or resolve");
    return Rule::NoData::keep;
  }

  std::vector<YamlText> named(const YamlFields& fields, std::string_view key,
                              std::string_view what) {
    const YamlNode* const said = fields.find(key);
    if (said == nullptr) return {};
    std::vector<YamlText> found = reader_.texts(*said);
    for (const YamlText& one : found)
      if (!collector::is_label_name(one.name))
        reader_.wrong(*one.name_at, fmt::format("'{}' is no {}'s name", one.name, what));
    std::ranges::sort(found, {}, &YamlText::name);
    return found;
  }

  std::vector<YamlText> labels(const YamlFields& fields) {
    std::vector<YamlText> found = named(fields, "labels", "label");
    for (const YamlText& one : found)
      if (one.name == collector::metric_name)
        reader_.wrong(*one.name_at, fmt::format("a rule cannot set the label '{}'", one.name));
    return found;
  }
  std::vector<YamlText> annotations(const YamlFields& fields) {
    return named(fields, "annotations", "annotation");
  }

  std::vector<Templated> templates(const std::vector<YamlText>& texts, std::string_view what) {
    std::vector<Templated> made;
    for (const YamlText& one : texts) made.push_back({one.name, one.text, compiled(one, what)});
    return made;
  }
  Template compiled(const YamlText& one, std::string_view what) {
    if (!reader_.ok()) return {};
    auto compiled = Template::parse(one.text);
    if (compiled) {
      hold({.nodes = compiled->nodes()}, *one.at);
      return std::move(*compiled);
    }
    reader_.wrong(*one.at, fmt::format("{} '{}': {}", what, one.name, compiled.error().message),
                  compiled.error().code);
    return {};
  }

  void add(Rule made, const YamlNode& at) {
    if (!reader_.ok()) return;
    if (++held_.rules > limits::rules)
      return reader_.wrong(at, fmt::format("more than {} rules", limits::rules), Errc::too_big);
    rules_->push_back(std::move(made));
  }

  YamlReader reader_;
  const bool ours_;  // whether the keys beyond Prometheus' are known
  std::set<std::string> names_;
  std::vector<RuleGroup> groups_;
  std::vector<Rule>* rules_ = nullptr;  // of the group that is read
  Held& held_;
};

bool has_wildcard(std::string_view pattern) {
  return pattern.find_first_of("*?[\\") != std::string_view::npos;
}

// The files that it names, into a set.
Status find_files(const std::string& pattern, std::set<std::string>& into) {
  if (!has_wildcard(pattern)) {
    into.insert(pattern);
    return {};
  }
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&globfree)> freed(&found, &globfree);
  const int done = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (done != 0 && done != GLOB_NOMATCH)
    return fail(Errc::not_found, fmt::format("cannot look for {}", pattern));
  for (std::size_t i = 0; i < found.gl_pathc && into.size() <= limits::rule_files; ++i)
    into.insert(found.gl_pathv[i]);
  return {};
}

Result<std::vector<RuleGroup>> parse(std::string_view text, std::string_view name, Held& held) {
  if (text.size() > limits::rule_file_bytes)
    return fail(Errc::too_big,
                fmt::format("{}: longer than {} bytes", name, limits::rule_file_bytes));
  const auto tree = YamlTree::parse(text, name);
  if (!tree) return std::unexpected(tree.error());
  return Loader(name, held).load(tree->root());
}

}  // namespace

Result<std::vector<RuleGroup>> parse_rule_file(std::string_view text, std::string_view name) {
  Held held;
  return parse(text, name, held);
}

Result<std::vector<std::string>> find_rule_files(const std::string& pattern) {
  std::set<std::string> files;
  if (auto found = find_files(pattern, files); !found)
    return std::unexpected(std::move(found).error());
  return std::vector<std::string>(files.begin(), files.end());
}

Result<std::string> text_of_rule_file(const std::string& path) {
  std::error_code unknown;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, unknown))
    return fail(Errc::not_found, "cannot read " + path);
  std::string text;
  std::string chunk(64 << 10, '\0');
  while (text.size() <= limits::rule_file_bytes && file) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk, 0, static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) return fail(Errc::not_found, "cannot read " + path);
  return text;
}

Result<std::vector<RuleGroup>> read_rule_file(const std::string& path) {
  const auto text = text_of_rule_file(path);
  if (!text) return std::unexpected(text.error());
  return parse_rule_file(*text, path);
}

Result<std::vector<RuleGroup>> read_rule_files(std::span<const std::string> patterns) {
  std::set<std::string> files;
  for (const std::string& pattern : patterns)
    if (auto found = find_files(pattern, files); !found)
      return std::unexpected(std::move(found).error());
  if (files.size() > limits::rule_files)
    return fail(Errc::too_big, fmt::format("more than {} files of rules", limits::rule_files));
  std::vector<RuleGroup> all;
  Held held;
  for (const std::string& file : files) {
    const auto text = text_of_rule_file(file);
    if (!text) return std::unexpected(text.error());
    auto groups = parse(*text, file, held);
    if (!groups) return groups;
    std::ranges::move(*groups, std::back_inserter(all));
  }
  return all;
}

std::vector<std::string> repeated_rules(std::span<const RuleGroup> groups) {
  std::map<std::string, int> seen;  // its name and labels, and the line of the first
  std::vector<std::string> told;
  for (const RuleGroup& group : groups) {
    for (const Rule& rule : group.rules) {
      std::string key = fmt::format("{}\n{}\n", group.file, rule.name);
      for (const Templated& label : rule.labels)
        key += fmt::format("{}:{}\n{}\n", label.text.size(), label.name, label.text);
      const auto [first, is_new] = seen.emplace(std::move(key), rule.line);
      if (!is_new)
        told.push_back(fmt::format("{}:{}: '{}' has the name and labels of the rule in line {}",
                                   group.file, rule.line, rule.name, first->second));
    }
  }
  return told;
}

}  // namespace tallymill::alerting
