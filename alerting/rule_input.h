// RuleInput: what a rule's expression compares, so that "nothing is wrong" can be told from
// "nothing is there".
//
// The input of `a > 5` is asked for as `a > bool 5`: it has a row wherever the comparison had
// something to compare, with the labels that the rule's matches have, whatever on, ignoring and
// group_left say.
//
// Threads: pure function.
#pragma once

#include <memory>
#include <optional>

#include "collector/promql/ast.h"
#include "collector/series.h"

namespace tallymill::alerting {

struct RuleInput {
  std::shared_ptr<const promql::Node> node;
  // What is known of a row that is not there: as absent() has it.
  collector::Labels absent_labels;
};

// Nothing: the expression is no comparison.
[[nodiscard]] std::optional<RuleInput> input_of(const promql::Node& expression);

}  // namespace tallymill::alerting
