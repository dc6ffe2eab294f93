#include "alerting/absent_labels.h"

#include <set>
#include <string_view>
#include <utility>
#include <variant>

namespace tallymill::alerting {

using collector::Labels;
using promql::Matcher;

Labels absent_labels(const promql::Node& node) {
  const promql::Node* at = &node;
  while (const auto* paren = std::get_if<promql::Paren>(&at->is)) at = paren->of.get();
  const auto* selector = std::get_if<promql::Selector>(&at->is);
  if (selector == nullptr) return {};
  Labels::Pairs pairs;
  std::set<std::string_view> seen;
  std::set<std::string_view> unknown;
  for (const Matcher& matcher : selector->matchers) {
    if (matcher.name() == collector::metric_name) continue;
    if (!seen.insert(matcher.name()).second || matcher.kind() != Matcher::Kind::equal)
      unknown.insert(matcher.name());
    pairs.emplace_back(matcher.name(), matcher.value());
  }
  std::erase_if(pairs, [&](const auto& pair) { return unknown.contains(pair.first); });
  return Labels::of(std::move(pairs));
}

}  // namespace tallymill::alerting
