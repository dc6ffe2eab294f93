#include "collector/promql/elementwise.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "collector/promql/value.h"

namespace tallymill::promql {
namespace {

using std::numbers::pi;
using Arguments = std::span<const double>;

std::chrono::sys_seconds moment(double seconds) {
  // As Go converts: what no integer can be is the least one; the calendar has an end before it.
  constexpr double most = 8e15;
  const double kept = std::isnan(seconds) ? -most : std::clamp(seconds, -most, most);
  return std::chrono::sys_seconds(std::chrono::seconds(static_cast<std::int64_t>(kept)));
}
std::chrono::year_month_day date(double seconds) {
  return std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(moment(seconds)));
}
double of_day(double seconds, std::int64_t unit, std::int64_t count) {
  const auto since = moment(seconds) - std::chrono::floor<std::chrono::days>(moment(seconds));
  return static_cast<double>(since.count() / unit % count);
}
double day_of_year(double seconds) {
  const auto day = std::chrono::floor<std::chrono::days>(moment(seconds));
  const auto first = std::chrono::sys_days(date(seconds).year() / std::chrono::January / 1);
  return static_cast<double>((day - first).count() + 1);
}
double days_in_month(double seconds) {
  const auto day = date(seconds);
  const std::chrono::year_month_day_last last(day.year() / day.month() / std::chrono::last);
  return static_cast<unsigned>(last.day());
}

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
    {"day_of_month",
     [](double v, Arguments) { return static_cast<double>(static_cast<unsigned>(date(v).day())); }},
    {"day_of_week",
     [](double v, Arguments) {
       const std::chrono::weekday day(std::chrono::floor<std::chrono::days>(moment(v)));
       return static_cast<double>(day.c_encoding());
     }},
    {"day_of_year", [](double v, Arguments) { return day_of_year(v); }},
    {"days_in_month", [](double v, Arguments) { return days_in_month(v); }},
    {"deg", [](double v, Arguments) { return v * 180 / pi; }},
    {"exp", [](double v, Arguments) { return std::exp(v); }},
    {"floor", [](double v, Arguments) { return std::floor(v); }},
    {"hour", [](double v, Arguments) { return of_day(v, 3600, 24); }},
    {"ln", [](double v, Arguments) { return std::log(v); }},
    {"log10", [](double v, Arguments) { return std::log10(v); }},
    {"log2", [](double v, Arguments) { return std::log2(v); }},
    {"minute", [](double v, Arguments) { return of_day(v, 60, 60); }},
    {"month",
     [](double v, Arguments) {
       return static_cast<double>(static_cast<unsigned>(date(v).month()));
     }},
    {"rad", [](double v, Arguments) { return v * pi / 180; }},
    {"round", rounded},
    {"sgn", [](double v, Arguments) { return sign(v); }},
    {"sin", [](double v, Arguments) { return std::sin(v); }},
    {"sinh", [](double v, Arguments) { return std::sinh(v); }},
    {"sqrt", [](double v, Arguments) { return std::sqrt(v); }},
    {"tan", [](double v, Arguments) { return std::tan(v); }},
    {"tanh", [](double v, Arguments) { return std::tanh(v); }},
    {"year",
     [](double v, Arguments) { return static_cast<double>(static_cast<int>(date(v).year())); }},
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
