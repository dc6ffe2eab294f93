// Ast: a PromQL expression as a tree.
//
// parse() (parser.h) makes it and has checked it: each node's type is right for who holds it, each
// call has the arguments that its function wants. text() (print.h) writes it back.
//
//   invariant: parse(text(parse(q))) is parse(q), but for plus signs: infinity is written with one,
//   as Prometheus writes it, and before a power that is the sign of all of it
//
// Threads: plain values.
// Source: the language as Prometheus 2.42 has it, less native histograms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "collector/query.h"

namespace tallymill::promql {

using collector::Matcher;

enum class Type : std::uint8_t { scalar, vector, matrix, string };
// "scalar", "instant vector", "range vector", "string".
[[nodiscard]] std::string_view name_of(Type type);

struct Function;
struct Node;
using NodePtr = std::unique_ptr<Node>;

// `@`: a fixed time, or the range's start or end.
struct At {
  enum class Kind : std::uint8_t { time, start, end };
  Kind kind = Kind::time;
  std::int64_t t_ms = 0;  // of a time
  friend bool operator==(const At&, const At&) = default;
};
struct Shift {
  std::int64_t offset_ms = 0;
  std::optional<At> at = {};
};

struct Number {
  double value = 0;
};
struct Text {
  std::string value;
};
struct Selector {
  std::string metric;             // as it stands before the braces
  std::vector<Matcher> matchers;  // __name__ among them
  Shift shift;
  std::int64_t range_ms = 0;  // 0: an instant vector
};
struct Subquery {
  NodePtr of;
  std::int64_t range_ms = 0;
  std::int64_t step_ms = 0;  // 0: the engine's own
  Shift shift;
};
struct Call {
  const Function* function = nullptr;
  std::vector<NodePtr> arguments;
};
enum class Aggregation : std::uint8_t {
  sum,
  avg,
  count,
  min,
  max,
  group,
  stddev,
  stdvar,
  topk,
  bottomk,
  count_values,
  quantile
};
struct Aggregate {
  Aggregation op = Aggregation::sum;
  NodePtr of;
  NodePtr parameter;  // null: it takes none
  bool without = false;
  std::vector<std::string> labels;
};
enum class Operator : std::uint8_t {
  add,
  sub,
  mul,
  div,
  mod,
  pow,
  atan2,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  land,
  lor,
  lunless
};
[[nodiscard]] constexpr bool is_comparison(Operator op) {
  return op >= Operator::equal && op <= Operator::greater_equal;
}
[[nodiscard]] constexpr bool is_set(Operator op) { return op >= Operator::land; }
[[nodiscard]] std::string_view name_of(Operator op);
[[nodiscard]] std::string_view name_of(Aggregation op);

// How the elements of two vectors find one another.
struct Matching {
  enum class Card : std::uint8_t { one_to_one, many_to_one, one_to_many, many_to_many };
  Card card = Card::one_to_one;
  bool on = false;  // by these labels, else by all others
  std::vector<std::string> labels;
  std::vector<std::string> include;  // of group_left and group_right
};
struct Binary {
  Operator op = Operator::add;
  NodePtr left;
  NodePtr right;
  bool return_bool = false;
  Matching matching;  // of two vectors
};
struct Signed {  // a plus sign says nothing, but what it stands before is no selector any more
  NodePtr of;
  bool minus = true;
};
struct Paren {
  NodePtr of;
};

struct Node {
  std::variant<Number, Text, Selector, Subquery, Call, Aggregate, Binary, Signed, Paren> is;
  Type type = Type::scalar;
  std::size_t at = 0;  // where it begins in the text
};

// In the order of the text.
template <class Each>
void for_each_child(const Node& node, Each each) {
  const auto visitor = [&]<class Is>(const Is& is) {
    if constexpr (std::is_same_v<Is, Call>) {
      for (const NodePtr& argument : is.arguments) each(*argument);
    } else if constexpr (std::is_same_v<Is, Aggregate>) {
      if (is.parameter != nullptr) each(*is.parameter);
      each(*is.of);
    } else if constexpr (std::is_same_v<Is, Binary>) {
      each(*is.left);
      each(*is.right);
    } else if constexpr (requires { is.of; }) {
      each(*is.of);
    }
  };
  std::visit(visitor, node.is);
}

}  // namespace tallymill::promql
