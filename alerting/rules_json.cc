#include "alerting/rules_json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace tallymill::alerting {
namespace {

using collector::RuleSource;

std::string text_json(std::string_view text) {
  // What is not UTF-8 cannot be in a label; an error's text may quote a stranger's bytes.
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string time_json(std::int64_t ms) {
  if (ms == 0) return R"("0001-01-01T00:00:00Z")";
  const std::int64_t seconds = ms >= 0 ? ms / 1'000 : -((999 - ms) / 1'000);
  return fmt::format(R"("{:%Y-%m-%dT%H:%M:%S}.{:03}Z")",
                     fmt::gmtime(static_cast<std::time_t>(seconds)), ms - seconds * 1'000);
}

std::string seconds_json(std::chrono::nanoseconds length) {
  return fmt::format("{}", static_cast<double>(length.count()) / 1e9);
}

std::string labels_json(const collector::Labels& labels) {
  std::string json = "{";
  for (const collector::Label& label : labels)
    json += fmt::format("{}{}:{}", json.size() > 1 ? "," : "", text_json(label.name),
                        text_json(label.value));
  return json + "}";
}

std::string templated_json(const std::vector<Templated>& all) {
  std::string json = "{";
  for (const Templated& one : all)
    json += fmt::format("{}{}:{}", json.size() > 1 ? "," : "", text_json(one.name),
                        text_json(one.text));
  return json + "}";
}

std::string alert_json(const Alert& alert) {
  return fmt::format(R"({{"labels":{},"annotations":{},"state":"{}","activeAt":{},"value":"{}"}})",
                     labels_json(alert.labels), labels_json(alert.annotations),
                     name_of(alert.state), time_json(alert.active_ms), exponent_text(alert.value));
}

std::string list_of(const std::vector<Alert>& alerts) {
  std::string json = "[";
  for (const Alert& alert : alerts) {
    if (json.size() > 1) json += ',';
    json += alert_json(alert);
  }
  return json + "]";
}

std::string_view name_of(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::err:
      return "err";
    case Health::nodata:
      return "nodata";
    case Health::unknown:
      break;
  }
  return "unknown";
}

AlertState state_of(const RuleStatus& status) {
  AlertState greatest = AlertState::inactive;
  for (const Alert& alert : status.alerts) greatest = std::max(greatest, alert.state);
  return greatest;
}

std::string own_keys(const Rule& rule) {
  std::string json;
  if (rule.on_arrival) json += R"(,"onArrival":true)";
  if (!rule.resolve_expr.empty())
    json += fmt::format(R"(,"resolveQuery":{})", text_json(rule.resolve_expr));
  if (rule.no_data != Rule::NoData::keep)
    json +=
        fmt::format(R"(,"noData":"{}")", rule.no_data == Rule::NoData::fire ? "fire" : "resolve");
  return json;
}

std::string rule_json(const Rule& rule, const RuleStatus& status) {
  std::string json = "{";
  const bool alerts = rule.kind == Rule::Kind::alerting;
  if (alerts) json += fmt::format(R"("state":"{}",)", name_of(state_of(status)));
  json += fmt::format(R"("name":{},"query":{},)", text_json(rule.name), text_json(rule.expr));
  if (alerts)
    json += fmt::format(R"("duration":{},"keepFiringFor":{},)", seconds_json(rule.hold),
                        seconds_json(rule.keep_firing));
  if (alerts || !rule.labels.empty())
    json += fmt::format(R"("labels":{},)", templated_json(rule.labels));
  if (alerts)
    json += fmt::format(R"("annotations":{},"alerts":{},)", templated_json(rule.annotations),
                        list_of(status.alerts));
  json += fmt::format(R"("health":"{}",)", name_of(status.health));
  if (!status.last_error.empty())
    json += fmt::format(R"("lastError":{},)", text_json(status.last_error));
  json += fmt::format(R"("evaluationTime":{},"lastEvaluation":{},"type":"{}"{}}})",
                      seconds_json(status.took), time_json(status.evaluated_ms),
                      alerts ? "alerting" : "recording", own_keys(rule));
  return json;
}

bool is_asked_for(const Rule& rule, RuleSource::Kind kind) {
  if (kind == RuleSource::Kind::all) return true;
  return (kind == RuleSource::Kind::alerting) == (rule.kind == Rule::Kind::alerting);
}

}  // namespace

std::string exponent_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[32];
  const auto [end, error] =
      std::to_chars(std::begin(text), std::end(text), value, std::chars_format::scientific);
  return {text, end};
}

std::string groups_json(std::span<const GroupStatus> groups, RuleSource::Kind kind) {
  std::string json = "[";
  for (const GroupStatus& group : groups) {
    std::string rules;
    for (std::size_t i = 0; i < group.rules->rules.size(); ++i) {
      const Rule& rule = group.rules->rules[i];
      if (!is_asked_for(rule, kind)) continue;
      if (!rules.empty()) rules += ',';
      rules += rule_json(rule, group.status[i]);
    }
    json += fmt::format(
        R"({}{{"name":{},"file":{},"rules":[{}],"interval":{},"limit":{},"evaluationTime":{},)"
        R"("lastEvaluation":{}}})",
        json.size() > 1 ? "," : "", text_json(group.rules->name), text_json(group.rules->file),
        rules, seconds_json(group.interval), group.rules->limit, seconds_json(group.took),
        time_json(group.evaluated_ms));
  }
  return json + "]";
}

std::string alerts_json(std::span<const GroupStatus> groups) {
  std::string json = "[";
  for (const GroupStatus& group : groups) {
    for (const RuleStatus& status : group.status) {
      for (const Alert& alert : status.alerts) {
        if (json.size() > 1) json += ',';
        json += alert_json(alert);
      }
    }
  }
  return json + "]";
}

}  // namespace tallymill::alerting
