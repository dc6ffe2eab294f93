// What `tallymill alerts explain` prints.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/cli/alerts.h"
#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/clock.h"
#include "base/duration.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

std::string when(std::int64_t ms) { return human_time(ms * 1'000'000); }
std::string when(const std::string& rfc3339) {
  const auto ms = unix_ms_of(rfc3339);
  return ms ? when(*ms) : "";
}

std::string length_of(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return "";
  const double seconds = found->get<double>();
  if (!(seconds > 0) || seconds > 1e9) return "";
  return duration_text(static_cast<std::int64_t>(seconds * 1000 + 0.5));
}

json list_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : json::array();
}
json object_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : json::object();
}

// wait{stage="image"}
std::string series_of(const json& labels) {
  std::string text = text_at(labels, "__name__");
  std::string inside;
  for (const auto& [name, value] : labels.items())
    if (name != "__name__" && value.is_string())
      inside += (inside.empty() ? "" : ", ") + name + "=" + value.dump();
  return printable(text + "{" + inside + "}");
}

std::string title(std::string_view words) { return "\n  " + coloured(words, Colour::bold) + "\n"; }

constexpr std::size_t value_column = 14;  // of append_row

void append_row(std::string& to, std::string_view name, const std::string& value) {
  if (!value.empty()) to += fmt::format("  {:<11} {}\n", name, value);
}

std::optional<std::int64_t> moment_of(const json& point) {
  if (!point.is_array() || point.size() != 2 || !point[0].is_number() || !point[1].is_string())
    return std::nullopt;
  const double seconds = point[0].get<double>();
  if (!(std::abs(seconds) < 1e11)) return std::nullopt;
  return std::llround(seconds * 1000);
}

// Points of [seconds, "value"]; behind the last up to this moment stands what it says.
std::string points_text(const json& points, std::optional<std::int64_t> moment_ms,
                        std::string_view says) {
  std::optional<std::int64_t> last_ms;
  for (const json& point : points)
    if (const auto ms = moment_of(point); ms && moment_ms && *ms <= *moment_ms) last_ms = ms;
  std::string text;
  for (const json& point : points) {
    const auto ms = moment_of(point);
    if (!ms) continue;
    text += fmt::format("    {}  {:>12}{}\n", when(*ms),
                        number_of(point[1].get_ref<const std::string&>()),
                        ms == last_ms ? coloured(says, Colour::yellow) : "");
  }
  return text;
}

std::string samples_text(const json& alert, std::optional<std::int64_t> active_ms) {
  std::string text;
  const json selectors = list_at(alert, "samples");
  for (const json& selector : selectors) {
    text += title("Samples of " + printable(text_at(selector, "selector")));
    const json all = list_at(selector, "series");
    if (all.empty()) text += coloured("    none\n", Colour::dim);
    for (const json& series : all) {
      text += "  " + series_of(object_at(series, "metric")) + "\n";
      text += points_text(list_at(series, "values"), active_ms, "  <- the last by then");
      if (series.value("more", false))
        text += coloured("    those between the first and the last are not shown\n", Colour::dim);
    }
  }
  if (const auto left = number_at(alert, "seriesLeftOut"); left > 0)
    text += coloured(fmt::format("  {} more series are not shown\n", left), Colour::dim);
  return text;
}

std::string values_text(const json& alert, std::optional<std::int64_t> active_ms) {
  const json values = object_at(alert, "values");
  std::string text = title("Evaluations of " + printable(text_at(values, "query")));
  if (const std::string error = text_at(values, "error"); !error.empty())
    return text + "    " + printable(error) + "\n";
  const std::string points =
      points_text(list_at(values, "values"), active_ms, "  <- active from here");
  return text + (points.empty() ? coloured("    none\n", Colour::dim) : points);
}

std::string delivered_text(const json& alert) {
  const json all = list_at(alert, "delivered");
  std::string text = title("Told");
  if (all.empty()) return text + coloured("    nobody\n", Colour::dim);
  Table table({{"  WHEN"}, {"SINK"}, {"STATE"}, {"OUTCOME"}, {"TRIES", true}, {"WHY"}});
  for (const json& one : all) {
    const std::string outcome = text_at(one, "outcome");
    table.row({"  " + when(text_at(one, "at")), printable(text_at(one, "sink")),
               text_at(one, "state"),
               coloured(outcome, outcome == "taken" ? Colour::green : Colour::yellow),
               one.contains("tries") ? fmt::format("{}", number_at(one, "tries")) : "",
               printable(text_at(one, "why"))});
  }
  return text + table.text();
}

std::string alert_text(const json& alert) {
  const auto active_ms = unix_ms_of(text_at(alert, "activeAt"));
  const std::string state = text_at(alert, "state");
  std::string text = "\n" + coloured(series_of(object_at(alert, "labels")), Colour::bold) + "\n";
  std::string now = coloured(state == "inactive" ? "over" : state,
                             state == "firing" ? Colour::red : Colour::yellow);
  if (active_ms) now += ", active since " + when(*active_ms);
  if (const std::string end = when(text_at(alert, "endsAt")); !end.empty()) now += " to " + end;
  append_row(text, "state", now);
  append_row(text, "value", number_of(text_at(alert, "value")));
  const json annotations = object_at(alert, "annotations");
  for (const auto& [name, value] : annotations.items())
    if (value.is_string())
      append_row(text, printable(name),
                 printable_lines(value.get_ref<const std::string&>(),
                                 std::max(value_column, columns_of(printable(name)) + 3)));
  const json silences = list_at(alert, "silencedBy");
  for (const json& id : silences)
    if (id.is_string())
      append_row(text, "silenced by", printable(id.get_ref<const std::string&>()));
  const json inhibitors = list_at(alert, "inhibitedBy");
  for (const json& one : inhibitors) append_row(text, "inhibited", "by " + series_of(one));
  text += title("States");
  if (const auto left = number_at(alert, "changesLeftOut"); left > 0)
    text += coloured(fmt::format("    {} earlier ones are not shown\n", left), Colour::dim);
  const json changes = list_at(alert, "changes");
  for (const json& one : changes)
    text += fmt::format("    {}  {}\n", when(text_at(one, "at")), text_at(one, "state"));
  return text + values_text(alert, active_ms) + samples_text(alert, active_ms) +
         delivered_text(alert);
}

std::string rule_text(const std::string& name, const json& rule) {
  std::string text = coloured(printable(name), Colour::bold) + "\n";
  append_row(text, "expression", printable(text_at(rule, "query")));
  append_row(text, "resolved by", printable(text_at(rule, "resolveQuery")));
  append_row(text, "for", length_of(rule, "duration"));
  append_row(text, "keeps", length_of(rule, "keepFiringFor"));
  append_row(text, "rule",
             printable(fmt::format("group {} of {}, judged every {}", text_at(rule, "group"),
                                   text_at(rule, "file"), length_of(rule, "interval"))));
  const std::string health = text_at(rule, "health");
  append_row(text, "health",
             health == "ok" ? "" : printable(health + " " + text_at(rule, "lastError")));
  const json alerts = list_at(rule, "alerts");
  if (alerts.empty())
    text += coloured("\n  no alert of it is active, or was in the time looked at\n", Colour::dim);
  for (const json& one : alerts) text += alert_text(one);
  if (const auto left = number_at(rule, "leftOut"); left > 0)
    text +=
        coloured(fmt::format("\n{} more alerts: name some, as stage=image\n", left), Colour::dim);
  return text;
}

}  // namespace

std::string explanation_text(const json& data) {
  std::string text;
  const json rules = list_at(data, "rules");
  for (const json& rule : rules)
    text += (text.empty() ? "" : "\n") + rule_text(text_at(data, "name"), rule);
  return text;
}

}  // namespace tallymill::cli
