// Lexer: PromQL text, token by token.
//
// What a word is depends on where it stands: between brackets a colon parts two durations,
// elsewhere it belongs to a metric's name; a keyword may be a metric or a label. So words come as
// they are, and the parser says what they mean.
//
// Threads: a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill::promql {

struct Token {
  enum class Kind : std::uint8_t { end, word, number, duration, text, sign };
  Kind kind = Kind::end;
  std::string_view text;  // as it stands in the query; of a sign: "<=", "{", ...
  std::size_t at = 0;

  [[nodiscard]] bool is(std::string_view sign) const { return kind == Kind::sign && text == sign; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view query) : query_(query) {}
  // bad_params: what stands here is no token.
  [[nodiscard]] Result<Token> next();

 private:
  void skip_blanks();
  [[nodiscard]] Token take(Token::Kind kind, std::size_t size);
  [[nodiscard]] Result<Token> number();
  [[nodiscard]] Result<Token> quoted(char quote);
  [[nodiscard]] std::size_t word_size() const;
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < query_.size() ? query_[at_ + ahead] : '\0';
  }

  std::string_view query_;
  std::size_t at_ = 0;
  bool in_brackets_ = false;
  bool in_braces_ = false;
};

// "3:14: parse error: ...", as Prometheus says where.
[[nodiscard]] Error parse_error(std::string_view query, std::size_t at, std::string_view what);

// "0x1f", "1e3", ".5", "Inf": a leading zero is octal, as in Go.
[[nodiscard]] Result<double> number_of(std::string_view text);
// The value of a string with its quotes.
[[nodiscard]] Result<std::string> unquoted(std::string_view text);

}  // namespace tallymill::promql
