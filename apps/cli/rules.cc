// rules: check, test and convert files of rules.
#include "apps/cli/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "alerting/convert.h"
#include "alerting/rule_file.h"
#include "alerting/rule_test.h"
#include "alerting/rule_test_file.h"
#include "alerting/shipped.h"
#include "apps/cli/terminal.h"
#include "base/duration.h"
#include "base/utf8.h"

namespace tallymill::cli {
namespace {

using alerting::Rule;
using alerting::RuleGroup;
using nlohmann::json;

// What becomes of the files together.
class Verdict {
 public:
  void refused() { refused_ = true; }
  void add(const Error& error) {
    if (error.code == Errc::not_found)
      unread_ = true;
    else
      refused_ = true;
  }
  [[nodiscard]] int exit_code() const {
    if (refused_) return exit_negative;
    return unread_ ? info(Errc::not_found).exit : exit_ok;
  }

 private:
  bool refused_ = false;
  bool unread_ = false;
};

std::string count_of(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string verdict_word(bool ok) {
  return ok ? coloured("ok", Colour::green) : coloured("failed", Colour::red);
}

// A file's texts may hold any bytes.
std::string shown(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0)
      valid += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    else
      valid += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return printable_lines(valid);
}

void say(std::string_view text) { fmt::print(stderr, "{}\n", shown(text)); }

// ---- check ----

std::string labels_text(const std::vector<alerting::Templated>& texts) {
  std::string all;
  for (const alerting::Templated& one : texts)
    all +=
        fmt::format("{}{}: {}", all.empty() ? "" : ", ", one.name, alerting::yaml_quoted(one.text));
  return "{" + all + "}";
}

json expanded_json(const Rule& rule) {
  json labels = json::object();
  for (const alerting::Templated& one : rule.labels) labels[one.name] = one.text;
  json value = {{"line", rule.line},
                {"type", rule.kind == Rule::Kind::recording ? "recording" : "alerting"},
                {"name", rule.name},
                {"expr", rule.expr},
                {"labels", labels}};
  if (!rule.resolve_expr.empty()) value["resolve_expr"] = rule.resolve_expr;
  if (rule.hold.count() > 0) value["for"] = duration_text(rule.hold.count());
  return value;
}

std::string expanded_text(const Rule& rule) {
  std::string text = fmt::format("  line {}: {} {}\n    expr: {}\n", rule.line,
                                 rule.kind == Rule::Kind::recording ? "record" : "alert",
                                 printable(rule.name), printable(rule.expr));
  if (!rule.resolve_expr.empty())
    text += fmt::format("    resolve_expr: {}\n", printable(rule.resolve_expr));
  if (rule.hold.count() > 0) text += fmt::format("    for: {}\n", duration_text(rule.hold.count()));
  if (!rule.labels.empty())
    text += fmt::format("    labels: {}\n", printable(labels_text(rule.labels)));
  return text;
}

struct Checked {
  std::string file;
  Result<std::vector<RuleGroup>> groups;
  std::vector<std::string> repeated = {};

  [[nodiscard]] std::size_t rules() const {
    std::size_t count = 0;
    for (const RuleGroup& group : *groups) count += group.rules.size();
    return count;
  }
  template <class Each>
  void each_expanded(Each each) const {
    for (const RuleGroup& group : *groups)
      for (const Rule& rule : group.rules)
        if (rule.expanded) each(rule);
  }
};

json checked_json(const Checked& checked, bool expand) {
  json value = {{"file", checked.file}, {"ok", checked.groups.has_value()}};
  if (!checked.groups) {
    add_error(value["error"], checked.groups.error());
    return value;
  }
  value["rules"] = checked.rules();
  value["warnings"] = checked.repeated;
  if (!expand) return value;
  value["expanded"] = json::array();
  checked.each_expanded(
      [&](const Rule& rule) { value["expanded"].push_back(expanded_json(rule)); });
  return value;
}

void tell_checked(const Checked& checked, bool expand) {
  print(fmt::format("{}: {}", printable(checked.file), verdict_word(checked.groups.has_value())));
  if (!checked.groups) {
    print("\n");
    std::fflush(stdout);
    return say(checked.groups.error().message);
  }
  print(fmt::format(", {}\n", count_of(checked.rules(), "rule")));
  if (expand) checked.each_expanded([](const Rule& rule) { print(expanded_text(rule)); });
  std::fflush(stdout);
  for (const std::string& one : checked.repeated) say("warning: " + one);
}

// ---- test ----

json failure_json(const alerting::TestFailure& failure) {
  return {{"line", failure.line},
          {"test", failure.test},
          {"message", failure.what},
          {"diff", failure.diff}};
}

void tell_failure(const std::string& file, const alerting::TestFailure& failure) {
  const std::string place = failure.line > 0 ? fmt::format("{}:{}", file, failure.line) : file;
  print(fmt::format("  {}: {}{}\n", printable(place),
                    failure.test.empty() ? "" : printable(failure.test) + ": ",
                    shown(failure.what)));
  for (const std::string& line : failure.diff) {
    const Colour colour = line.starts_with('-')   ? Colour::red
                          : line.starts_with('+') ? Colour::green
                                                  : Colour::plain;
    print(fmt::format("    {}\n", coloured(shown(line), colour)));
  }
}

struct Tested {
  std::string file;
  Result<alerting::TestReport> report;
};

Tested tested(const std::string& name, alerting::RuleCoverage& coverage) {
  const auto file = alerting::read_rule_test_file(name);
  if (!file) return {name, std::unexpected(file.error())};
  return {name, alerting::run_rule_tests(*file, coverage)};
}

json tested_json(const Tested& one) {
  json value = {{"file", one.file}, {"ok", one.report && one.report->failures.empty()}};
  if (!one.report) {
    add_error(value["error"], one.report.error());
    return value;
  }
  value["tests"] = one.report->tests;
  value["checks"] = one.report->checks;
  value["warnings"] = one.report->warnings;
  value["failures"] = json::array();
  for (const auto& failure : one.report->failures)
    value["failures"].push_back(failure_json(failure));
  return value;
}

void tell_tested(const Tested& one) {
  const bool ok = one.report && one.report->failures.empty();
  print(fmt::format("{}: {}", printable(one.file), verdict_word(ok)));
  if (!one.report) {
    print("\n");
    std::fflush(stdout);
    return say(one.report.error().message);
  }
  print(fmt::format(", {}, {}\n", count_of(one.report->tests, "test"),
                    count_of(one.report->checks, "check")));
  for (const auto& failure : one.report->failures) tell_failure(one.file, failure);
  std::fflush(stdout);
  for (const std::string& warning : one.report->warnings) say("warning: " + warning);
}

double percent_of(const alerting::RuleCoverage& coverage) {
  const std::size_t count = coverage.count();
  return count == 0 ? 100
                    : 100.0 * static_cast<double>(coverage.fired()) / static_cast<double>(count);
}

json coverage_json(const alerting::RuleCoverage& coverage) {
  json silent = json::array();
  for (const auto& one : coverage.all())
    if (!one.fired) silent.push_back({{"file", one.file}, {"line", one.line}, {"name", one.name}});
  return {{"rules", coverage.count()},
          {"fired", coverage.fired()},
          {"percent", percent_of(coverage)},
          {"silent", silent}};
}

void tell_coverage(const alerting::RuleCoverage& coverage) {
  print(fmt::format("coverage: {} of {} fired ({:.1f} %)\n", coverage.fired(),
                    count_of(coverage.count(), "alerting rule"), percent_of(coverage)));
  for (const auto& one : coverage.all())
    if (!one.fired)
      print(fmt::format("  {}:{}: {} did not fire\n", printable(one.file), one.line,
                        printable(one.name)));
}

// ---- convert ----

// Of all files; group names must be distinct there as in one file.
Result<std::vector<RuleGroup>> groups_of(const std::vector<std::string>& files) {
  std::vector<RuleGroup> all;
  std::map<std::string, std::string> file_of;  // a group's
  for (const std::string& file : files) {
    auto groups = alerting::read_rule_file(file);
    if (!groups) return groups;
    for (RuleGroup& group : *groups) {
      const auto [at, fresh] = file_of.emplace(group.name, file);
      if (!fresh)
        return fail(Errc::bad_params,
                    fmt::format("a group '{}' is in {} and in {}: one file may have it once",
                                group.name, at->second, file));
      all.push_back(std::move(group));
    }
  }
  return all;
}

Status write_text(const std::string& path, const std::string& text, bool force) {
  std::error_code unknown;
  if (!force && std::filesystem::exists(path, unknown))
    return fail(Errc::wrong_state, path + " is there already; --force writes over it");
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return fail(Errc::disk, "cannot write " + path);
  return {};
}

}  // namespace

int rules_check(const RulesCheckArgs& args) {
  Verdict verdict;
  json all = json::array();
  for (const std::string& file : args.files) {
    Checked checked{.file = file, .groups = alerting::read_rule_file(file)};
    if (!checked.groups)
      verdict.add(checked.groups.error());
    else if (args.lint != "none")
      checked.repeated = alerting::repeated_rules(*checked.groups);
    if (args.lint_fatal && !checked.repeated.empty()) verdict.refused();
    if (args.common.json)
      all.push_back(checked_json(checked, args.expand));
    else
      tell_checked(checked, args.expand);
  }
  if (args.common.json) print_json({{"files", all}});
  return verdict.exit_code();
}

int rules_test(const RulesTestArgs& args) {
  Verdict verdict;
  alerting::RuleCoverage coverage;
  json all = json::array();
  for (const std::string& file : args.files) {
    const Tested one = tested(file, coverage);
    if (!one.report)
      verdict.add(one.report.error());
    else if (!one.report->failures.empty())
      verdict.refused();
    if (args.common.json)
      all.push_back(tested_json(one));
    else
      tell_tested(one);
  }
  if (percent_of(coverage) < args.coverage_min) verdict.refused();
  if (args.common.json)
    print_json({{"files", all}, {"coverage", coverage_json(coverage)}});
  else if (args.coverage || args.coverage_min > 0)
    tell_coverage(coverage);
  return verdict.exit_code();
}

int rules_shipped(const RulesShippedArgs& args) {
  if (args.common.json)
    print_json({{"yaml", alerting::shipped_text()}});
  else
    print(alerting::shipped_text());
  return exit_ok;
}

int rules_convert(const RulesConvertArgs& args) {
  const auto groups = groups_of(args.files);
  if (!groups) {
    Verdict verdict;  // as check and test end
    verdict.add(groups.error());
    tell(args.common, groups.error());
    return verdict.exit_code();
  }
  const alerting::Converted converted = alerting::to_prometheus(*groups);
  if (!args.out.empty())
    if (auto written = write_text(args.out, converted.yaml, args.force); !written)
      return tell(args.common, written.error());
  if (args.common.json) {
    json value = {{"warnings", converted.warnings}};
    if (args.out.empty())
      value["yaml"] = converted.yaml;
    else
      value["file"] = args.out;
    print_json(value);
    return exit_ok;
  }
  if (args.out.empty()) print(converted.yaml);
  std::fflush(stdout);
  for (const std::string& warning : converted.warnings) say("warning: " + warning);
  return exit_ok;
}

}  // namespace tallymill::cli
