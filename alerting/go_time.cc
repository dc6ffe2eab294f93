#include "alerting/go_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

namespace tallymill::alerting::templates {
namespace {

constexpr std::array<std::string_view, 12> months = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> weekdays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                      "Thursday", "Friday", "Saturday"};

enum class Part {
  month_long,
  month_short,
  month,
  month_two,
  weekday_long,
  weekday_short,
  day,
  day_blank,
  day_two,
  year_day_blank,
  year_day,
  hour,
  hour_twelve,
  hour_twelve_two,
  minute,
  minute_two,
  second,
  second_two,
  year,
  year_two,
  noon,
  noon_small,
  zone,
  z,       // Z07:00: in UTC the letter alone
  offset,  // -0700
  offset_colon,
  offset_hours,
  offset_seconds,
  offset_colon_seconds,
};

struct Layout {
  std::string_view text;
  Part part;
};
// Of those that begin alike the longest comes first.
constexpr Layout layouts[] = {
    {"January", Part::month_long},
    {"Jan", Part::month_short},
    {"Monday", Part::weekday_long},
    {"Mon", Part::weekday_short},
    {"MST", Part::zone},
    {"01", Part::month_two},
    {"002", Part::year_day},
    {"02", Part::day_two},
    {"03", Part::hour_twelve_two},
    {"04", Part::minute_two},
    {"05", Part::second_two},
    {"06", Part::year_two},
    {"15", Part::hour},
    {"1", Part::month},
    {"2006", Part::year},
    {"2", Part::day},
    {"__2", Part::year_day_blank},
    {"_2", Part::day_blank},
    {"3", Part::hour_twelve},
    {"4", Part::minute},
    {"5", Part::second},
    {"PM", Part::noon},
    {"pm", Part::noon_small},
    {"-07:00:00", Part::offset_colon_seconds},
    {"-07:00", Part::offset_colon},
    {"-070000", Part::offset_seconds},
    {"-0700", Part::offset},
    {"-07", Part::offset_hours},
    {"Z07:00:00", Part::z},
    {"Z07:00", Part::z},
    {"Z070000", Part::z},
    {"Z0700", Part::z},
    {"Z07", Part::z},
};

const Layout* layout_of(std::string_view rest) {
  for (const Layout& one : layouts) {
    if (!rest.starts_with(one.text)) continue;
    // Jan and Mon within a longer word are none.
    if ((one.part == Part::month_short || one.part == Part::weekday_short) && rest.size() > 3 &&
        rest[3] >= 'a' && rest[3] <= 'z')
      continue;
    return &one;
  }
  return nullptr;
}

// .000 or ,999: digits of a fraction, as many as there are; 0: none.
std::size_t fraction_size(std::string_view rest) {
  if (rest.size() < 2 || (rest[0] != '.' && rest[0] != ',')) return 0;
  if (rest[1] != '0' && rest[1] != '9') return 0;
  const std::size_t end = std::min(rest.find_first_not_of(rest[1], 1), rest.size());
  if (end < rest.size() && rest[end] >= '0' && rest[end] <= '9') return 0;
  return end;
}

std::string fraction(std::int64_t millisecond, std::string_view layout) {
  std::string made = fmt::format("{:03}000000", millisecond);
  made.resize(std::min(made.size(), layout.size() - 1));
  if (layout[1] == '9') {
    while (!made.empty() && made.back() == '0') made.pop_back();
    if (made.empty()) return {};
  }
  return layout[0] + made;
}

std::string part_text(const GoTime& time, Part part) {
  const std::int64_t twelve = time.hour % 12 == 0 ? 12 : time.hour % 12;
  switch (part) {
    case Part::month_long:
      return std::string(month_name(time.month));
    case Part::month_short:
      return std::string(month_name(time.month).substr(0, 3));
    case Part::month:
      return fmt::format("{}", time.month);
    case Part::month_two:
      return fmt::format("{:02}", time.month);
    case Part::weekday_long:
      return std::string(weekday_name(time.weekday));
    case Part::weekday_short:
      return std::string(weekday_name(time.weekday).substr(0, 3));
    case Part::day:
      return fmt::format("{}", time.day);
    case Part::day_blank:
      return fmt::format("{:2}", time.day);
    case Part::day_two:
      return fmt::format("{:02}", time.day);
    case Part::year_day_blank:
      return fmt::format("{:3}", time.year_day);
    case Part::year_day:
      return fmt::format("{:03}", time.year_day);
    case Part::hour:
      return fmt::format("{:02}", time.hour);
    case Part::hour_twelve:
      return fmt::format("{}", twelve);
    case Part::hour_twelve_two:
      return fmt::format("{:02}", twelve);
    case Part::minute:
      return fmt::format("{}", time.minute);
    case Part::minute_two:
      return fmt::format("{:02}", time.minute);
    case Part::second:
      return fmt::format("{}", time.second);
    case Part::second_two:
      return fmt::format("{:02}", time.second);
    case Part::year:
      return fmt::format("{:04}", time.year);
    case Part::year_two:
      return fmt::format("{:02}", time.year % 100);
    case Part::noon:
      return time.hour >= 12 ? "PM" : "AM";
    case Part::noon_small:
      return time.hour >= 12 ? "pm" : "am";
    case Part::zone:
      return "UTC";
    case Part::z:
      return "Z";
    case Part::offset:
      return "+0000";
    case Part::offset_colon:
      return "+00:00";
    case Part::offset_hours:
      return "+00";
    case Part::offset_seconds:
      return "+000000";
    case Part::offset_colon_seconds:
      return "+00:00:00";
  }
  return {};
}

}  // namespace

GoTime::GoTime(std::int64_t ms) {
  using namespace std::chrono;
  const sys_time<milliseconds> moment{milliseconds(ms)};
  const auto midnight = floor<days>(moment);
  const year_month_day date(midnight);
  const hh_mm_ss<milliseconds> time(moment - midnight);
  year = static_cast<int>(date.year());
  month = static_cast<unsigned>(date.month());
  day = static_cast<unsigned>(date.day());
  hour = time.hours().count();
  minute = time.minutes().count();
  second = time.seconds().count();
  millisecond = time.subseconds().count();
  const std::chrono::weekday of_week(midnight);
  weekday = of_week.c_encoding();
  year_day = (midnight - sys_days(date.year() / January / 1)).count() + 1;
}

std::string_view month_name(std::int64_t month) {
  return months[static_cast<std::size_t>(month - 1)];
}
std::string_view weekday_name(std::int64_t weekday) {
  return weekdays[static_cast<std::size_t>(weekday)];
}

std::string time_text(std::int64_t ms) {
  return time_text(ms, "2006-01-02 15:04:05.999999999 -0700 MST");
}

std::string time_text(std::int64_t ms, std::string_view layout) {
  const GoTime time(ms);
  std::string made;
  while (!layout.empty()) {
    if (const std::size_t size = fraction_size(layout); size > 0) {
      made += fraction(time.millisecond, layout.substr(0, size));
      layout.remove_prefix(size);
    } else if (layout.starts_with("_2006")) {  // no day
      made += fmt::format("_{:04}", time.year);
      layout.remove_prefix(5);
    } else if (const Layout* one = layout_of(layout)) {
      made += part_text(time, one->part);
      layout.remove_prefix(one->text.size());
    } else {
      made += layout.front();
      layout.remove_prefix(1);
    }
  }
  return made;
}

}  // namespace tallymill::alerting::templates
