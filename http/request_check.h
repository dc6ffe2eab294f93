// Request check: what a header says that is grammar, and is refused all the same before any route
// is looked for. What two servers in a row may understand differently is not understood at all.
//
// Threads: pure function.
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"

namespace tallymill::http {

// `request` has its headers and target; it gets its method, path and query. The response is why it
// is none that can be answered; when where it ends is not sure, that closes the connection.
[[nodiscard]] std::optional<Response> check_head(Request& request, std::string_view method,
                                                 bool http_1_0);

}  // namespace tallymill::http
