#include "collector/promql/spans.h"

namespace tallymill::promql {

std::optional<std::int64_t> shortest_range_ms(const Node& node) {
  std::optional<std::int64_t> shortest;
  if (const auto* selector = std::get_if<Selector>(&node.is); selector && selector->range_ms != 0)
    shortest = selector->range_ms;
  for_each_child(node, [&](const Node& child) {
    const auto one = shortest_range_ms(child);
    if (one && (!shortest || *one < *shortest)) shortest = one;
  });
  return shortest;
}

}  // namespace tallymill::promql
