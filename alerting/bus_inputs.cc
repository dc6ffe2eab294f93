#include "alerting/bus_inputs.h"

#include <algorithm>
#include <variant>

namespace tallymill::alerting {
namespace {

using collector::Matcher;

bool is_of_the_bus(const std::vector<Matcher>& matchers) {
  return std::ranges::any_of(matchers, [](const Matcher& one) {
    const bool says_which =
        one.kind() == Matcher::Kind::equal || one.kind() == Matcher::Kind::matches;
    return says_which && one.name() == collector::metric_name &&
           one.value().starts_with("tallymill_");
  });
}

bool any_sample(const collector::Source& source, const std::vector<Matcher>& matchers,
                std::int64_t from_ms, std::int64_t to_ms) {
  const auto found = source.select(matchers, from_ms, to_ms);
  if (!found) return true;
  return std::ranges::any_of(*found, [&](const collector::Source::Found& one) {
    return source.has_samples(one.series, from_ms, to_ms).value_or(true);
  });
}

}  // namespace

BusInputs::BusInputs(const RuleGroup& group) {
  for (const Rule& rule : group.rules) add(*rule.node);
}

void BusInputs::add(const promql::Node& node) {
  if (const auto* selector = std::get_if<promql::Selector>(&node.is);
      selector != nullptr && is_of_the_bus(selector->matchers))
    selectors_.push_back(selector->matchers);
  promql::for_each_child(node, [this](const promql::Node& child) { add(child); });
}

bool BusInputs::reported(const collector::Source& source, std::int64_t from_ms,
                         std::int64_t to_ms) const {
  return std::ranges::all_of(selectors_, [&](const std::vector<Matcher>& matchers) {
    return any_sample(source, matchers, from_ms, to_ms);
  });
}

}  // namespace tallymill::alerting
