#include "alerting/shipped.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "alerting/limits.h"
#include "base/check.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

std::int64_t at_percent(std::int64_t ms, int percent, std::int64_t least) {
  return std::max(ms * percent / 100, std::min(ms, least));
}

milliseconds at_percent(milliseconds time, int percent, milliseconds least) {
  return milliseconds(at_percent(time.count(), percent, least.count()));
}

void scale(promql::Node& node, int percent) {
  const auto visitor = [&]<class Is>(Is& is) {
    constexpr std::int64_t range = limits::scaled_range_least.count();
    if constexpr (std::is_same_v<Is, promql::Selector>) {
      is.range_ms = at_percent(is.range_ms, percent, range);
    } else if constexpr (std::is_same_v<Is, promql::Subquery>) {
      is.range_ms = at_percent(is.range_ms, percent, range);
      is.step_ms = at_percent(is.step_ms, percent, limits::scaled_interval_least.count());
      scale(*is.of, percent);
    } else if constexpr (std::is_same_v<Is, promql::Call>) {
      for (const promql::NodePtr& argument : is.arguments) scale(*argument, percent);
    } else if constexpr (std::is_same_v<Is, promql::Aggregate>) {
      if (is.parameter != nullptr) scale(*is.parameter, percent);
      scale(*is.of, percent);
    } else if constexpr (std::is_same_v<Is, promql::Binary>) {
      scale(*is.left, percent);
      scale(*is.right, percent);
    } else if constexpr (requires { is.of; }) {
      scale(*is.of, percent);
    }
  };
  std::visit(visitor, node.is);
}

// A rule's own tree is shared and never written: its text gives another.
void scale(std::string& expr, std::shared_ptr<const promql::Node>& node, int percent) {
  auto again = promql::parse(expr);
  TM_CHECK(again);  // text() of what parse() gave
  scale(**again, percent);
  expr = promql::text(**again);
  node = std::move(*again);
}

}  // namespace

RuleGroup scaled(RuleGroup group, int percent) {
  if (percent == 100) return group;
  group.interval = at_percent(group.interval, percent, limits::scaled_interval_least);
  for (Rule& rule : group.rules) {
    rule.hold = at_percent(rule.hold, percent, milliseconds(0));
    rule.keep_firing = at_percent(rule.keep_firing, percent, milliseconds(0));
    scale(rule.expr, rule.node, percent);
    if (rule.resolve_node != nullptr) scale(rule.resolve_expr, rule.resolve_node, percent);
  }
  return group;
}

std::string shipped_text() {
  constexpr std::string_view key = "\ngroups:\n";
  std::string all;
  for (const ShippedFile& file : shipped_files()) {
    std::string text(file.text);
    if (!all.empty()) text.replace(text.find(key), key.size(), "\n");  // it is there once
    all += text;
  }
  return all;
}

Result<std::vector<RuleGroup>> shipped_rules(int window_percent) {
  std::vector<RuleGroup> all;
  for (const ShippedFile& file : shipped_files()) {
    auto groups = parse_rule_file(file.text, file.name);
    if (!groups) return groups;
    for (RuleGroup& group : *groups) {
      group.file = shipped_name;
      all.push_back(scaled(std::move(group), window_percent));
    }
  }
  return all;
}

}  // namespace tallymill::alerting
