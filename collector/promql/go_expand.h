// GoExpand: a replacement's $1, ${1}, $name and ${name} filled in with what groups matched.
//
// Threads: pure functions.
// Source: Go's regexp.Expand.
#pragma once

#include <re2/re2.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tallymill::promql {

// A group that is not there is empty; $$ is one $. Stops once there are more than `most` bytes:
// whoever has such a bound looks.
void append_expanded(std::string& to, std::string_view replacement, const RE2& expression,
                     std::span<const re2::StringPiece> groups, std::size_t most);

}  // namespace tallymill::promql
