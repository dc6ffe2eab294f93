// Tokens: who is let in, from a file of one line each: name, role and the SHA-256 of the token.
//
//   # tallymill tokens: name role sha256
//   ci       submit   9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//   grafana  read     2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
//
// The file holds no token, so that who reads it can do nothing with it. A token is 32 random bytes,
// so that its plain hash is as hard to turn round as it is.
//
// Threads: const after it was made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "http/message.h"

namespace tallymill::http {

class Tokens {
 public:
  Tokens() = default;
  // not_found: cannot be read; denied: others than we or root may write it; bad_params with
  // file:line: a line that is none, a name or a token twice, more than limits::http_tokens. No
  // message quotes the line: somebody may have put the token itself there.
  [[nodiscard]] static Result<Tokens> read(const std::string& path);
  [[nodiscard]] static Result<Tokens> parse(std::string_view text, std::string_view path);

  [[nodiscard]] bool empty() const { return tokens_.empty(); }
  [[nodiscard]] bool has(std::string_view name) const;
  // Compares with all of them, each in constant time.
  [[nodiscard]] std::optional<Caller> find(std::string_view token) const;

 private:
  struct Token {
    std::string name;
    Role role;
    std::string sha256;  // as hex
  };
  std::vector<Token> tokens_;
};

// A role that a token can have, so never `none`.
[[nodiscard]] std::optional<Role> role_named(std::string_view name);

// A new token and its line of the file.
struct NewToken {
  Secret token;      // "tm_" and 43 characters of base64url
  std::string line;  // without the newline
};
// bad_params: a name that is none: 1 to 64 letters, digits, '.', '_' and '-', for it is logged.
[[nodiscard]] Result<NewToken> make_token(std::string_view name, Role role);

// That a token, or what looks like one, stands in the text: it is not to be shown.
[[nodiscard]] bool holds_token(std::string_view text);

}  // namespace tallymill::http
