#include "alerting/absent_labels.h"

#include <set>
#include <string_view>
#include <variant>

namespace tallymill::alerting {

using collector::Labels;
using promql::Matcher;

Labels absent_labels(const promql::Node& node) {
  const promql::Node* at = &node;
  while (const auto* paren = std::get_if<promql::Paren>(&at->is)) at = paren->of.get();
  const auto* selector = std::get_if<promql::Selector>(&at->is);
  if (selector == nullptr) return {};
  collector::LabelsBuilder builder;
  std::set<std::string_view> said;
  for (const Matcher& matcher : selector->matchers) {
    if (matcher.name() == collector::metric_name) continue;
    if (matcher.kind() == Matcher::Kind::equal && said.insert(matcher.name()).second)
      builder.set(matcher.name(), matcher.value());
    else
      builder.erase(matcher.name());
  }
  return builder.build();
}

}  // namespace tallymill::alerting
