#include "collector/promql/print.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "collector/promql/function_table.h"
#include "collector/promql/lexer.h"
#include "collector/promql/parser.h"

namespace tallymill::promql {
namespace {

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

// What the parser takes for a metric's name when it stands alone.
bool is_plain_name(std::string_view name) {
  Lexer lexer(name);
  const auto token = lexer.next();
  if (!token || token->kind != Token::Kind::word || token->text.size() != name.size()) return false;
  const auto again = parse(name);
  return again && std::holds_alternative<Selector>((*again)->is);
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

// As Go's %v: by exponent where it is large or small.
std::string text_of(const Number& number) {
  const double size = std::abs(number.value);
  if (!std::isfinite(size) || size == 0 || (size >= 1e-4 && size < 1e21))
    return number_text(number.value);
  std::array<char, 40> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number.value,
                                 std::chars_format::scientific);
  return {digits.data(), end.ptr};
}
std::string text_of(const Text& string) {
  std::string said;
  collector::append_quoted(said, string.value);
  return said;
}
std::string text_of(const Selector& selector) {
  std::string name;
  std::string rest;
  for (const Matcher& matcher : selector.matchers) {
    // A name that is no identifier stands among the others.
    if (name.empty() && matcher.name() == collector::metric_name &&
        matcher.kind() == Matcher::Kind::equal && is_plain_name(matcher.value())) {
      name = matcher.value();
      continue;
    }
    rest += (rest.empty() ? "" : ",") + matcher.text();
  }
  std::string said = name + (rest.empty() ? "" : "{" + rest + "}");
  if (selector.range_ms != 0) said += "[" + duration_text(selector.range_ms) + "]";
  return said + text_of(selector.shift);
}
std::string text_of(const Subquery& subquery) {
  return fmt::format("{}[{}:{}]{}", text(*subquery.of), duration_text(subquery.range_ms),
                     subquery.step_ms == 0 ? "" : duration_text(subquery.step_ms),
                     text_of(subquery.shift));
}
std::string text_of(const Call& call) {
  std::string said(call.function->name);
  said += '(';
  for (std::size_t i = 0; i < call.arguments.size(); ++i)
    said += (i == 0 ? "" : ", ") + text(*call.arguments[i]);
  return said + ')';
}
std::string text_of(const Aggregate& aggregate) {
  std::string said(name_of(aggregate.op));
  if (aggregate.without || !aggregate.labels.empty())
    said +=
        fmt::format(" {} ({}) ", aggregate.without ? "without" : "by", joined(aggregate.labels));
  said += '(';
  if (aggregate.parameter) said += text(*aggregate.parameter) + ", ";
  return said + text(*aggregate.of) + ')';
}
std::string text_of(const Binary& binary) {
  std::string how = binary.return_bool ? " bool" : "";
  const Matching& matching = binary.matching;
  const bool many = matching.card == Matching::Card::many_to_one;
  const bool grouped = many || matching.card == Matching::Card::one_to_many;
  if (matching.on || !matching.labels.empty() || grouped)
    how += fmt::format(" {} ({})", matching.on ? "on" : "ignoring", joined(matching.labels));
  if (grouped)
    how += fmt::format(" {} ({})", many ? "group_left" : "group_right", joined(matching.include));
  return fmt::format("{} {}{} {}", text(*binary.left), name_of(binary.op), how,
                     text(*binary.right));
}
std::string text_of(const Negation& negation) { return "-" + text(*negation.of); }
std::string text_of(const Paren& paren) { return "(" + text(*paren.of) + ")"; }

}  // namespace

std::string text(const Node& node) {
  return std::visit([](const auto& is) { return text_of(is); }, node.is);
}

// As Go's 'f' with the fewest digits, which Prometheus shows.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 400> digits{};
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
  return {digits.data(), end.ptr};
}

}  // namespace tallymill::promql
