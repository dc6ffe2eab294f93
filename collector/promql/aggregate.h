// Aggregation: rows into groups by their labels, and each group into one row, or a few of its own.
//
// Threads: pure functions.
#pragma once

#include <span>

#include "base/result.h"
#include "collector/promql/allowance.h"
#include "collector/promql/value.h"

namespace tallymill::promql {

// `parameters`: one a step, of those that take a number; `name`: the label of count_values.
// bad_params: a k that is no number of elements, a label that is no name.
[[nodiscard]] Result<Rows> aggregated(const Aggregate& how, Rows&& rows, std::size_t steps,
                                      std::span<const double> parameters, const std::string& name,
                                      Allowance& allowance);

}  // namespace tallymill::promql
