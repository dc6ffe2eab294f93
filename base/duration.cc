#include "base/duration.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace tallymill {
namespace {

struct UnitOf {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array<UnitOf, 7> units = {{{"y", 365LL * 24 * 3600 * 1000},
                                          {"w", 7LL * 24 * 3600 * 1000},
                                          {"d", 24LL * 3600 * 1000},
                                          {"h", 3600LL * 1000},
                                          {"m", 60LL * 1000},
                                          {"s", 1000},
                                          {"ms", 1}}};

// The unit that begins here; units.size(): none.
std::size_t unit_at(std::string_view text) {
  if (text.starts_with("ms")) return 6;
  for (std::size_t i = 0; i < 6; ++i)
    if (text.starts_with(units[i].name)) return i;
  return units.size();
}

std::size_t digits_of(std::string_view text) {
  return std::min(text.find_first_not_of("0123456789"), text.size());
}

}  // namespace

Result<std::int64_t> duration_ms(std::string_view text) {
  const auto no = [](std::string why) { return fail(Errc::bad_params, std::move(why)); };
  std::int64_t total = 0;
  std::size_t before = 0;  // units of this and larger ones are used up
  bool any = false;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t size = digits_of(rest);
    const std::size_t unit = unit_at(rest.substr(size));
    if (size == 0 || unit == units.size() || (any && unit < before))
      return no(fmt::format("not a valid duration string: \"{}\"", text));
    std::int64_t count = 0;
    const auto read = std::from_chars(rest.data(), rest.data() + size, count);
    std::int64_t part = 0;
    // As Prometheus, which counts in nanoseconds.
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000;
    if (read.ec != std::errc{} || __builtin_mul_overflow(count, units[unit].ms, &part) ||
        __builtin_add_overflow(total, part, &total) || total > most)
      return no("duration out of range");
    rest.remove_prefix(size + units[unit].name.size());
    before = unit + 1;
    any = true;
  }
  if (!any) return no("empty duration string");
  return total;
}

std::string duration_text(std::int64_t ms) {
  if (ms == 0) return "0s";
  std::string said;
  // Years and weeks only where nothing is left of them: 1w1d is 8d.
  for (const UnitOf& unit : units) {
    const bool exact = unit.name == "y" || unit.name == "w";
    const std::int64_t count = ms / unit.ms;
    if (count == 0 || (exact && ms % unit.ms != 0)) continue;
    said += fmt::format("{}{}", count, unit.name);
    ms -= count * unit.ms;
  }
  return said;
}

std::size_t duration_unit_bytes(std::string_view text) {
  const std::size_t unit = unit_at(text);
  return unit == units.size() ? 0 : units[unit].name.size();
}

}  // namespace tallymill
