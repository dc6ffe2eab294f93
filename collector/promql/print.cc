#include "collector/promql/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/duration.h"
#include "collector/promql/function_table.h"
#include "collector/promql/go_text.h"

namespace tallymill::promql {
namespace {

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string text_of(const Shift& shift) {
  std::string said;
  if (shift.at) {
    switch (shift.at->kind) {
      case At::Kind::start:
        said += " @ start()";
        break;
      case At::Kind::end:
        said += " @ end()";
        break;
      case At::Kind::time:
        said += fmt::format(" @ {:.3f}", static_cast<double>(shift.at->t_ms) / 1000);
    }
  }
  if (shift.offset_ms != 0)
    said += fmt::format(" offset {}{}", shift.offset_ms < 0 ? "-" : "",
                        duration_text(std::abs(shift.offset_ms)));
  return said;
}

std::string text_of(const Number& number) { return go_number(number.value); }
std::string text_of(const Text& string) { return go_quoted(string.value); }
std::string text_of(const Matcher& matcher) {
  constexpr std::array<std::string_view, 4> signs = {"=", "!=", "=~", "!~"};
  return fmt::format("{}{}{}", matcher.name(), signs.at(static_cast<std::size_t>(matcher.kind())),
                     go_quoted(matcher.value()));
}
std::string text_of(const Selector& selector) {
  std::vector<std::string> matchers;
  for (const Matcher& matcher : selector.matchers) {
    const bool before = !selector.metric.empty() && matcher.name() == collector::metric_name &&
                        matcher.kind() == Matcher::Kind::equal;
    if (!before) matchers.push_back(text_of(matcher));
  }
  std::ranges::sort(matchers);
  std::string said = selector.metric;
  if (!matchers.empty()) said += fmt::format("{{{}}}", fmt::join(matchers, ","));
  if (selector.range_ms != 0) said += "[" + duration_text(selector.range_ms) + "]";
  return said + text_of(selector.shift);
}
std::string suffix_of(const Subquery& subquery) {
  return fmt::format("[{}:{}]{}", duration_text(subquery.range_ms),
                     subquery.step_ms == 0 ? "" : duration_text(subquery.step_ms),
                     text_of(subquery.shift));
}
std::string text_of(const Subquery& subquery) { return text(*subquery.of) + suffix_of(subquery); }
std::string text_of(const Call& call) {
  std::string said(call.function->name);
  said += '(';
  for (std::size_t i = 0; i < call.arguments.size(); ++i)
    said += (i == 0 ? "" : ", ") + text(*call.arguments[i]);
  return said + ')';
}
// Up to its arguments.
std::string head_of(const Aggregate& aggregate) {
  std::string said(name_of(aggregate.op));
  if (aggregate.without || !aggregate.labels.empty())
    said +=
        fmt::format(" {} ({}) ", aggregate.without ? "without" : "by", joined(aggregate.labels));
  return said;
}
std::string text_of(const Aggregate& aggregate) {
  std::string said = head_of(aggregate) + '(';
  if (aggregate.parameter) said += text(*aggregate.parameter) + ", ";
  return said + text(*aggregate.of) + ')';
}
// The operator, and how its sides find one another.
std::string operator_of(const Binary& binary) {
  std::string how(name_of(binary.op));
  if (binary.return_bool) how += " bool";
  const Matching& matching = binary.matching;
  const bool many = matching.card == Matching::Card::many_to_one;
  const bool grouped = many || matching.card == Matching::Card::one_to_many;
  if (matching.on || !matching.labels.empty() || grouped)
    how += fmt::format(" {} ({})", matching.on ? "on" : "ignoring", joined(matching.labels));
  if (grouped)
    how += fmt::format(" {} ({})", many ? "group_left" : "group_right", joined(matching.include));
  return how;
}
std::string text_of(const Binary& binary) {
  return fmt::format("{} {} {}", text(*binary.left), operator_of(binary), text(*binary.right));
}
std::string text_of(const Signed& node) { return (node.minus ? "-" : "+") + text(*node.of); }
std::string text_of(const Paren& paren) { return "(" + text(*paren.of) + ")"; }

// ---- over several lines ----

constexpr std::size_t line_length = 100;

std::string indent(int level) { return std::string(static_cast<std::size_t>(level) * 2, ' '); }

// Whether it has more nodes than a line has bytes, and so is longer. `left`: of those that may
// come.
bool is_large(const Node& node, std::size_t& left) {
  if (left == 0) return true;
  --left;
  bool large = false;
  for_each_child(node, [&](const Node& child) { large = large || is_large(child, left); });
  return large;
}
bool is_large(const Node& node) {
  std::size_t left = line_length;
  return is_large(node, left);
}

// Each node that is longer than a line, with its parts a level deeper. What is large is not written
// to see how long it is: that again at each level would take the square of its size.
class Pretty {
 public:
  static std::string of(const Node& node, int level) {
    if (const auto* subquery = std::get_if<Subquery>(&node.is))
      return split(*subquery, node, level);
    if (const auto* sign = std::get_if<Signed>(&node.is)) return split(*sign, level);
    const std::string whole = is_large(node) ? std::string() : text(node);
    if (!whole.empty() && whole.size() <= line_length) return indent(level) + whole;
    return std::visit([&](const auto& is) { return split(is, whole, level); }, node.is);
  }

 private:
  template <class Leaf>
  static std::string split(const Leaf&, const std::string& whole, int level) {
    return indent(level) + whole;
  }
  static std::string split(const Aggregate& aggregate, const std::string&, int level) {
    std::string said = indent(level) + head_of(aggregate) + "(\n";
    if (aggregate.parameter) said += of(*aggregate.parameter, level + 1) + ",\n";
    return said + of(*aggregate.of, level + 1) + "\n" + indent(level) + ")";
  }
  static std::string split(const Binary& binary, const std::string&, int level) {
    return fmt::format("{}\n{}{}\n{}", of(*binary.left, level + 1), indent(level),
                       operator_of(binary), of(*binary.right, level + 1));
  }
  static std::string split(const Call& call, const std::string&, int level) {
    std::string said = fmt::format("{}{}(\n", indent(level), call.function->name);
    for (std::size_t i = 0; i < call.arguments.size(); ++i)
      said += (i == 0 ? "" : ",\n") + of(*call.arguments[i], level + 1);
    return said + "\n" + indent(level) + ")";
  }
  static std::string split(const Paren& paren, const std::string&, int level) {
    return fmt::format("{0}(\n{1}\n{0})", indent(level), of(*paren.of, level + 1));
  }
  static std::string split(const Subquery& subquery, const Node& node, int level) {
    // As it is there: what is short is not moved.
    std::string whole = is_large(node) ? std::string() : text(node);
    if (!whole.empty() && whole.size() <= line_length) return whole;
    return of(*subquery.of, level) + suffix_of(subquery);
  }
  static std::string split(const Signed& node, int level) {
    const std::string operand = of(*node.of, level);
    return indent(level) + (node.minus ? '-' : '+') +
           operand.substr(std::min(operand.find_first_not_of(" \n"), operand.size()));
  }
};

}  // namespace

std::string text(const Node& node) {
  return std::visit([](const auto& is) { return text_of(is); }, node.is);
}

std::string pretty(const Node& node) { return Pretty::of(node, 0); }

namespace {

// Digits and an exponent, "1.25e+20", written out: 125000000000000000000.
std::string written_out(std::string_view scientific) {
  const std::size_t e = scientific.find('e');
  std::string digits(scientific.substr(0, e));
  const bool minus = digits.starts_with('-');
  std::erase_if(digits, [](char c) { return c == '.' || c == '-'; });
  std::size_t exponent = 0;
  std::from_chars(scientific.data() + e + 2, scientific.data() + scientific.size(), exponent);
  digits.resize(std::max(digits.size(), exponent + 1), '0');
  return (minus ? "-" : "") + digits;
}

}  // namespace

// As Go's 'f' with the fewest digits that tell it from every other number.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 400> digits{};
  char* const begin = digits.data();
  char* const end = begin + digits.size();
  // Up to here it has no digit that it does not need; from here on it is a whole number.
  constexpr double every_whole = 9007199254740992;  // 2^53
  if (std::abs(value) < every_whole)
    return {begin, std::to_chars(begin, end, value, std::chars_format::fixed).ptr};
  const auto written = std::to_chars(begin, end, value, std::chars_format::scientific);
  return written_out({begin, written.ptr});
}

}  // namespace tallymill::promql
