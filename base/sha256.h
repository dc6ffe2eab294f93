// SHA-256 as the 64 lower-case hex digits that name a blob, and hex of any bytes.
//
// Threads: plain functions, from any.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tallymill {

[[nodiscard]] std::string sha256_hex(std::string_view bytes);

// Whether it could be what sha256_hex() says: digests from the wire become paths.
[[nodiscard]] bool is_sha256_hex(std::string_view untrusted);

// Two lower-case digits a byte.
[[nodiscard]] std::string hex_of(std::span<const unsigned char> bytes);

}  // namespace tallymill
