#include "collector/promql/selectors.h"

namespace tallymill::promql {
namespace {

struct Gather {
  std::vector<std::vector<Matcher>> found;

  void in(const NodePtr& node) {
    if (node != nullptr) std::visit(*this, node->is);
  }
  void operator()(const Number&) {}
  void operator()(const Text&) {}
  void operator()(const Selector& selector) { found.push_back(selector.matchers); }
  void operator()(const Subquery& subquery) { in(subquery.of); }
  void operator()(const Call& call) {
    for (const NodePtr& argument : call.arguments) in(argument);
  }
  void operator()(const Aggregate& aggregate) {
    in(aggregate.of);
    in(aggregate.parameter);
  }
  void operator()(const Binary& binary) {
    in(binary.left);
    in(binary.right);
  }
  void operator()(const Signed& with_sign) { in(with_sign.of); }
  void operator()(const Paren& paren) { in(paren.of); }
};

}  // namespace

std::vector<std::vector<Matcher>> selectors_in(const Node& node) {
  Gather gather;
  std::visit(gather, node.is);
  return std::move(gather.found);
}

}  // namespace tallymill::promql
