// Access log: a line of the log for each request, which its client can neither forge nor fill with
// a token.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"

namespace tallymill::http {

// "127.0.0.1 GET /v1/jobs 200 512 B 0.310 ms grafana 4f3a…": peer, method, path, status, bytes of
// the body, time, caller, id.
void log_request(const Request& request, int status, std::size_t bytes, Duration took);

// The target's path as it came, without what would forge a line of the log or tell a token.
[[nodiscard]] std::string path_for_log(std::string_view target);

}  // namespace tallymill::http
