// Parameters: what follows a header field's first word, `form-data; name="a \"b\""; filename=c`,
// read strictly, for what one reader skips another one obeys.
//
// Threads: pure functions.
// Source: RFC 9110, 5.6.6; in quotes a backslash escapes a quote or itself and nothing else, for
// some browsers send a path of Windows as it is.
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"

namespace tallymill::http {

// Without spaces and tabs at its ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);

// Names in lower case, values without their quotes. Nothing for what is none, or a name twice.
[[nodiscard]] std::optional<Pairs> parameters_of(std::string_view untrusted);

}  // namespace tallymill::http
