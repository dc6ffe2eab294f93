#include "alerting/rule_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <unordered_map>
#include <utility>

#include "alerting/group.h"
#include "alerting/limits.h"
#include "alerting/memory_store.h"
#include "alerting/rule_test_diff.h"
#include "base/duration.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "collector/promql/series_notation.h"
#include "collector/stable_sort.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;

std::string time_text(std::chrono::milliseconds at) { return duration_text(at.count()); }

// ---- the rules of a file ----

// One letter of a class, maybe escaped, off the pattern; false: there is none.
bool take_letter(std::string_view& rest) {
  if (rest.empty() || rest.front() == '-' || rest.front() == ']') return false;
  if (rest.front() == '\\') rest.remove_prefix(1);
  if (rest.empty()) return false;
  rest.remove_prefix(1);
  return true;
}

// What stands behind '[', off the pattern; false: it is no class as Go has them.
bool take_class(std::string_view& rest) {
  if (rest.starts_with('^')) rest.remove_prefix(1);
  do {
    if (!take_letter(rest)) return false;
    if (!rest.starts_with('-')) continue;
    rest.remove_prefix(1);
    if (!take_letter(rest)) return false;
  } while (!rest.starts_with(']'));
  rest.remove_prefix(1);
  return true;
}

// glob(3) takes what is no pattern for itself; Go refuses it.
bool is_pattern(std::string_view rest) {
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '[' && !take_class(rest)) return false;
    if (c != '\\') continue;
    if (rest.empty()) return false;
    rest.remove_prefix(1);
  }
  return true;
}

// Of a relative one, beside the test file.
std::string placed(const std::string& pattern, const std::string& test_file) {
  const std::filesystem::path folder = std::filesystem::path(test_file).parent_path();
  std::string path = (folder / pattern).lexically_normal().string();  // an absolute one stays
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Result<std::vector<RuleGroup>> rules_of(const RuleTestFile& file,
                                        std::vector<std::string>& warnings) {
  std::set<std::string> names;
  for (const std::string& pattern : file.rule_files) {
    if (!is_pattern(pattern))
      return fail(Errc::bad_params, fmt::format("'{}' is no pattern of files", pattern));
    const std::string where = pattern.empty() ? pattern : placed(pattern, file.name);
    auto found = find_rule_files(where);
    if (!found) return std::unexpected(std::move(found).error());
    std::error_code unknown;
    if (found->empty() ||
        (*found == std::vector{where} && !std::filesystem::exists(where, unknown)))
      warnings.push_back(fmt::format("{}: no file is named by '{}'", file.name, where));
    else
      names.insert(found->begin(), found->end());
  }
  if (names.size() > limits::rule_files)
    return fail(Errc::too_big, fmt::format("more than {} files of rules", limits::rule_files));
  std::vector<RuleGroup> all;
  std::size_t rules = 0;
  for (const std::string& name : names) {
    auto groups = read_rule_file(name);
    if (!groups) return groups;
    for (RuleGroup& group : *groups) {
      rules += group.rules.size();
      all.push_back(std::move(group));
    }
    if (rules > limits::rules || all.size() > limits::rule_groups)
      return fail(Errc::too_big, fmt::format("more than {} rules or {} groups in all files",
                                             limits::rules, limits::rule_groups));
  }
  return all;
}

// As the file asks for; one that it does not name is as good as the first.
void put_in_order(std::vector<RuleGroup>& groups, const std::vector<std::string>& order) {
  const auto place = [&](const RuleGroup& group) {
    const auto at = std::ranges::find(order, group.name);
    return at == order.end() ? 0 : at - order.begin();
  };
  collector::stable_sort(
      groups, [&](const RuleGroup& a, const RuleGroup& b) { return place(a) < place(b); });
}

// ---- one test ----

struct Input {
  Labels labels;
  promql::NotedSamples samples;
};

class Run {
 public:
  Run(const RuleTestFile& file, const RuleTest& test, const std::vector<RuleGroup>& rules,
      RuleCoverage& coverage, TestReport& report)
      : file_(file), test_(test), coverage_(coverage), report_(report) {
    options_.rules.external_labels = test.external_labels;
    options_.rules.external_url = test.external_url;
    options_.evaluate.subquery_step = file.interval;
    for (const RuleGroup& group : rules)
      groups_.push_back(std::make_unique<Group>(group, options_, store_, store_));
  }

  void run() {
    report_.checks += test_.alerts.size() + test_.expressions.size();
    if (!read_series() || !sort_cases()) return;
    std::chrono::milliseconds last{0};
    for (const AlertCase& one : test_.alerts) last = std::max(last, one.at);
    for (const ExpressionCase& one : test_.expressions) last = std::max(last, one.at);
    if (last / file_.interval >= limits::rule_test_moments)
      return failed(test_.line,
                    fmt::format("until {} there are more than {} moments of {}", time_text(last),
                                limits::rule_test_moments, time_text(file_.interval)));
    for (std::chrono::milliseconds at{0}; at <= last; at += file_.interval)
      if (!step(at)) return;
    for (const ExpressionCase& one : test_.expressions) check(one);
  }

 private:
  void failed(int line, std::string what, std::vector<std::string> diff = {}) {
    report_.failures.push_back({line, test_.name, std::move(what), std::move(diff)});
  }

  // As lines of promtool's scripts: an empty one ends them all.
  bool read_series() {
    for (std::size_t i = 0; i < test_.series.size(); ++i) {
      const InputSeries& said = test_.series[i];
      const std::string text = said.series + " " + said.values;
      for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = trimmed(std::string_view(text).substr(begin, end - begin));
        begin = end + 1;
        if (line.empty() || line.front() == '#') {
          if (i + 1 < test_.series.size())
            report_.warnings.push_back(
                fmt::format("{}:{}: an empty line ends the series: those behind it are not there",
                            file_.name, said.line));
          return true;
        }
        if (!add_series(line, said.line)) return false;
      }
    }
    return true;
  }
  static std::string_view trimmed(std::string_view line) {
    constexpr std::string_view blanks = " \t\r\v\f";
    const std::size_t begin = std::min(line.find_first_not_of(blanks), line.size());
    line.remove_prefix(begin);
    return line.substr(0, line.find_last_not_of(blanks) + 1);
  }

  bool add_series(std::string_view text, int line) {
    auto series = promql::parse_series(text);
    if (series && series->labels.empty())
      series = fail(Errc::bad_params, "a series needs a name or a label");
    if (!series) {
      failed(line, fmt::format("series '{}': {}", text, series.error().message));
      return false;
    }
    promql::NotedSamples samples(std::move(series->runs), test_.interval.count());
    const auto [known, fresh] = numbers_.emplace(series->labels, inputs_.size());
    if (fresh)
      inputs_.push_back({std::move(series->labels), std::move(samples)});
    else
      inputs_[known->second].samples = std::move(samples);
    if (test_.interval.count() == 0 && inputs_.size() == 1)
      report_.warnings.push_back(fmt::format(
          "{}:{}: a test without an interval: all its samples are at 0", file_.name, test_.line));
    return true;
  }

  bool sort_cases() {
    for (const AlertCase& one : test_.alerts) {
      if (one.alert.empty()) {
        failed(one.line, "a test of an alert needs an 'alertname'");
        return false;
      }
      cases_.push_back(&one);
    }
    collector::stable_sort(cases_,
                           [](const AlertCase* a, const AlertCase* b) { return a->at < b->at; });
    return true;
  }

  // False: nothing more can be said.
  bool step(std::chrono::milliseconds at) {
    if (!feed(at)) return false;
    bool healthy = true;
    for (const auto& group : groups_) {
      for (const Group::Happened& one : group->evaluate(at.count()))
        if (one.transition.what == Transition::What::fired)
          coverage_.fired(group->rules(), one.rule);
      healthy = tell_errors(*group, at) && healthy;
    }
    if (!healthy || !is_small()) return false;
    for (; next_case_ < cases_.size() && cases_[next_case_]->at < at + file_.interval; ++next_case_)
      check(*cases_[next_case_]);
    return true;
  }

  bool feed(std::chrono::milliseconds at) {
    for (Input& input : inputs_) {
      auto& samples = input.samples;
      for (; samples.peek() && samples.peek()->t_ms <= at.count(); samples.pop()) {
        (void)store_.add(input.labels, samples.peek()->t_ms, samples.peek()->value);
        if (store_.samples() > limits::rule_test_samples) return is_small();
      }
    }
    return true;
  }
  bool is_small() {
    if (store_.samples() <= limits::rule_test_samples) return true;
    failed(test_.line, fmt::format("more than {} samples", limits::rule_test_samples));
    return false;
  }

  bool tell_errors(const Group& group, std::chrono::milliseconds at) {
    bool healthy = true;
    const std::vector<RuleStatus> all = group.status();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].health != Health::err) continue;
      const Rule& rule = group.rules().rules[i];
      failed(test_.line, fmt::format("rule {} ({}:{}) at {}: {}", rule.name, group.rules().file,
                                     rule.line, time_text(at), all[i].last_error));
      healthy = false;
    }
    return healthy;
  }

  void check(const AlertCase& one) {
    std::vector<ExpectedAlert> expected = one.expected;
    for (ExpectedAlert& alert : expected) {
      std::erase_if(alert.labels, [](const auto& label) { return label.first == "alertname"; });
      alert.labels.emplace_back("alertname", one.alert);
      std::ranges::sort(alert.labels);
    }
    auto diff = difference(std::move(expected), firing(one.alert));
    if (diff.empty()) return;
    failed(one.line, fmt::format("alert {} at {}", one.alert, time_text(one.at)), std::move(diff));
  }

  [[nodiscard]] std::vector<ExpectedAlert> firing(std::string_view name) const {
    std::vector<ExpectedAlert> all;
    for (const auto& group : groups_) {
      const std::vector<Rule>& rules = group->rules().rules;
      const bool has_it = std::ranges::any_of(rules, [&](const Rule& rule) {
        return rule.kind == Rule::Kind::alerting && rule.name == name;
      });
      if (!has_it) continue;
      const std::vector<RuleStatus> status = group->status();
      for (std::size_t i = 0; i < rules.size(); ++i) {
        if (rules[i].kind != Rule::Kind::alerting || rules[i].name != name) continue;
        for (const Alert& alert : status[i].alerts)
          if (alert.state == AlertState::firing) all.push_back(shown(rules[i], alert));
      }
    }
    return all;
  }
  // An annotation whose text is empty is no label of the alert, and is told.
  static ExpectedAlert shown(const Rule& rule, const Alert& alert) {
    ExpectedAlert made;
    for (const collector::Label& label : alert.labels)
      made.labels.emplace_back(label.name, label.value);
    for (const Templated& annotation : rule.annotations)
      made.annotations.emplace_back(annotation.name, alert.annotations.get(annotation.name));
    return made;
  }

  void check(const ExpressionCase& one) {
    const std::string what = fmt::format("expr {} at {}", one.expr, time_text(one.at));
    const auto is = asked(one);
    if (!is) return failed(one.line, fmt::format("{}: {}", what, is.error().message));
    std::vector<NamedValue> expected;
    for (const ExpectedSample& sample : one.expected) {
      auto labels = promql::parse_labels(sample.labels);
      if (!labels)
        return failed(one.line, fmt::format("{}: labels '{}': {}", what, sample.labels,
                                            labels.error().message));
      expected.emplace_back(std::move(*labels), sample.value);
    }
    auto diff = difference(std::move(expected), *is);
    if (!diff.empty()) failed(one.line, what, std::move(diff));
  }

  [[nodiscard]] Result<std::vector<NamedValue>> asked(const ExpressionCase& one) const {
    const auto node = promql::parse(one.expr);
    if (!node) return std::unexpected(node.error());
    if ((*node)->type != promql::Type::vector && (*node)->type != promql::Type::scalar)
      return fail(Errc::bad_params, fmt::format("expected an instant vector or a scalar, this is "
                                                "a {}",
                                                name_of((*node)->type)));
    promql::EvaluateOptions options = options_.evaluate;
    options.until = std::chrono::steady_clock::now() + limits::query_time;
    const auto value = promql::evaluate(**node, {.start_ms = one.at.count()}, store_, options);
    if (!value) return std::unexpected(value.error());
    std::vector<NamedValue> rows;
    if (value->type == promql::Type::scalar) rows.emplace_back(Labels(), value->scalars[0]);
    for (const promql::Row& row : value->rows) rows.emplace_back(row.labels, row.values[0]);
    return rows;
  }

  const RuleTestFile& file_;
  const RuleTest& test_;
  RuleCoverage& coverage_;
  TestReport& report_;
  Group::Options options_;
  MemoryStore store_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<Input> inputs_;
  std::unordered_map<Labels, std::size_t, collector::LabelsHash> numbers_;  // of the inputs
  std::vector<const AlertCase*> cases_;                                     // by time
  std::size_t next_case_ = 0;
};

}  // namespace

TestReport run_rule_tests(const RuleTestFile& file, RuleCoverage& coverage) {
  TestReport report{.tests = file.tests.size()};
  auto rules = rules_of(file, report.warnings);
  // Whoever asks for nothing is told nothing, as promtool does.
  if (!rules && !file.tests.empty()) {
    report.failures.push_back({0, "", rules.error().message});
    for (const RuleTest& test : file.tests)
      report.checks += test.alerts.size() + test.expressions.size();
  }
  if (!rules) return report;
  put_in_order(*rules, file.group_order);
  for (const RuleGroup& group : *rules) coverage.add(group);
  for (const RuleTest& test : file.tests) Run(file, test, *rules, coverage, report).run();
  return report;
}

void RuleCoverage::add(const RuleGroup& group) {
  auto& known = rules_[{group.file, group.name}];
  for (std::size_t i = 0; i < group.rules.size(); ++i) {
    const Rule& rule = group.rules[i];
    if (rule.kind == Rule::Kind::alerting)
      known.emplace(i, One{.file = group.file, .line = rule.line, .name = rule.name});
  }
}

void RuleCoverage::fired(const RuleGroup& group, std::size_t rule) {
  rules_.at({group.file, group.name}).at(rule).fired = true;
}

std::vector<RuleCoverage::One> RuleCoverage::all() const {
  std::vector<One> found;
  for (const auto& of_group : rules_)
    for (const auto& of_rule : of_group.second) found.push_back(of_rule.second);
  collector::stable_sort(found, [](const One& a, const One& b) {
    return a.file != b.file ? a.file < b.file : a.line < b.line;
  });
  return found;
}

std::size_t RuleCoverage::count() const {
  std::size_t count = 0;
  for (const auto& of_group : rules_) count += of_group.second.size();
  return count;
}

std::size_t RuleCoverage::fired() const {
  const std::vector<One> found = all();
  return static_cast<std::size_t>(std::ranges::count(found, true, &One::fired));
}

}  // namespace tallymill::alerting
