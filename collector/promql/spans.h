// Spans: how finely an expression looks at time, for who warns that there is less.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "collector/promql/ast.h"

namespace tallymill::promql {

// The shortest range of its range vectors; none: it has none.
[[nodiscard]] std::optional<std::int64_t> shortest_range_ms(const Node& node);

}  // namespace tallymill::promql
