// Print: an expression as text again, in the one form that is PromQL's own.
//
// Threads: pure function.
#pragma once

#include <string>

#include "collector/promql/ast.h"

namespace tallymill::promql {

[[nodiscard]] std::string text(const Node& node);
// A number as results and expressions show it: 1, 0.5, 1e+21, NaN, +Inf.
[[nodiscard]] std::string number_text(double value);

}  // namespace tallymill::promql
