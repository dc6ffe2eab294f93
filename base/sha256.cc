#include "base/sha256.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "base/thread.h"

namespace tallymill {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  // Finding the algorithm and making a context cost more than the hash of a small job.
  static const auto sha256 =
      unique_handle<EVP_MD, EVP_MD_free>(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  thread_local const auto context = unique_handle<EVP_MD_CTX, EVP_MD_CTX_free>(EVP_MD_CTX_new());
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  TM_CHECK(EVP_DigestInit_ex2(context.get(), sha256.get(), nullptr) == 1 &&
           EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
           EVP_DigestFinal_ex(context.get(), hash, &size) == 1);
  return hex_of({hash, size});
}

bool is_sha256_hex(std::string_view untrusted) {
  return untrusted.size() == 64 && untrusted.find_first_not_of(digits) == std::string_view::npos;
}

std::string hex_of(std::span<const unsigned char> bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

}  // namespace tallymill
