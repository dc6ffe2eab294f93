// Names: which texts are names of labels.
//
// Threads: pure functions.
#pragma once

#include <algorithm>
#include <string_view>

namespace tallymill::promql {

[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_name_begin(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
[[nodiscard]] constexpr bool is_label_name(std::string_view name) {
  return !name.empty() && is_name_begin(name.front()) &&
         std::ranges::all_of(name, [](char c) { return is_name_begin(c) || is_digit(c); });
}

}  // namespace tallymill::promql
