#include "alerting/go_unquote.h"

#include <algorithm>
#include <charconv>

#include "alerting/go_letters.h"

namespace tallymill::alerting::templates {
namespace {

// Takes digits of a base off the text; nothing when there are too few, or other letters.
std::optional<std::uint32_t> take_number(std::string_view& text, std::size_t digits, int base) {
  if (text.size() < digits) return std::nullopt;
  std::uint32_t number = 0;
  const char* const end = text.data() + digits;
  const auto read = std::from_chars(text.data(), end, number, base);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

// Behind a backslash.
bool take_escape(std::string_view& text, char quote, std::string& into) {
  if (text.empty()) return false;
  const char letter = text.front();
  constexpr std::string_view names = "abfnrtv\\", meant = "\a\b\f\n\r\t\v\\";
  if (letter >= '0' && letter <= '7') {
    const auto byte = take_number(text, 3, 8);
    if (!byte || *byte > 255) return false;
    into += static_cast<char>(*byte);
    return true;
  }
  text.remove_prefix(1);
  if (const auto at = names.find(letter); at != std::string_view::npos) {
    into += meant[at];
    return true;
  }
  if (letter == quote) {
    into += letter;
    return true;
  }
  const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  if (digits == 0) return false;
  const auto number = take_number(text, digits, 16);
  if (!number) return false;
  if (letter == 'x') {
    into += static_cast<char>(*number);
    return true;
  }
  if (*number > 0x10ffff || (*number >= 0xd800 && *number < 0xe000)) return false;
  append_rune(into, *number);
  return true;
}

// Without a sign.
std::optional<std::uint64_t> magnitude(std::string_view literal) {
  int base = 10;
  const auto has = [&](char small, char capital) {
    return literal.size() > 2 && literal[0] == '0' &&
           (literal[1] == small || literal[1] == capital);
  };
  std::size_t prefix = 2;
  if (has('x', 'X'))
    base = 16;
  else if (has('o', 'O'))
    base = 8;
  else if (has('b', 'B'))
    base = 2;
  else if (literal.size() > 1 && literal[0] == '0')
    base = 8, prefix = 1;
  else
    prefix = 0;
  // An underscore parts digits, or a prefix from them.
  std::string digits;
  const std::string_view rest = literal.substr(prefix);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] != '_') {
      digits += rest[i];
      continue;
    }
    const bool first = i == 0 && prefix == 0;
    if (first || i + 1 == rest.size() || rest[i + 1] == '_') return std::nullopt;
  }
  std::uint64_t size = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, size, base);
  if (digits.empty() || read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return size;
}

}  // namespace

std::optional<std::string> go_unquoted(std::string_view literal) {
  if (literal.size() < 2 || literal.front() != literal.back()) return std::nullopt;
  const char quote = literal.front();
  std::string_view text = literal.substr(1, literal.size() - 2);
  std::string made;
  if (quote == '`') {
    made = text;
    std::erase(made, '\r');
    return made;
  }
  while (!text.empty()) {
    if (text.front() == quote || text.front() == '\n') return std::nullopt;
    if (text.front() != '\\') {
      const Rune rune = first_rune(text);
      // Bytes that are no UTF-8 stay as they are in a text.
      made += text.substr(0, rune.bytes);
      text.remove_prefix(rune.bytes);
      continue;
    }
    text.remove_prefix(1);
    const bool byte =
        !text.empty() && (text.front() == 'x' || (text.front() >= '0' && text.front() <= '7'));
    std::string one;
    if (!take_escape(text, quote, one)) return std::nullopt;
    if (quote == '\'' && byte) {  // '\xff' is the number 255
      append_rune(made, static_cast<unsigned char>(one[0]));
      continue;
    }
    made += one;
  }
  return made;
}

std::optional<std::int64_t> go_integer(std::string_view literal) {
  const bool negative = literal.starts_with('-');
  if (negative || literal.starts_with('+')) literal.remove_prefix(1);
  const auto size = magnitude(literal);
  const std::uint64_t most = static_cast<std::uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (!size || *size > most) return std::nullopt;
  return static_cast<std::int64_t>(negative ? 0 - *size : *size);
}

bool is_go_unsigned(std::string_view literal) { return magnitude(literal).has_value(); }

}  // namespace tallymill::alerting::templates
