// Types: whether the parts of an expression go together; what the parser asks at each node.
//
// Errors are bad_params, in Prometheus' own words where a person may know them.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/promql/ast.h"
#include "collector/promql/function_table.h"

namespace tallymill::promql {

[[nodiscard]] std::optional<Aggregation> aggregation_named(std::string_view lower_case);

// What it gives. How elements find one another is forgotten where they need not.
[[nodiscard]] Result<Type> check(Binary& binary);
// Takes its parameter and what it is of from the arguments.
[[nodiscard]] Status check(Aggregate& aggregate, std::vector<NodePtr>&& arguments);
[[nodiscard]] Status check(const Function& function, const std::vector<NodePtr>& arguments);

}  // namespace tallymill::promql
