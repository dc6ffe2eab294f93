// GoUnquote: literals of Go's source: texts between quotes, and integers.
//
// Threads: pure functions.
// Source: Go's strconv.Unquote and ParseInt of base 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tallymill::alerting::templates {

// Of "...", `...` and '...', the quotes with it. Nothing: it is none.
[[nodiscard]] std::optional<std::string> go_unquoted(std::string_view literal);
// 42, -7, 0x1f, 0b11, 0o17, 017, 1_000. Nothing: it is none, or does not fit.
[[nodiscard]] std::optional<std::int64_t> go_integer(std::string_view literal);
// Whether it would fit without a sign.
[[nodiscard]] bool is_go_unsigned(std::string_view literal);

}  // namespace tallymill::alerting::templates
