// GoRegexp: regular expressions as Go's regexp package has them, on RE2, whose syntax they share.
//
//   invariant: a program has at most limits::template_program instructions, and matching is paid
//              for by its size and by the bytes
//
// Threads: pure functions.
// Source: Go's regexp.
#pragma once

#include <string>
#include <string_view>

#include "alerting/template_functions.h"
#include "base/result.h"

namespace tallymill::alerting::templates {

// bad_params: `pattern` is none; too_big: over a limit.
[[nodiscard]] Result<bool> regexp_matches(Budget& budget, std::string_view pattern,
                                          std::string_view text);
// $1, ${name} in `replacement` are what the groups matched.
[[nodiscard]] Result<std::string> regexp_replaced(Budget& budget, std::string_view pattern,
                                                  std::string_view replacement,
                                                  std::string_view text);

}  // namespace tallymill::alerting::templates
