// Words: which functions, aggregations, operators and modifiers expressions use.
//
// Threads: a value.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collector/promql/ast.h"
#include "collector/promql/function_table.h"

namespace tallymill::promql {

class WordCounts {
 public:
  // Each word of the expression once for each place where it stands.
  void add(const Node& node) {
    std::visit([this](const auto& is) { look(is); }, node.is);
  }
  [[nodiscard]] int of(const std::string& word) const {
    const auto at = counts_.find(word);
    return at == counts_.end() ? 0 : at->second;
  }
  // All that there are.
  [[nodiscard]] static std::vector<std::string> all() {
    std::vector<std::string> words = {"bool",        "on",
                                      "ignoring",    "group_left",
                                      "group_right", "by",
                                      "without",     "offset",
                                      "offset -",    "@",
                                      "@ start()",   "@ end()",
                                      "subquery",    "subquery without a step",
                                      "negation",    "plus sign",
                                      "range",       "text"};
    for (const Function& function : functions()) words.emplace_back(function.name);
    for (auto op = Aggregation::sum; op <= Aggregation::quantile; op = next(op))
      words.emplace_back(name_of(op));
    for (auto op = Operator::add; op <= Operator::lunless; op = next(op))
      words.emplace_back(name_of(op));
    return words;
  }

 private:
  template <class Enum>
  static Enum next(Enum value) {
    return static_cast<Enum>(static_cast<int>(value) + 1);
  }
  void note(std::string_view word) { ++counts_[std::string(word)]; }

  void look(const Number&) {}
  void look(const Text&) { note("text"); }
  void look(const Shift& shift) {
    if (shift.offset_ms != 0) note(shift.offset_ms > 0 ? "offset" : "offset -");
    if (!shift.at) return;
    note(shift.at->kind == At::Kind::start ? "@ start()"
         : shift.at->kind == At::Kind::end ? "@ end()"
                                           : "@");
  }
  void look(const Selector& selector) {
    if (selector.range_ms > 0) note("range");
    look(selector.shift);
  }
  void look(const Subquery& subquery) {
    note(subquery.step_ms == 0 ? "subquery without a step" : "subquery");
    look(subquery.shift);
    add(*subquery.of);
  }
  void look(const Call& call) {
    note(call.function->name);
    for (const NodePtr& argument : call.arguments) add(*argument);
  }
  void look(const Aggregate& aggregate) {
    note(name_of(aggregate.op));
    if (aggregate.without) note("without");
    if (!aggregate.without && !aggregate.labels.empty()) note("by");
    add(*aggregate.of);
    if (aggregate.parameter) add(*aggregate.parameter);
  }
  void look(const Binary& binary) {
    note(name_of(binary.op));
    if (binary.return_bool) note("bool");
    const Matching& matching = binary.matching;
    if (matching.on) note("on");
    if (!matching.on && !matching.labels.empty()) note("ignoring");
    if (matching.card == Matching::Card::many_to_one) note("group_left");
    if (matching.card == Matching::Card::one_to_many) note("group_right");
    add(*binary.left);
    add(*binary.right);
  }
  void look(const Signed& node) {
    note(node.minus ? "negation" : "plus sign");
    add(*node.of);
  }
  void look(const Paren& paren) { add(*paren.of); }

  std::map<std::string, int> counts_;
};

}  // namespace tallymill::promql
