// Selectors: which series an expression names.
//
// Threads: pure function.
#pragma once

#include <vector>

#include "collector/promql/ast.h"

namespace tallymill::promql {

// The matchers of each of its selectors, in the order of the text.
[[nodiscard]] std::vector<std::vector<Matcher>> selectors_in(const Node& node);

}  // namespace tallymill::promql
