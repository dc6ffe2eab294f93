// Label functions: label_replace, label_join, and the labels of absent().
//
// Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "collector/promql/allowance.h"
#include "collector/promql/value.h"

namespace tallymill::promql {

// `arguments`: destination, replacement, source, expression. bad_params: no expression, no label;
// too_big: labels over limits::series_labels_bytes.
[[nodiscard]] Result<Rows> label_replaced(Rows&& rows, std::span<const std::string> arguments,
                                          const Allowance& allowance);
// `arguments`: destination, separator, sources. Errors as above.
[[nodiscard]] Result<Rows> label_joined(Rows&& rows, std::span<const std::string> arguments);
// Those that a series would have if there were one: from what must be equal.
[[nodiscard]] Labels labels_of_absent(const Node& argument);

}  // namespace tallymill::promql
