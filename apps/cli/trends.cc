// trends: asks a collector for a range of a query, and tells where its series changed their level.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/clock.h"
#include "base/limits.h"
#include "collector/trends.h"
#include "http/client.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

constexpr std::size_t points_per_window = 30;
constexpr double windows_in_range = 48;  // when no window is said

// Where and how often values are asked for: each point of the answer is one.
struct Grid {
  double from_s = 0;
  double step_s = 0;
  std::size_t points = 0;
};

Grid grid_of(const TrendsArgs& args) {
  const double window_s = args.window_s > 0 ? args.window_s : args.last_s / windows_in_range;
  const std::int64_t now_ms = to_ns(SystemClock().wall()) / 1'000'000;
  const double now_s = static_cast<double>(now_ms) / 1000;
  Grid grid;
  // In whole milliseconds, as far as the API tells time.
  grid.step_s = std::max(1.0, std::round(window_s * 1000 / points_per_window)) / 1000;
  grid.points = static_cast<std::size_t>(args.last_s / grid.step_s) + 1;
  grid.from_s = now_s - static_cast<double>(grid.points - 1) * grid.step_s;
  return grid;
}

// The collector's answer to a range query: an array of series.
Result<json> ask(const TrendsArgs& args, const Grid& grid) {
  const double end_s = grid.from_s + static_cast<double>(grid.points - 1) * grid.step_s;
  const auto data = ask_collector(
      args.common, args.collector, "/api/v1/query_range",
      fmt::format("query={}&start={:.3f}&end={:.3f}&step={:.3f}", http::percent_encoded(args.query),
                  grid.from_s, end_s, grid.step_s));
  if (!data) return std::unexpected(data.error());
  if (text_at(*data, "resultType") != "matrix")
    return fail(Errc::bad_frame, "the collector's answer is no range");
  return data->value("result", json::array());
}

// On the grid; where the answer has no point it is no number.
std::vector<double> values_of(const json& series, const Grid& grid) {
  std::vector<double> values(grid.points, std::numeric_limits<double>::quiet_NaN());
  for (const json& point : series.value("values", json::array())) {
    if (!point.is_array() || point.size() != 2 || !point[0].is_number() || !point[1].is_string())
      continue;
    const double at = (point[0].get<double>() - grid.from_s) / grid.step_s + 0.5;
    if (!(at >= 0) || at >= static_cast<double>(values.size())) continue;
    const auto& text = point[1].get_ref<const std::string&>();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc()) values[static_cast<std::size_t>(at)] = value;
  }
  return values;
}

// {a="b"}, with the metric's name in front, in the order of the answer, which is sorted.
std::string name_of(const json& metric) {
  std::string out = text_at(metric, "__name__");
  char before = '{';
  for (const auto& [name, value] : metric.items()) {
    if (name == "__name__" || !value.is_string()) continue;
    out += before + name + "=" + value.dump();
    before = ',';
  }
  return before == ',' ? out + '}' : out.empty() ? "{}" : out;
}

struct Answer {
  json series = json::array();  // those with steps
  std::size_t looked_at = 0;
  std::size_t too_short = 0;
  std::size_t left_out = 0;
};

Answer steps_of(const json& all, const Grid& grid) {
  Answer answer;
  for (const json& one : all) {
    if (answer.looked_at == limits::trend_series) {
      answer.left_out = all.size() - answer.looked_at;
      break;
    }
    ++answer.looked_at;
    const auto found = collector::steps_in(values_of(one, grid), points_per_window);
    if (!found) {
      ++answer.too_short;
      continue;
    }
    json steps = json::array();
    for (const collector::Step& step : *found)
      steps.push_back({{"unix_s", grid.from_s + static_cast<double>(step.at) * grid.step_s},
                       {"before", step.before},
                       {"after", step.after},
                       {"strength", step.strength}});
    if (!steps.empty())
      answer.series.push_back({{"metric", one.value("metric", json::object())}, {"steps", steps}});
  }
  return answer;
}

void print_steps(const Answer& answer) {
  Table table({{"WHEN"}, {"BEFORE", true}, {"AFTER", true}, {"CHANGE", true}, {"SERIES"}});
  for (const json& one : answer.series) {
    for (const json& step : one["steps"]) {
      const double before = step["before"];
      const double after = step["after"];
      const std::string change =
          before == 0 ? "" : fmt::format("{:+.1f} %", (after - before) / std::abs(before) * 100);
      table.row({human_time(static_cast<std::int64_t>(step["unix_s"].get<double>() * 1e9)),
                 fmt::format("{:.6g}", before), fmt::format("{:.6g}", after), change,
                 printable(name_of(one["metric"]))});
    }
  }
  if (!table.empty()) print(table.text());
  print(coloured(fmt::format("{} series looked at, {} with steps, {} too short to tell\n",
                             answer.looked_at, answer.series.size(), answer.too_short),
                 Colour::dim));
  if (answer.left_out > 0)
    fmt::print(stderr, "  {} series were left out: ask for fewer\n", answer.left_out);
}

}  // namespace

int trends(const TrendsArgs& args) {
  const Grid grid = grid_of(args);
  if (grid.points > limits::query_points ||
      grid.points < collector::trend_windows * points_per_window)
    return tell(args.common,
                {Errc::bad_params,
                 fmt::format("a window is from a 360th to a {}th of the time looked at",
                             collector::trend_windows),
                 "/window",
                 {}});
  const auto all = ask(args, grid);
  if (!all) return tell(args.common, all.error());
  const Answer answer = steps_of(*all, grid);
  if (args.common.json)
    print_json({{"series", answer.series},
                {"looked_at", answer.looked_at},
                {"too_short", answer.too_short},
                {"left_out", answer.left_out}});
  else
    print_steps(answer);
  return exit_ok;
}

}  // namespace tallymill::cli
