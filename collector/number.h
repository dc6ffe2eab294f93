// Number: a value as text, in every form that Prometheus' text formats know.
//
// [+-] digits with or without a point and an exponent; inf and infinity with or without a sign, nan
// without, in any case. Not: hexadecimal, digits with underscores, blanks. What is too large for a
// double is none; what is too small is 0.
//
// Threads: plain functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tallymill::collector {

[[nodiscard]] std::optional<double> parse_any_number(std::string_view text);

// Digits alone, below 10^15, which are the number: most are such. False: `into` is of no use. By
// reference, for an optional goes through memory.
[[nodiscard]] inline bool parse_whole(std::string_view text, double& into) {
  std::int64_t whole = 0;
  std::size_t at = 0;
  while (at < text.size() && at < 15 && text[at] >= '0' && text[at] <= '9')
    whole = whole * 10 + (text[at++] - '0');
  into = static_cast<double>(whole);
  return at == text.size() && at > 0;
}

[[nodiscard]] inline std::optional<double> parse_number(std::string_view text) {
  double whole = 0;
  if (parse_whole(text, whole)) return whole;
  return parse_any_number(text);
}

}  // namespace tallymill::collector
