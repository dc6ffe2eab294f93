// Number: a value as text, in every form that Prometheus' text formats know.
//
// [+-] digits with or without a point and an exponent; inf and infinity with or without a sign, nan
// without, in any case. Not: hexadecimal, digits with underscores, blanks. What is too large for a
// double is none; what is too small is 0.
//
// Threads: plain functions.
#pragma once

#include <optional>
#include <string_view>

namespace tallymill::collector {

[[nodiscard]] std::optional<double> parse_number(std::string_view text);

}  // namespace tallymill::collector
