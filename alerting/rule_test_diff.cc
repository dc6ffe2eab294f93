#include "alerting/rule_test_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "collector/promql/print.h"

namespace tallymill::alerting {
namespace {

using Lines = std::vector<std::string>;

// {a="b", c="d"}
std::string in_braces(const NamedTexts& texts) {
  std::string all = "{";
  for (const auto& [name, text] : texts) {
    if (all.size() > 1) all += ", ";
    all += name + "=";
    collector::append_quoted(all, text);
  }
  return all + "}";
}

std::string assigned(const std::string& name, const std::string& text) {
  std::string line = name + ": ";
  collector::append_quoted(line, text);
  return line;
}

// Of one that was expected and one that is there.
void add_annotations(const NamedTexts& expected, const NamedTexts& is, Lines& lines) {
  const std::map<std::string, std::string> wanted(expected.begin(), expected.end());
  const std::map<std::string, std::string> found(is.begin(), is.end());
  for (const auto& [name, text] : wanted) {
    const auto other = found.find(name);
    if (other != found.end() && other->second == text) continue;
    lines.push_back("-   " + assigned(name, text));
    if (other != found.end()) lines.push_back("+   " + assigned(name, other->second));
  }
  for (const auto& [name, text] : found)
    if (!wanted.contains(name)) lines.push_back("+   " + assigned(name, text));
}

void add_alone(char sign, const ExpectedAlert& alert, Lines& lines) {
  lines.push_back(fmt::format("{} {}", sign, in_braces(alert.labels)));
  for (const auto& [name, text] : alert.annotations)
    lines.push_back(fmt::format("{}   {}", sign, assigned(name, text)));
}

bool is_less(const ExpectedAlert& a, const ExpectedAlert& b) {
  return a.labels != b.labels ? a.labels < b.labels : a.annotations < b.annotations;
}

// One after the other in the order of their keys: `both` for two of the same key.
template <class All, class Key, class Alone, class Both>
void walk(const All& expected, const All& is, Key key, Alone alone, Both both) {
  auto left = expected.begin();
  auto right = is.begin();
  while (left != expected.end() || right != is.end()) {
    if (right == is.end() || (left != expected.end() && key(*left) < key(*right)))
      alone('-', *left++);
    else if (left == expected.end() || key(*right) < key(*left))
      alone('+', *right++);
    else
      both(*left++, *right++);
  }
}

std::string line_of(const NamedValue& one) {
  return fmt::format("{} {}", one.first.text(), promql::number_text(one.second));
}

}  // namespace

Lines difference(std::vector<ExpectedAlert> expected, std::vector<ExpectedAlert> is) {
  Lines lines;
  std::ranges::sort(expected, is_less);
  std::ranges::sort(is, is_less);
  walk(
      expected, is, [](const ExpectedAlert& one) -> const NamedTexts& { return one.labels; },
      [&](char sign, const ExpectedAlert& one) { add_alone(sign, one, lines); },
      [&](const ExpectedAlert& wanted, const ExpectedAlert& found) {
        if (wanted.annotations == found.annotations) return;
        lines.push_back("  " + in_braces(wanted.labels));
        add_annotations(wanted.annotations, found.annotations, lines);
      });
  return lines;
}

Lines difference(std::vector<NamedValue> expected, std::vector<NamedValue> is) {
  Lines lines;
  bool has_nan = false;
  std::ranges::sort(expected, {}, &NamedValue::first);
  std::ranges::sort(is, {}, &NamedValue::first);
  const auto add = [&](char sign, const NamedValue& one) {
    lines.push_back(fmt::format("{} {}", sign, line_of(one)));
  };
  walk(
      expected, is, [](const NamedValue& one) -> const collector::Labels& { return one.first; },
      add,
      [&](const NamedValue& wanted, const NamedValue& found) {
        if (wanted.second == found.second) return;
        has_nan = has_nan || (std::isnan(wanted.second) && std::isnan(found.second));
        add('-', wanted);
        add('+', found);
      });
  if (has_nan) lines.emplace_back("  NaN is equal to nothing: expect a row of `expr != expr`");
  return lines;
}

}  // namespace tallymill::alerting
