#include "collector/parameters.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/duration.h"
#include "collector/promql/go_text.h"

namespace tallymill::collector {
namespace {

std::optional<std::int64_t> ms_of(double seconds) {
  const double ms = std::round(seconds * 1000);
  if (!(std::abs(ms) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(ms);
}

// So many digits at the front, and what must follow them.
std::optional<int> take(std::string_view& text, std::size_t digits, std::string_view then) {
  int value = 0;
  if (text.size() < digits + 1) return std::nullopt;
  const auto read = std::from_chars(text.data(), text.data() + digits, value);
  if (read.ec != std::errc{} || read.ptr != text.data() + digits || text.front() == '-')
    return std::nullopt;
  text.remove_prefix(digits);
  if (!then.empty()) {
    if (!then.contains(text.front())) return std::nullopt;
    text.remove_prefix(1);
  }
  return value;
}

// "Z", "+02:00": minutes from UTC.
std::optional<int> zone_of(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  std::string_view rest = text.substr(1);
  const auto hours = take(rest, 2, ":");
  if (!hours) return std::nullopt;
  int minutes = 0;
  const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), minutes);
  if (read.ec != std::errc{} || read.ptr != rest.data() + rest.size()) return std::nullopt;
  if (*hours > 23 || minutes > 59) return std::nullopt;
  return (*hours * 60 + minutes) * (text[0] == '-' ? -1 : 1);
}

std::optional<std::int64_t> rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto y = take(text, 4, "-");
  const auto m = y ? take(text, 2, "-") : y;
  const auto d = m ? take(text, 2, "Tt") : m;
  const auto hour = d ? take(text, 2, ":") : d;
  const auto minute = hour ? take(text, 2, ":") : hour;
  const auto second = minute ? take(text, 2, "") : minute;
  if (!second || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  double fraction = 0;
  if (text.starts_with('.')) {
    const std::size_t end = text.find_first_not_of("0123456789", 1);
    if (end == std::string_view::npos || end == 1) return std::nullopt;
    fraction = promql::go_float(fmt::format("0{}", text.substr(0, end))).value_or(0);
    text.remove_prefix(end);
  }
  const auto zone = zone_of(text);
  const year_month_day day{year(*y), month(static_cast<unsigned>(*m)),
                           std::chrono::day(static_cast<unsigned>(*d))};
  if (!zone || !day.ok()) return std::nullopt;
  const auto at = sys_days(day) + hours(*hour) + minutes(*minute - *zone) + seconds(*second);
  return duration_cast<milliseconds>(at.time_since_epoch()).count() +
         static_cast<std::int64_t>(fraction * 1000);
}

}  // namespace

std::optional<std::int64_t> time_ms_of(std::string_view text) {
  if (const auto seconds = promql::go_float(text)) return ms_of(*seconds);
  return rfc3339(text);
}

Result<Parameters> Parameters::of(const http::Request& request) {
  Parameters parameters;
  if (request.method == http::Method::post) {
    auto form = http::parse_form(request.body);
    if (!form) return std::unexpected(std::move(form).error());
    for (auto& pair : *form) parameters.pairs_.push_back(std::move(pair));
  }
  // What a form says goes before what the address says.
  parameters.pairs_.insert(parameters.pairs_.end(), request.query.begin(), request.query.end());
  return parameters;
}

std::string_view Parameters::get(std::string_view name) const {
  return http::find(pairs_, name).value_or("");
}

std::vector<std::string_view> Parameters::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : pairs_)
    if (key == name) values.emplace_back(value);
  return values;
}

Result<std::int64_t> Parameters::time_ms(std::string_view name,
                                         std::optional<std::int64_t> otherwise) const {
  const std::string_view text = get(name);
  if (text.empty() && otherwise) return *otherwise;
  if (const auto ms = time_ms_of(text)) return *ms;
  return fail(Errc::bad_params,
              fmt::format("invalid parameter \"{0}\": cannot parse \"{1}\" to a valid timestamp",
                          name, text));
}

Result<std::optional<std::int64_t>> Parameters::duration_ms(std::string_view name) const {
  const std::string_view text = get(name);
  if (text.empty()) return std::nullopt;
  // No longer than Prometheus can count in nanoseconds.
  if (const auto seconds = promql::go_float(text); seconds && std::abs(*seconds) <= 9'223'372'036.0)
    return ms_of(*seconds);
  if (const auto ms = tallymill::duration_ms(text)) return *ms;
  return fail(Errc::bad_params,
              fmt::format("invalid parameter \"{0}\": cannot parse \"{1}\" to a valid duration",
                          name, text));
}

}  // namespace tallymill::collector
