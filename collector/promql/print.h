// Print: an expression as text again, in the one form that is PromQL's own.
//
// Threads: pure functions.
#pragma once

#include <string>

#include "collector/promql/ast.h"

namespace tallymill::promql {

[[nodiscard]] std::string text(const Node& node);
// The same; what is longer than 100 bytes with its parts on lines of their own, as Prometheus'
// format_query has it.
[[nodiscard]] std::string pretty(const Node& node);
// A number as results show it: 1, 0.5, NaN, +Inf.
[[nodiscard]] std::string number_text(double value);

}  // namespace tallymill::promql
