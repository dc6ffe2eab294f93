#include "http/tokens.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <span>
#include <system_error>

#include "base/check.h"
#include "base/limits.h"
#include "base/sha256.h"

namespace tallymill::http {
namespace {

constexpr std::size_t name_bytes = 64;
constexpr std::string_view token_beginning = "tm_";
constexpr std::ptrdiff_t token_characters = 43;  // base64url of 32 bytes
constexpr std::string_view letters_and_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= name_bytes && std::ranges::all_of(name, [](char c) {
    return letters_and_digits.contains(c) || c == '.' || c == '_' || c == '-';
  });
}

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view space = " \t\r";
  std::vector<std::string_view> words;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(space), line.size()));
    if (line.empty()) return words;
    const std::size_t end = std::min(line.find_first_of(space), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

void append_base64url(std::string& text, std::span<const unsigned char> bytes) {
  unsigned bits = 0;
  unsigned held = 0;
  const auto write = [&](unsigned value) {
    text += value < 62 ? letters_and_digits[value] : value == 62 ? '-' : '_';
  };
  for (const unsigned char byte : bytes) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) write((bits >> (held - 6)) & 63);
  }
  if (held > 0) write((bits << (6 - held)) & 63);
}

// The file, with who may write it judged on what was opened and not on its name.
class File {
 public:
  // O_NONBLOCK: a FIFO of this name must not hold the start up.
  explicit File(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] bool stat(struct ::stat& about) const {
    return fd_ >= 0 && ::fstat(fd_, &about) == 0;
  }
  // Up to one byte more than it may have; false: errno says why.
  [[nodiscard]] bool read(std::string& text) const {
    std::array<char, 1 << 16> piece;
    while (std::cmp_less_equal(text.size(), limits::http_tokens_bytes.raw())) {
      const ssize_t n = ::read(fd_, piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n == 0;
      text.append(piece.data(), static_cast<std::size_t>(n));
    }
    return true;
  }

 private:
  int fd_;
};

}  // namespace

Result<Tokens> Tokens::read(const std::string& path) {
  const File file(path);
  const auto unreadable = [&] {
    return fail(Errc::not_found, fmt::format("the token file {} cannot be read: {}", path,
                                             std::generic_category().message(errno)));
  };
  struct ::stat about{};
  if (!file.stat(about)) return unreadable();
  if (!S_ISREG(about.st_mode)) return fail(Errc::not_found, path + " is no file of tokens");
  if (about.st_uid != ::geteuid() && about.st_uid != 0)
    return fail(Errc::denied, fmt::format("the token file {} is another user's", path));
  if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(Errc::denied,
                fmt::format("others than its owner may write the token file {}: chmod go-w {}",
                            path, path));
  std::string text;
  if (!file.read(text)) return unreadable();
  return parse(text, path);
}

Result<Tokens> Tokens::parse(std::string_view text, std::string_view path) {
  if (std::cmp_greater(text.size(), limits::http_tokens_bytes.raw()))
    return fail(Errc::bad_params,
                fmt::format("{} has more than {} bytes", path, limits::http_tokens_bytes.raw()));
  Tokens tokens;
  std::set<std::string_view> names;
  std::set<std::string_view> hashes;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty() || words[0].starts_with('#')) continue;
    const auto wrong = [&](std::string_view what) {
      return fail(Errc::bad_params, fmt::format("{}:{}: {}", path, number, what));
    };
    if (words.size() != 3) return wrong("a line is a name, a role and the token's SHA-256");
    if (!is_name(words[0])) return wrong("this is no name: letters, digits, '.', '_' and '-'");
    const auto role = role_named(words[1]);
    if (!role) return wrong("the role is read, submit or operate");
    if (!is_sha256_hex(words[2])) return wrong("a SHA-256 is 64 lower-case hex digits");
    if (!names.insert(words[0]).second) return wrong("this name was there before");
    if (!hashes.insert(words[2]).second) return wrong("this token was there before");
    if (tokens.tokens_.size() == limits::http_tokens)
      return wrong(fmt::format("more than {} tokens", limits::http_tokens));
    tokens.tokens_.push_back({std::string(words[0]), *role, std::string(words[2])});
  }
  return tokens;
}

bool Tokens::has(std::string_view name) const {
  return std::ranges::find(tokens_, name, &Token::name) != tokens_.end();
}

std::optional<Caller> Tokens::find(std::string_view token) const {
  const std::string hash = sha256_hex(token);
  const Token* found = nullptr;
  for (const Token& one : tokens_)
    if (CRYPTO_memcmp(one.sha256.data(), hash.data(), hash.size()) == 0) found = &one;
  if (found == nullptr) return std::nullopt;
  return Caller{found->name, found->role};
}

std::optional<Role> role_named(std::string_view name) {
  for (const Role role : {Role::read, Role::submit, Role::operate})
    if (name == name_of(role)) return role;
  return std::nullopt;
}

Result<NewToken> make_token(std::string_view name, Role role) {
  TM_CHECK(role != Role::none);
  if (!is_name(name))
    return fail(
        Errc::bad_params,
        fmt::format("a token's name is 1 to {} letters, digits, '.', '_' and '-'", name_bytes),
        "/name");
  std::array<unsigned char, 32> random;
  TM_CHECK(RAND_bytes(random.data(), random.size()) == 1);
  std::string text(token_beginning);
  text.reserve(64);  // one that grows leaves a copy behind
  append_base64url(text, random);
  Secret token(std::move(text));
  OPENSSL_cleanse(random.data(), random.size());
  std::string line =
      fmt::format("{:<16} {:<8} {}", name, name_of(role), sha256_hex(token.reveal()));
  return NewToken{std::move(token), std::move(line)};
}

bool holds_token(std::string_view text) {
  const auto of_base64url = [](char c) {
    return letters_and_digits.contains(c) || c == '-' || c == '_';
  };
  for (std::size_t at = 0; (at = text.find(token_beginning, at)) != std::string_view::npos; ++at) {
    const auto rest = text.substr(at + token_beginning.size());
    const auto end = std::ranges::find_if_not(rest, of_base64url);
    if (end - rest.begin() >= token_characters) return true;
  }
  return false;
}

}  // namespace tallymill::http
