#include "collector/promql/go_text.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "collector/number.h"
#include "collector/promql/print.h"

namespace tallymill::promql {
namespace {

// The number of the character that is all of the text.
std::uint32_t rune_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::uint32_t rune = text.size() == 1 ? byte(0) : byte(0) & (0x7fU >> text.size());
  for (std::size_t i = 1; i < text.size(); ++i) rune = rune << 6 | (byte(i) & 0x3fU);
  return rune;
}

bool is_printable(std::string_view text, std::uint32_t rune) {
  if (rune < 0x80) return rune >= 0x20 && rune < 0x7f;
  static const RE2 printable("[\\pL\\pM\\pN\\pP\\pS]");
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), printable);
}

std::string escaped(std::uint32_t rune) {
  constexpr std::string_view meant = "\a\b\f\n\r\t\v", names = "abfnrtv";
  if (rune >= 0x10000) return fmt::format("\\U{:08x}", rune);
  if (rune >= 0x80) return fmt::format("\\u{:04x}", rune);
  const auto at = meant.find(static_cast<char>(rune));
  return at != std::string_view::npos ? fmt::format("\\{}", names[at])
                                      : fmt::format("\\x{:02x}", rune);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Without underscores; nothing when one of them does not part two digits.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      plain += text[i];
    } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return plain;
}

}  // namespace

std::string go_quoted(std::string_view text) {
  std::string said = "\"";
  while (!text.empty()) {
    const std::size_t size = utf8_length(text);
    const std::string_view bytes = text.substr(0, std::max<std::size_t>(size, 1));
    const std::uint32_t rune = rune_of(bytes);
    if (size == 0)
      said += fmt::format("\\x{:02x}", rune);
    else if (rune == '"' || rune == '\\')
      said.append("\\").append(bytes);
    else if (is_printable(bytes, rune))
      said += bytes;
    else
      said += escaped(rune);
    text.remove_prefix(bytes.size());
  }
  return said + '"';
}

std::string go_number(double value) {
  const double size = std::abs(value);
  if (!std::isfinite(size) || size == 0 || (size >= 1e-4 && size < 1e6)) return number_text(value);
  std::array<char, 40> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                 std::chars_format::scientific);
  return {digits.data(), end.ptr};
}

std::optional<double> go_float(std::string_view text) {
  const auto plain = without_underscores(text);
  if (!plain) return std::nullopt;
  const std::size_t sign = plain->starts_with('+') || plain->starts_with('-') ? 1 : 0;
  if (plain->size() < sign + 2 || (*plain)[sign] != '0' || ((*plain)[sign + 1] | 0x20) != 'x')
    return collector::parse_number(*plain);
  if (plain->find_first_of("pP") == std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(plain->c_str(), &end);
  if (end != plain->c_str() + plain->size() || std::isinf(value)) return std::nullopt;
  return value;
}

}  // namespace tallymill::promql
