#include "collector/promql/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/duration.h"

namespace tallymill::promql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_begin(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

std::unexpected<Error> no(std::string message) {
  return fail(Errc::bad_params, std::move(message));
}

std::size_t digits_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
}

void append_utf8(std::string& to, std::uint32_t rune) {
  const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
  if (rune < 0x80) return put(rune);
  if (rune < 0x800) {
    put(0xc0 | rune >> 6);
  } else {
    if (rune < 0x10000) {
      put(0xe0 | rune >> 12);
    } else {
      put(0xf0 | rune >> 18);
      put(0x80 | (rune >> 12 & 0x3f));
    }
    put(0x80 | (rune >> 6 & 0x3f));
  }
  put(0x80 | (rune & 0x3f));
}

// So many digits as a number; nothing when one is none.
std::optional<std::uint32_t> digits(std::string_view text, std::size_t count, int base) {
  if (text.size() < count) return std::nullopt;
  std::uint32_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + count, value, base);
  if (read.ec != std::errc{} || read.ptr != text.data() + count) return std::nullopt;
  return value;
}

// What stands behind a backslash, which `rest` begins behind; goes on behind it. As in Go.
Status take_escape(std::string_view& rest, char quote, std::string& to) {
  constexpr std::string_view names = "abfnrtv\\", meant = "\a\b\f\n\r\t\v\\";
  const char c = rest.empty() ? '\0' : rest.front();
  if (const auto known = names.find(c); c != '\0' && known != std::string_view::npos) {
    to += meant[known];
    rest.remove_prefix(1);
    return {};
  }
  if (c == quote && c != '\0') {
    to += quote;
    rest.remove_prefix(1);
    return {};
  }
  const bool octal = c >= '0' && c <= '7';
  const std::size_t count = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (count == 0) return no("an unknown escape sequence");
  if (!octal) rest.remove_prefix(1);
  const auto value = digits(rest, count, octal ? 8 : 16);
  if (!value || (octal && *value > 255) ||
      (count >= 4 && (*value > 0x10ffff || (*value >= 0xd800 && *value < 0xe000))))
    return no("an escape sequence of no character");
  rest.remove_prefix(count);
  if (count < 4)
    to += static_cast<char>(*value);
  else
    append_utf8(to, *value);
  return {};
}

}  // namespace

Error parse_error(std::string_view query, std::size_t at, std::string_view what) {
  const std::string_view before = query.substr(0, at);
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::size_t begin = before.rfind('\n') + 1;
  return {Errc::bad_params,
          fmt::format("{}:{}: parse error: {}", line, before.size() - begin + 1, what)};
}

Result<double> number_of(std::string_view text) {
  std::string low(text);
  std::ranges::transform(low, low.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (low == "inf") return std::numeric_limits<double>::infinity();
  if (low == "nan") return std::numeric_limits<double>::quiet_NaN();
  const bool hex = low.starts_with("0x");
  const bool plain = std::ranges::all_of(low, is_digit);
  if (hex || (plain && low.size() > 1 && low.front() == '0')) {
    std::uint64_t value = 0;
    const char* const end = low.data() + low.size();
    const auto read = std::from_chars(low.data() + (hex ? 2 : 1), end, value, hex ? 16 : 8);
    if (read.ec == std::errc{} && read.ptr == end &&
        value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return static_cast<double>(value);
    if (hex) return no(fmt::format("error parsing number \"{}\"", text));
  }
  double value = 0;
  const char* const end = low.data() + low.size();
  const auto read = std::from_chars(low.data(), end, value);
  // Too small is 0, too large an error.
  if (read.ptr == end && read.ec == std::errc::result_out_of_range &&
      std::strtod(low.c_str(), nullptr) < 1)
    return 0.0;
  if (read.ec != std::errc{} || read.ptr != end)
    return no(fmt::format("error parsing number \"{}\"", text));
  return value;
}

Result<std::string> unquoted(std::string_view text) {
  const char quote = text.front();
  std::string_view rest = text.substr(1, text.size() - 2);
  if (quote == '`') return std::string(rest);
  std::string value;
  while (!rest.empty()) {
    const std::size_t plain = std::min(rest.find('\\'), rest.size());
    value += rest.substr(0, plain);
    rest.remove_prefix(plain);
    if (rest.empty()) break;
    rest.remove_prefix(1);
    if (auto taken = take_escape(rest, quote, value); !taken)
      return std::unexpected(std::move(taken).error());
  }
  return value;
}

void Lexer::skip_blanks() {
  while (at_ < query_.size()) {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (c == '#') {
      at_ = std::min(query_.find_first_of("\r\n", at_), query_.size());
    } else {
      return;
    }
  }
}

Token Lexer::take(Token::Kind kind, std::size_t size) {
  const Token token{kind, query_.substr(at_, size), at_};
  at_ += size;
  return token;
}

std::size_t Lexer::word_size() const {
  const bool colons = !in_brackets_ && !in_braces_;
  std::size_t size = 0;
  while (is_name_begin(peek(size)) || (size > 0 && is_digit(peek(size))) ||
         (colons && peek(size) == ':'))
    ++size;
  return size;
}

Result<Token> Lexer::next() {
  skip_blanks();
  if (at_ >= query_.size()) return Token{Token::Kind::end, {}, query_.size()};
  const char c = peek();
  if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
  if (c == '"' || c == '\'' || c == '`') return quoted(c);
  if (const std::size_t size = word_size(); size > 0) return take(Token::Kind::word, size);
  for (const std::string_view sign : {"==", "!=", "<=", ">=", "=~", "!~"})
    if (query_.substr(at_).starts_with(sign)) return take(Token::Kind::sign, 2);
  if (!std::string_view("+-*/%^<>=(){}[],@:").contains(c)) {
    std::size_t size = 1;  // of all that belongs to the character
    while ((static_cast<unsigned char>(peek(size)) & 0xc0U) == 0x80) ++size;
    return std::unexpected(parse_error(
        query_, at_, fmt::format("unexpected character: '{}'", query_.substr(at_, size))));
  }
  if (c == '[' || c == ']') in_brackets_ = c == '[';
  if (c == '{' || c == '}') in_braces_ = c == '{';
  return take(Token::Kind::sign, 1);
}

Result<Token> Lexer::number() {
  const std::string_view rest = query_.substr(at_);
  std::size_t size = 0;
  if (rest.starts_with("0x") || rest.starts_with("0X")) {
    size = 2;
    while (is_hex(peek(size))) ++size;
  } else {
    size = digits_of(rest);
    if (duration_unit_bytes(rest.substr(size)) > 0) {
      while (const std::size_t unit = duration_unit_bytes(rest.substr(size))) {
        size += unit;
        size += digits_of(rest.substr(size));
      }
      const bool whole =
          !is_digit(rest[size - 1]) && !is_name_begin(peek(size)) && peek(size) != '.';
      if (whole) return take(Token::Kind::duration, size);
      return std::unexpected(parse_error(query_, at_, "bad number or duration syntax"));
    }
    if (peek(size) == '.') size += 1 + digits_of(rest.substr(size + 1));
    if (peek(size) == 'e' || peek(size) == 'E') {
      const std::size_t sign = peek(size + 1) == '+' || peek(size + 1) == '-' ? 1 : 0;
      size += 1 + sign + digits_of(rest.substr(std::min(size + 1 + sign, rest.size())));
    }
  }
  if (is_name_begin(peek(size)) || is_digit(peek(size)) || peek(size) == '.')
    return std::unexpected(parse_error(query_, at_, "bad number or duration syntax"));
  return take(Token::Kind::number, size);
}

Result<Token> Lexer::quoted(char quote) {
  std::size_t size = 1;
  for (;; ++size) {
    const char c = peek(size);
    if (at_ + size >= query_.size() || (quote != '`' && c == '\n'))
      return std::unexpected(parse_error(query_, at_, "unterminated quoted string"));
    if (c == quote) break;
    if (c == '\\' && quote != '`') ++size;
  }
  return take(Token::Kind::text, size + 1);
}

}  // namespace tallymill::promql
