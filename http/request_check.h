// Request check: what a header says that is grammar, and is refused all the same before any route
// is looked for. What two servers in a row may understand differently is not understood at all.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace tallymill::http {

// `request` has its method, headers and target; it gets its path and query. The response is why it
// is none that can be answered; when where it ends is not sure, that closes the connection.
[[nodiscard]] std::optional<Response> check_head(Request& request, bool http_1_0);

// Why this is no handshake of a WebSocket (RFC 6455, 4.2.1), where the route is one.
// `upgrade`: it asks for one.
[[nodiscard]] std::optional<Response> check_handshake(const Request& request, bool upgrade);

// Why this request's body is not read, whatever its route; `comes`: it has one.
[[nodiscard]] std::optional<Response> check_body(const Request& request, bool comes);

// What the client calls this request; empty: it does not, or by a name that no log can hold.
[[nodiscard]] std::string request_id_of(const Headers& headers);

// W3C Trace Context, version 00: another is ignored, as it asks for.
[[nodiscard]] bool is_traceparent(std::string_view text);

}  // namespace tallymill::http
