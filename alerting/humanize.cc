#include "alerting/humanize.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "alerting/go_time.h"
#include "collector/promql/go_text.h"

namespace tallymill::alerting::templates {
namespace {

constexpr std::array<std::string_view, 8> large = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
constexpr std::array<std::string_view, 8> large1024 = {"ki", "Mi", "Gi", "Ti",
                                                       "Pi", "Ei", "Zi", "Yi"};
constexpr std::array<std::string_view, 8> small = {"m", "u", "n", "p", "f", "a", "z", "y"};

// Go's %.4g.
std::string four_digits(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{:.4g}", value);
}

std::string with_large(double value, const std::array<std::string_view, 8>& prefixes, double base) {
  std::string_view prefix;
  for (const std::string_view next : prefixes) {
    if (std::abs(value) < base) break;
    prefix = next;
    value /= base;
  }
  return four_digits(value) + std::string(prefix);
}

std::string with_small(double value) {
  std::string_view prefix;
  for (const std::string_view next : small) {
    if (std::abs(value) >= 1) break;
    prefix = next;
    value *= 1000;
  }
  return four_digits(value) + std::string(prefix);
}

// As amd64 converts: what does not fit is the least.
std::int64_t whole(double value) {
  constexpr double beyond = 9223372036854775808.0;
  if (!(value >= -beyond && value < beyond)) return std::numeric_limits<std::int64_t>::min();
  return static_cast<std::int64_t>(value);
}

}  // namespace

std::string humanize(double value) {
  if (value == 0 || !std::isfinite(value)) return four_digits(value);
  return std::abs(value) >= 1 ? with_large(value, large, 1000) : with_small(value);
}

std::string humanize1024(double value) {
  if (std::abs(value) <= 1 || !std::isfinite(value)) return four_digits(value);
  return with_large(value, large1024, 1024);
}

std::string humanize_duration(double seconds) {
  if (!std::isfinite(seconds)) return four_digits(seconds);
  if (seconds == 0) return four_digits(seconds) + "s";
  if (std::abs(seconds) < 1) return with_small(seconds) + "s";
  const std::string_view sign = seconds < 0 ? "-" : "";
  const double size = std::abs(seconds);
  const std::int64_t all = whole(size);
  const std::int64_t s = all % 60, m = all / 60 % 60, h = all / 3600 % 24, d = all / 86'400;
  if (d != 0) return fmt::format("{}{}d {}h {}m {}s", sign, d, h, m, s);
  if (h != 0) return fmt::format("{}{}h {}m {}s", sign, h, m, s);
  if (m != 0) return fmt::format("{}{}m {}s", sign, m, s);
  return fmt::format("{}{}s", sign, four_digits(size));
}

std::string humanize_percentage(double ratio) { return four_digits(ratio * 100) + "%"; }

Result<std::string> humanize_timestamp(double seconds) {
  if (!std::isfinite(seconds)) return four_digits(seconds);
  const auto ms = to_time(seconds);
  if (!ms) return std::unexpected(ms.error());
  return time_text(*ms);
}

Result<std::int64_t> to_time(double seconds) {
  if (!std::isfinite(seconds)) return fail(Errc::bad_params, "value is NaN or Inf");
  const double nanoseconds = seconds * 1e9;
  constexpr double beyond = 9223372036854775808.0;
  if (nanoseconds > beyond || nanoseconds < -beyond)
    return fail(Errc::bad_params,
                promql::go_number(seconds) +
                    " cannot be represented as a nanoseconds timestamp since it overflows int64");
  return whole(nanoseconds) / 1'000'000;
}

Result<double> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t ms;
  };
  constexpr Unit units[] = {
      {"y", 31'536'000'000}, {"w", 604'800'000}, {"d", 86'400'000}, {"h", 3'600'000},
      {"m", 60'000},         {"s", 1'000},       {"ms", 1}};
  if (text.empty()) return fail(Errc::bad_params, "empty duration string");
  if (text == "0") return 0.0;
  const auto none =
      fail(Errc::bad_params, "not a valid duration string: " + promql::go_quoted(text));
  // In nanoseconds it has to fit into 64 bits.
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000;
  std::int64_t all = 0;
  std::size_t next = 0;  // of the units: each once, in this order
  bool over = false;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    std::int64_t number = 0;
    for (const char c : rest.substr(0, digits))
      number = std::min(number * 10 + (c - '0'), most + 1);
    rest.remove_prefix(digits);
    const std::string_view name =
        rest.substr(0, std::min(rest.find_first_of("0123456789"), rest.size()));
    while (next < std::size(units) && units[next].name != name) ++next;
    if (digits == 0 || next == std::size(units)) return none;
    over = over || number > (most - all) / units[next].ms;
    if (!over) all += number * units[next].ms;
    ++next;
    rest.remove_prefix(name.size());
  }
  if (over) return fail(Errc::bad_params, "duration out of range");
  return static_cast<double>(all) / 1000;
}

}  // namespace tallymill::alerting::templates
