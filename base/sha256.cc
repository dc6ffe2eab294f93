#include "base/sha256.h"

#include <openssl/evp.h>

#include "base/check.h"
#include "base/thread.h"

namespace tallymill {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

// Finding the algorithm and making a context cost more than the hash of a small job.
void begin(EVP_MD_CTX* context) {
  static const auto sha256 =
      unique_handle<EVP_MD, EVP_MD_free>(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  TM_CHECK(EVP_DigestInit_ex2(context, sha256.get(), nullptr) == 1);
}
void add_to(EVP_MD_CTX* context, std::string_view bytes) {
  TM_CHECK(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
}
std::string end(EVP_MD_CTX* context) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  TM_CHECK(EVP_DigestFinal_ex(context, hash, &size) == 1);
  return hex_of({hash, size});
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  thread_local const auto context = unique_handle<EVP_MD_CTX, EVP_MD_CTX_free>(EVP_MD_CTX_new());
  begin(context.get());
  add_to(context.get(), bytes);
  return end(context.get());
}

Sha256::Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { begin(context_.get()); }
void Sha256::add(std::string_view piece) { add_to(context_.get(), piece); }
std::string Sha256::hex() { return end(context_.get()); }

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
