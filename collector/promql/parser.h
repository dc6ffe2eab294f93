// Parser: PromQL text to a tree whose types are right.
//
// Operators by precedence climbing; what may follow an operand (a range, an offset, an @) binds
// closest, so that -a offset 5m is -(a offset 5m) and -1^2 is -(1^2).
//
// Threads: pure function.
#pragma once

#include <string_view>

#include "base/result.h"
#include "collector/promql/ast.h"

namespace tallymill::promql {

// bad_params: "line:column: parse error: ..."; also of text longer, or nested deeper, than
// limits::query_bytes and limits::query_depth.
[[nodiscard]] Result<NodePtr> parse(std::string_view query);

// A selector alone, as the API's match[] wants it.
[[nodiscard]] Result<std::vector<Matcher>> parse_selector(std::string_view text);

// False: the word stands for something else where a metric's name could stand, as `bool` and `inf`.
[[nodiscard]] bool may_be_metric(std::string_view word);

}  // namespace tallymill::promql
