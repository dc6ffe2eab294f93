// Text from a handler, a client or a file system, made fit for a message.
//
// Threads: plain functions.
#pragma once

#include <string>
#include <string_view>

namespace tallymill {

// At most `bytes` long, and UTF-8: what is not becomes '?'.
void clean_text(std::string& text, std::size_t bytes);
// A member's name from outside as a JSON pointer: of its first 64 bytes, printable, with / and ~
// escaped (RFC 6901).
[[nodiscard]] std::string pointer_to(std::string_view untrusted_name);

}  // namespace tallymill
