// Expression: what alerting asks of a rule's expression.
//
// Threads: pure functions.
#pragma once

#include <optional>

#include "collector/promql/ast.h"

namespace tallymill::alerting {

// The expression without its top-level comparison: what has rows as long as there is something to
// compare. Of a vector and a scalar it is the vector, also of a < b < c; of two vectors their
// difference, which has a row for each pair. Null: there is none; one with `bool` is none, for it
// drops nothing.
[[nodiscard]] promql::NodePtr input_of(const promql::Node& node);

// What holding it costs.
struct Size {
  std::size_t nodes = 0;     // of its tree, and matchers
  std::int64_t program = 0;  // instructions of its regular expressions
};
[[nodiscard]] Size size_of(const promql::Node& node);

// A selector compared with a number: what may be judged when one sample comes.
struct PlainThreshold {
  const promql::Selector* selector = nullptr;       // of the node; without range, offset and @
  promql::Operator op = promql::Operator::greater;  // as if the selector stood on the left
  double bound = 0;

  [[nodiscard]] bool holds(double value) const;
};
// Nothing: the expression is none.
[[nodiscard]] std::optional<PlainThreshold> plain_threshold(const promql::Node& node);

}  // namespace tallymill::alerting
