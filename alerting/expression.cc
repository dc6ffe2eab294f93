#include "alerting/expression.h"

#include <memory>
#include <utility>

namespace tallymill::alerting {
namespace {

using promql::Binary;
using promql::Node;
using promql::NodePtr;
using promql::Operator;
using promql::Type;

const Node& without_parens(const Node& node) {
  const Node* inner = &node;
  while (const auto* paren = std::get_if<promql::Paren>(&inner->is)) inner = paren->of.get();
  return *inner;
}

// The comparison that the expression is, which drops rows; null: it is another.
const Binary* comparison_of(const Node& node) {
  const auto* binary = std::get_if<Binary>(&without_parens(node).is);
  return binary != nullptr && is_comparison(binary->op) && !binary->return_bool ? binary : nullptr;
}

NodePtr copy_of(const NodePtr& node);

// Not by way of its text: that may be longer than a query may be.
template <class Is>
Is copy_of(const Is& is) {
  return is;
}
promql::Subquery copy_of(const promql::Subquery& is) {
  return {copy_of(is.of), is.range_ms, is.step_ms, is.shift};
}
promql::Call copy_of(const promql::Call& is) {
  promql::Call copy{.function = is.function, .arguments = {}};
  for (const NodePtr& argument : is.arguments) copy.arguments.push_back(copy_of(argument));
  return copy;
}
promql::Aggregate copy_of(const promql::Aggregate& is) {
  return {is.op, copy_of(is.of), copy_of(is.parameter), is.without, is.labels};
}
Binary copy_of(const Binary& is) {
  return {is.op, copy_of(is.left), copy_of(is.right), is.return_bool, is.matching};
}
promql::Signed copy_of(const promql::Signed& is) { return {copy_of(is.of), is.minus}; }
promql::Paren copy_of(const promql::Paren& is) { return {copy_of(is.of)}; }

NodePtr copy_of(const NodePtr& node) {
  if (node == nullptr) return nullptr;
  auto copy = std::make_unique<Node>();
  std::visit([&](const auto& is) { copy->is = copy_of(is); }, node->is);
  copy->type = node->type;
  copy->at = node->at;
  return copy;
}

NodePtr in_parens(const NodePtr& node) {
  return std::make_unique<Node>(Node{.is = promql::Paren{copy_of(node)}, .type = node->type});
}

// What is left of it when the operands change places.
Operator turned(Operator op) {
  switch (op) {
    case Operator::less:
      return Operator::greater;
    case Operator::less_equal:
      return Operator::greater_equal;
    case Operator::greater:
      return Operator::less;
    case Operator::greater_equal:
      return Operator::less_equal;
    default:
      return op;
  }
}

std::optional<double> number_of(const Node& node) {
  const Node& inner = without_parens(node);
  if (const auto* number = std::get_if<promql::Number>(&inner.is)) return number->value;
  const auto* with_sign = std::get_if<promql::Signed>(&inner.is);
  if (with_sign == nullptr) return std::nullopt;
  const auto value = number_of(*with_sign->of);
  if (!value) return std::nullopt;
  return with_sign->minus ? -*value : *value;
}

}  // namespace

NodePtr input_of(const Node& node) {
  const Binary* compared = comparison_of(node);
  if (compared == nullptr) return nullptr;
  for (;;) {
    const bool left = compared->left->type == Type::vector;
    if (left && compared->right->type == Type::vector) break;
    const NodePtr& vector = left ? compared->left : compared->right;
    const Binary* const next = comparison_of(*vector);
    if (next == nullptr) return copy_of(vector);
    compared = next;
  }
  Binary both{.op = Operator::sub,
              .left = in_parens(compared->left),
              .right = in_parens(compared->right),
              .matching = compared->matching};
  return std::make_unique<Node>(Node{.is = std::move(both), .type = Type::vector});
}

Size size_of(const Node& node) {
  Size size{.nodes = 1};
  if (const auto* selector = std::get_if<promql::Selector>(&node.is)) {
    size.nodes += selector->matchers.size();
    for (const collector::Matcher& matcher : selector->matchers) size.program += matcher.program();
  }
  promql::for_each_child(node, [&](const Node& child) {
    const Size inner = size_of(child);
    size.nodes += inner.nodes;
    size.program += inner.program;
  });
  return size;
}

bool PlainThreshold::holds(double value) const {
  switch (op) {
    case Operator::equal:
      return value == bound;
    case Operator::not_equal:
      return value != bound;
    case Operator::less:
      return value < bound;
    case Operator::less_equal:
      return value <= bound;
    case Operator::greater:
      return value > bound;
    default:
      return value >= bound;
  }
}

std::optional<PlainThreshold> plain_threshold(const Node& node) {
  const Binary* const compared = comparison_of(node);
  if (compared == nullptr) return std::nullopt;
  const bool left = compared->left->type == Type::vector;
  const Node& vector = without_parens(left ? *compared->left : *compared->right);
  const auto* selector = std::get_if<promql::Selector>(&vector.is);
  const auto bound = number_of(left ? *compared->right : *compared->left);
  if (selector == nullptr || !bound || selector->range_ms != 0 || selector->shift.offset_ms != 0 ||
      selector->shift.at)
    return std::nullopt;
  return PlainThreshold{selector, left ? compared->op : turned(compared->op), *bound};
}

}  // namespace tallymill::alerting
