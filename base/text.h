// Text from a handler, a client or a file system, made fit for a message.
//
// Threads: plain functions.
#pragma once

#include <string>
#include <string_view>

namespace tallymill {

// At most `bytes` long, and UTF-8: what is not becomes '?'.
void clean_text(std::string& text, std::size_t bytes);
// UTF-8 that may stand in a name: no control characters, U+0080 to U+009F among them, which
// terminals obey; no marks that turn text round or break its line where it is shown.
[[nodiscard]] bool is_clean_text(std::string_view text);

// A member's name from outside as a JSON pointer: of its first 64 bytes, printable, with / and ~
// escaped (RFC 6901).
[[nodiscard]] std::string pointer_to(std::string_view untrusted_name);

}  // namespace tallymill
