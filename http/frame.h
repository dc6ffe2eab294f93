// Frame: a WebSocket's message as its server writes it: whole, in one frame, not masked.
//
// Threads: a pure function.
// Source: RFC 6455, 5.2.
#pragma once

#include <string>
#include <string_view>

namespace tallymill::http {

void append_frame(std::string& out, bool binary, std::string_view message);

}  // namespace tallymill::http
