#include "collector/promql/spans.h"

#include <algorithm>

namespace tallymill::promql {
namespace {

using Span = std::optional<std::int64_t>;

Span shorter(Span a, Span b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

struct Shortest {
  Span operator()(const Number&) const { return {}; }
  Span operator()(const Text&) const { return {}; }
  Span operator()(const Selector& selector) const {
    return selector.range_ms == 0 ? Span() : Span(selector.range_ms);
  }
  Span operator()(const Subquery& subquery) const { return shortest_range_ms(*subquery.of); }
  Span operator()(const Call& call) const {
    Span shortest;
    for (const NodePtr& argument : call.arguments)
      shortest = shorter(shortest, shortest_range_ms(*argument));
    return shortest;
  }
  Span operator()(const Aggregate& aggregate) const {
    return shorter(shortest_range_ms(*aggregate.of),
                   aggregate.parameter ? shortest_range_ms(*aggregate.parameter) : Span());
  }
  Span operator()(const Binary& binary) const {
    return shorter(shortest_range_ms(*binary.left), shortest_range_ms(*binary.right));
  }
  Span operator()(const Signed& node) const { return shortest_range_ms(*node.of); }
  Span operator()(const Paren& paren) const { return shortest_range_ms(*paren.of); }
};

}  // namespace

Span shortest_range_ms(const Node& node) { return std::visit(Shortest(), node.is); }

}  // namespace tallymill::promql
