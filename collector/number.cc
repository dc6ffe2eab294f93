#include "collector/number.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <system_error>

namespace tallymill::collector {
namespace {

bool same_letters(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((text[i] | 0x20) != lower[i]) return false;
  return true;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Of a number that no double holds: that is because it is too small, and not too large.
bool is_tiny(std::string_view text) {
  const std::size_t e = text.find_first_of("eE");
  const std::string_view exponent = e == std::string_view::npos ? "" : text.substr(e + 1);
  if (exponent.starts_with('-')) {
    // More digits before the point than any line holds could outweigh a small negative exponent;
    // such a text is too large only if its own digits are.
    const std::size_t point = text.substr(0, e).find('.');
    const std::size_t whole = point == std::string_view::npos ? e : point;
    std::int64_t places = 0;
    const char* const end = exponent.data() + exponent.size();
    if (std::from_chars(exponent.data() + 1, end, places).ec != std::errc()) return true;
    return static_cast<std::int64_t>(whole) < places;
  }
  // 0.000...1 with or without an exponent that does not make up for it.
  const std::size_t first = text.find_first_of("123456789");
  const std::size_t point = text.find('.');
  if (point == std::string_view::npos || first < point) return false;
  std::int64_t places = 0;
  if (!exponent.empty()) {
    const std::string_view digits = exponent.substr(exponent.starts_with('+') ? 1 : 0);
    if (std::from_chars(digits.data(), digits.data() + digits.size(), places).ec != std::errc())
      return false;
  }
  return places < static_cast<std::int64_t>(first - point);
}

}  // namespace

std::optional<double> parse_any_number(std::string_view text) {
  if (same_letters(text, "nan")) return std::numeric_limits<double>::quiet_NaN();
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  double value = 0;
  if (same_letters(text, "inf") || same_letters(text, "infinity")) {
    value = std::numeric_limits<double>::infinity();
  } else {
    // from_chars reads names of its own.
    if (text.empty() || (!is_digit(text[0]) && text[0] != '.')) return std::nullopt;
    const char* const end = text.data() + text.size();
    const auto [at, ec] = std::from_chars(text.data(), end, value);
    if (at != end) return std::nullopt;
    if (ec == std::errc::result_out_of_range) {
      if (!is_tiny(text)) return std::nullopt;
      value = 0;
    } else if (ec != std::errc()) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

}  // namespace tallymill::collector
