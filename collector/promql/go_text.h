// Go text: strings and numbers as Go writes and reads them, where Prometheus leaves it to Go.
//
// Threads: pure functions.
// Source: strconv.Quote, fmt's %v and strconv.ParseFloat of Go 1.19.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tallymill::promql {

// Between double quotes; what is not printable, and what is no UTF-8, as an escape.
[[nodiscard]] std::string go_quoted(std::string_view text);
// With the fewest digits; from a million on, and below a ten-thousandth, with an exponent.
[[nodiscard]] std::string go_number(double value);
// Beside what parse_number() takes: digits parted by underscores, hexadecimal with its exponent.
[[nodiscard]] std::optional<double> go_float(std::string_view text);

}  // namespace tallymill::promql
