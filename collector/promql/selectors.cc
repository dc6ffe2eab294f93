#include "collector/promql/selectors.h"

namespace tallymill::promql {
namespace {

void gather(const Node& node, std::vector<std::vector<Matcher>>& found) {
  if (const auto* selector = std::get_if<Selector>(&node.is)) found.push_back(selector->matchers);
  for_each_child(node, [&](const Node& child) { gather(child, found); });
}

}  // namespace

std::vector<std::vector<Matcher>> selectors_in(const Node& node) {
  std::vector<std::vector<Matcher>> found;
  gather(node, found);
  return found;
}

}  // namespace tallymill::promql
