#include "collector/promql/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "collector/promql/value.h"

namespace tallymill::promql {
namespace {

using std::numbers::pi;
using Arguments = std::span<const double>;

// The calendar as Go has it, for every number of seconds that there is: what no integer can be is
// the least one, and seconds wrap around. Counted from a Monday, the first of January of a year
// that begins 400 years, so far back that nothing is before it.
class Date {
 public:
  explicit Date(double seconds) {
    constexpr double most = 9223372036854775808.0;
    const bool fits = seconds >= -most && seconds < most;
    const auto whole =
        fits ? static_cast<std::int64_t>(seconds) : std::numeric_limits<std::int64_t>::min();
    since_ = static_cast<std::uint64_t>(whole) + epoch;
    std::uint64_t day = since_ / day_seconds;
    std::uint64_t year = take(day, 146'097, 400);
    year += take_but_last(day, 36'524) * 100;
    year += take(day, 1'461, 4);
    year += take_but_last(day, 365);
    year_ = static_cast<std::int64_t>(year) + first_year;
    day_of_year_ = static_cast<int>(day);
    int rest = day_of_year_;
    while (rest >= days_of(month_)) rest -= days_of(month_++);
    day_of_month_ = rest + 1;
  }
  [[nodiscard]] double year() const { return static_cast<double>(year_); }
  [[nodiscard]] double month() const { return month_ + 1; }
  [[nodiscard]] double day_of_month() const { return day_of_month_; }
  [[nodiscard]] double day_of_year() const { return day_of_year_ + 1; }
  [[nodiscard]] double day_of_week() const {
    const std::uint64_t days = since_ / day_seconds + 1;
    return static_cast<double>(days % 7);
  }
  [[nodiscard]] double days_in_month() const { return days_of(month_); }
  [[nodiscard]] double hour() const {
    const std::uint64_t whole_hours = since_ % day_seconds / 3600;
    return static_cast<double>(whole_hours);
  }
  [[nodiscard]] double minute() const {
    const std::uint64_t whole_minutes = since_ % 3600 / 60;
    return static_cast<double>(whole_minutes);
  }

 private:
  static constexpr std::uint64_t day_seconds = 86'400;
  static constexpr std::int64_t first_year = -292'277'022'399;
  static constexpr std::uint64_t epoch =
      9'223'372'028'715'321'600;  // 1970 is so many seconds after it

  static std::uint64_t take(std::uint64_t& days, std::uint64_t cycle, std::uint64_t years) {
    const std::uint64_t cycles = days / cycle;
    days -= cycles * cycle;
    return cycles * years;
  }
  // Of four the last is a day longer.
  static std::uint64_t take_but_last(std::uint64_t& days, std::uint64_t cycle) {
    std::uint64_t cycles = days / cycle;
    cycles -= cycles >> 2;
    days -= cycles * cycle;
    return cycles;
  }
  [[nodiscard]] int days_of(int month) const {
    constexpr std::array<int, 12> days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year_ % 4 == 0 && (year_ % 100 != 0 || year_ % 400 == 0);
    return days.at(static_cast<std::size_t>(month)) + (month == 1 && leap ? 1 : 0);
  }

  std::uint64_t since_ = 0;
  std::int64_t year_ = 0;
  int month_ = 0;  // from 0
  int day_of_month_ = 0;
  int day_of_year_ = 0;
};

double sign(double value) {
  if (value < 0) return -1;
  return value > 0 ? 1 : value;
}
double rounded(double value, Arguments to) {
  const double inverse = 1 / (to.empty() ? 1.0 : to[0]);
  return std::floor(value * inverse + 0.5) / inverse;
}
double clamped(double value, Arguments to) {
  return to[1] < to[0] ? absent : greatest(to[0], least(to[1], value));
}

struct Named {
  std::string_view name;
  Elementwise of;
};
constexpr Named all[] = {
    {"abs", [](double v, Arguments) { return std::abs(v); }},
    {"acos", [](double v, Arguments) { return std::acos(v); }},
    {"acosh", [](double v, Arguments) { return std::acosh(v); }},
    {"asin", [](double v, Arguments) { return std::asin(v); }},
    {"asinh", [](double v, Arguments) { return std::asinh(v); }},
    {"atan", [](double v, Arguments) { return std::atan(v); }},
    {"atanh", [](double v, Arguments) { return std::atanh(v); }},
    {"ceil", [](double v, Arguments) { return std::ceil(v); }},
    {"clamp", clamped},
    {"clamp_max", [](double v, Arguments to) { return least(to[0], v); }},
    {"clamp_min", [](double v, Arguments to) { return greatest(to[0], v); }},
    {"cos", [](double v, Arguments) { return std::cos(v); }},
    {"cosh", [](double v, Arguments) { return std::cosh(v); }},
    {"day_of_month", [](double v, Arguments) { return Date(v).day_of_month(); }},
    {"day_of_week", [](double v, Arguments) { return Date(v).day_of_week(); }},
    {"day_of_year", [](double v, Arguments) { return Date(v).day_of_year(); }},
    {"days_in_month", [](double v, Arguments) { return Date(v).days_in_month(); }},
    {"deg", [](double v, Arguments) { return v * 180 / pi; }},
    {"exp", [](double v, Arguments) { return std::exp(v); }},
    {"floor", [](double v, Arguments) { return std::floor(v); }},
    {"hour", [](double v, Arguments) { return Date(v).hour(); }},
    {"ln", [](double v, Arguments) { return std::log(v); }},
    {"log10", [](double v, Arguments) { return std::log10(v); }},
    {"log2", [](double v, Arguments) { return std::log2(v); }},
    {"minute", [](double v, Arguments) { return Date(v).minute(); }},
    {"month", [](double v, Arguments) { return Date(v).month(); }},
    {"rad", [](double v, Arguments) { return v * pi / 180; }},
    {"round", rounded},
    {"sgn", [](double v, Arguments) { return sign(v); }},
    {"sin", [](double v, Arguments) { return std::sin(v); }},
    {"sinh", [](double v, Arguments) { return std::sinh(v); }},
    {"sqrt", [](double v, Arguments) { return std::sqrt(v); }},
    {"tan", [](double v, Arguments) { return std::tan(v); }},
    {"tanh", [](double v, Arguments) { return std::tanh(v); }},
    {"year", [](double v, Arguments) { return Date(v).year(); }},
};

}  // namespace

Elementwise elementwise_named(std::string_view name) {
  const auto* found = std::ranges::find(all, name, &Named::name);
  return found == std::end(all) ? nullptr : found->of;
}

double least(double a, double b) {
  if (std::isinf(a) && a < 0) return a;
  if (std::isinf(b) && b < 0) return b;
  if (std::isnan(a) || std::isnan(b)) return nan_value;
  if (a == 0 && a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
double greatest(double a, double b) {
  if (std::isinf(a) && a > 0) return a;
  if (std::isinf(b) && b > 0) return b;
  if (std::isnan(a) || std::isnan(b)) return nan_value;
  if (a == 0 && a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

}  // namespace tallymill::promql
