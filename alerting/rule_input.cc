#include "alerting/rule_input.h"

#include <set>
#include <string>
#include <utility>

#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;
using promql::Matcher;
using promql::Node;

Node& without_parens(Node& node) {
  Node* at = &node;
  while (auto* paren = std::get_if<promql::Paren>(&at->is)) at = paren->of.get();
  return *at;
}

// The labels that a selector says by "=", but for those that it names more than once.
Labels equal_labels(const Node& node) {
  const auto* selector = std::get_if<promql::Selector>(&node.is);
  if (selector == nullptr) return {};
  Labels::Pairs pairs;
  std::set<std::string_view> seen;
  std::set<std::string_view> twice;
  for (const Matcher& matcher : selector->matchers) {
    if (matcher.name() == collector::metric_name) continue;
    if (!seen.insert(matcher.name()).second || matcher.kind() != Matcher::Kind::equal)
      twice.insert(matcher.name());
    pairs.emplace_back(matcher.name(), matcher.value());
  }
  std::erase_if(pairs, [&](const auto& pair) { return twice.contains(pair.first); });
  return Labels::of(std::move(pairs));
}

}  // namespace

std::optional<RuleInput> input_of(const Node& expression) {
  auto copy = promql::parse(promql::text(expression));
  if (!copy) return std::nullopt;
  auto* compared = std::get_if<promql::Binary>(&without_parens(**copy).is);
  if (compared == nullptr || !promql::is_comparison(compared->op)) return std::nullopt;
  compared->return_bool = true;
  Node& operand = compared->left->type == promql::Type::vector ? *compared->left : *compared->right;
  Labels labels = equal_labels(without_parens(operand));
  return RuleInput{std::move(*copy), std::move(labels)};
}

}  // namespace tallymill::alerting
