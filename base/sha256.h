// SHA-256 as the 64 lower-case hex digits that name a blob, and hex of any bytes.
//
// Threads: plain functions, from any.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tallymill {

[[nodiscard]] std::string sha256_hex(std::string_view bytes);

// Of bytes that come in pieces. Threads: one at a time.
class Sha256 {
 public:
  Sha256();
  void add(std::string_view piece);
  [[nodiscard]] std::string hex();  // once

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

// Whether it could be what sha256_hex() says: digests from the wire become paths.
[[nodiscard]] bool is_sha256_hex(std::string_view untrusted);

// Two lower-case digits a byte.
[[nodiscard]] std::string hex_of(std::span<const unsigned char> bytes);

}  // namespace tallymill
