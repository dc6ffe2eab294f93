#include "alerting/arrival_series.h"

#include <string>

namespace tallymill::alerting {
namespace {

using collector::Labels;
using collector::LabelsBuilder;

constexpr std::string_view alert_name = "alertname";
constexpr std::string_view rule_group = "rule_group";
constexpr std::string_view rule_metric = "rule_metric";

}  // namespace

Labels arrival_series(const RuleGroup& group, const Rule& rule, const Labels& match) {
  LabelsBuilder builder(match);
  builder.set(collector::metric_name, arrival_metric);
  builder.set(alert_name, rule.name);
  builder.set(rule_group, group.name);
  builder.set(rule_metric, match.metric());
  return builder.build();
}

Labels match_of(const Labels& arrival_series) {
  LabelsBuilder builder(arrival_series);
  builder.set(collector::metric_name, arrival_series.get(rule_metric));
  for (const std::string_view own : {alert_name, rule_group, rule_metric}) builder.erase(own);
  return builder.build();
}

bool is_arrival_of(const RuleGroup& group, const Rule& rule, const Labels& arrival_series) {
  return arrival_series.metric() == arrival_metric && arrival_series.get(alert_name) == rule.name &&
         arrival_series.get(rule_group) == group.name;
}

}  // namespace tallymill::alerting
