// Decimal: whether a number is an integer times a power of ten, exactly: what most samples are,
// since a program wrote them in so many digits.
//
//   invariant: decimal_value(decimal_integer(v, k), k) has the bits of v, for every v of which the
//   latter
//              gives something: -0.0, NaN, infinities and numbers that took more than 53 bits are
//              none
//
// Division rounds correctly, and powers of ten up to 10^22 are exact: so an integer divided by one
// is the number nearest to the decimal, which is what its digits were read as.
//
// Threads: pure functions.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

namespace tallymill::collector {

// Digits behind the point. Nanoseconds as seconds have 9; of more a double holds too few before it.
inline constexpr unsigned most_decimals = 12;

inline constexpr std::array<double, most_decimals + 1> powers_of_ten = {
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12};

[[nodiscard]] inline double decimal_value(std::int64_t integer, unsigned decimals) {
  return static_cast<double>(integer) / powers_of_ten[decimals];
}

[[nodiscard]] inline std::optional<std::int64_t> decimal_integer(double value, unsigned decimals) {
  constexpr double largest = 9007199254740992.0;  // 2^53: up to it every integer is a double
  if (decimals == 0) {  // Most are whole, and a division takes longer than all the rest.
    if (!(std::fabs(value) <= largest)) return std::nullopt;
    const auto whole = static_cast<std::int64_t>(value);
    if (std::bit_cast<std::uint64_t>(static_cast<double>(whole)) !=
        std::bit_cast<std::uint64_t>(value))
      return std::nullopt;
    return whole;
  }
  const double scaled = value * powers_of_ten[decimals];
  if (!(std::fabs(scaled) <= largest)) return std::nullopt;
  // Half up: cheaper than lround(), and a wrong guess is found below.
  const auto integer = static_cast<std::int64_t>(scaled + (scaled < 0 ? -0.5 : 0.5));
  if (std::bit_cast<std::uint64_t>(decimal_value(integer, decimals)) !=
      std::bit_cast<std::uint64_t>(value))
    return std::nullopt;
  return integer;
}

}  // namespace tallymill::collector
