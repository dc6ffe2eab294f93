#include "alerting/backtest_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "alerting/alert_json.h"
#include "alerting/yaml_reader.h"
#include "collector/parameters.h"

namespace tallymill::alerting {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
double seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

Json labels_json(const collector::Labels& labels) {
  Json object = Json::object();
  for (const collector::Label& label : labels)
    object[std::string(label.name)] = std::string(label.value);
  return object;
}

Json rule_json(const BacktestRule& rule) {
  const bool is_alert = rule.kind == Rule::Kind::alerting;
  Json one = {{"file", rule.file},
              {"line", rule.line},
              {"group", rule.group},
              {"name", rule.name},
              {"query", rule.expr},
              {"type", is_alert ? "alerting" : "recording"},
              {"intervalSeconds", seconds(rule.interval_ms)},
              {"judged", rule.was_judged},
              {"evaluations", rule.evaluations},
              {"failures", rule.failures},
              {"samples", rule.samples}};
  if (rule.failures > 0) {
    one["firstError"] = rule.first_error;
    one["firstErrorAt"] = rfc3339(rule.first_error_ms);
  }
  if (rule.step_ms > 0) {
    one["stepSeconds"] = seconds(rule.step_ms);
    one["stepUntil"] = rfc3339(rule.coarse_ms);
  }
  if (!is_alert) return one;
  one["firings"] = rule.firings;
  one["unfulfilled"] = rule.unfulfilled;
  one["totalSeconds"] = seconds(rule.total_ms);
  one["longestSeconds"] = seconds(rule.longest_ms);
  return one;
}

Json firing_json(const Backtest& result, const Firing& firing) {
  const std::int64_t end = firing.ended_ms == 0 ? result.to_ms : firing.ended_ms;
  return {{"rule", firing.rule},
          {"name", result.rules[firing.rule].name},
          {"labels", labels_json(firing.labels)},
          {"pendingSince", rfc3339(firing.pending_ms)},
          {"start", rfc3339(firing.fired_ms)},
          {"end", firing.ended_ms == 0 ? Json() : Json(rfc3339(firing.ended_ms))},
          {"durationSeconds", seconds(end - firing.fired_ms)},
          {"value", number(firing.value)},
          {"peak", number(firing.peak)}};
}

std::unexpected<Error> wrong(std::string text) { return fail(Errc::bad_params, std::move(text)); }

Result<std::int64_t> time_of(const Json& body, const char* key) {
  const auto at = body.find(key);
  if (at == body.end()) return wrong(std::string("'") + key + "' is missing: a time");
  const std::string text = at->is_string() ? at->get<std::string>() : at->dump();
  const auto ms = collector::time_ms_of(text);
  if (!ms)
    return wrong(std::string("'") + key + "' is " + text.substr(0, 100) +
                 ", which is no time: seconds since 1970, or 2026-11-28T13:00:00Z");
  return *ms;
}

Status add_rules(std::string_view text, std::string_view name, BacktestAsked& to) {
  auto groups = parse_rule_file(text, name);
  if (!groups) return std::unexpected(std::move(groups).error());
  for (RuleGroup& group : *groups) to.groups.push_back(std::move(group));
  return {};
}

Status add_rules(const Json& rules, BacktestAsked& to) {
  constexpr std::string_view unnamed = "rules";
  if (rules.is_string()) return add_rules(rules.get_ref<const std::string&>(), unnamed, to);
  if (!rules.is_object())
    return wrong("'rules' is the text of a rule file, or texts by their files' names");
  if (rules.contains("groups")) return add_rules(rules.dump(), unnamed, to);
  for (const auto& [name, text] : rules.items()) {
    if (!text.is_string()) return wrong("of 'rules', '" + name + "' is no text");
    if (auto added = add_rules(text.get_ref<const std::string&>(), name, to); !added) return added;
  }
  return {};
}

}  // namespace

std::string backtest_json(const Backtest& result, const std::vector<SinkCount>& notifications) {
  Json rules = Json::array();
  for (const BacktestRule& rule : result.rules) rules.push_back(rule_json(rule));
  Json firings = Json::array();
  for (const Firing& one : result.firings) firings.push_back(firing_json(result, one));
  Json told = Json::array();
  for (const SinkCount& one : notifications)
    told.push_back({{"sink", one.sink}, {"messages", one.messages}, {"reminders", one.reminders}});
  const Json all = {{"from", rfc3339(result.from_ms)},   {"to", rfc3339(result.to_ms)},
                    {"evaluations", result.evaluations}, {"rules", std::move(rules)},
                    {"firings", std::move(firings)},     {"notifications", std::move(told)},
                    {"warnings", result.warnings}};
  return all.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<BacktestAsked> parse_backtest(std::string_view json) {
  const Json body = Json::parse(json, nullptr, false);
  if (!body.is_object()) return wrong("the body is no JSON object");
  BacktestAsked asked;
  for (const auto& [key, value] : body.items())
    if (key != "rules" && key != "from" && key != "to" && key != "interval" && key != "sinks")
      return wrong("'" + key + "' is none of rules, from, to, interval, sinks");
  const auto from = time_of(body, "from");
  if (!from) return std::unexpected(from.error());
  const auto to = time_of(body, "to");
  if (!to) return std::unexpected(to.error());
  asked.from_ms = *from;
  asked.to_ms = *to;
  if (const auto interval = body.find("interval"); interval != body.end()) {
    const std::string text = interval->is_string() ? interval->get<std::string>() : "";
    const auto ms = config_duration_ms(text);
    if (!ms || *ms <= 0) return wrong("'interval' is no length of time as 15s or 1m");
    asked.interval_ms = *ms;
  }
  if (!body.contains("rules")) return wrong("'rules' is missing: the text of a rule file");
  if (auto added = add_rules(body["rules"], asked); !added)
    return std::unexpected(std::move(added).error());
  if (const auto sinks = body.find("sinks"); sinks != body.end()) {
    if (!sinks->is_string()) return wrong("'sinks' is the text of a file of sinks");
    auto parsed = parse_sinks(sinks->get_ref<const std::string&>(), "sinks");
    if (!parsed) return std::unexpected(std::move(parsed).error());
    asked.sinks = std::move(*parsed);
  }
  return asked;
}

}  // namespace tallymill::alerting
