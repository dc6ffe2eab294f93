#include "collector/promql/types.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace tallymill::promql {
namespace {

constexpr std::array<std::string_view, 12> aggregation_names = {
    "sum",    "avg",    "count", "min",     "max",          "group",
    "stddev", "stdvar", "topk",  "bottomk", "count_values", "quantile"};
constexpr std::array<std::string_view, 16> operator_names = {
    "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless"};

std::unexpected<Error> no(std::string message) {
  return fail(Errc::bad_params, std::move(message));
}

// Nothing: it takes no parameter.
std::optional<Type> parameter_of(Aggregation op) {
  switch (op) {
    case Aggregation::topk:
    case Aggregation::bottomk:
    case Aggregation::quantile:
      return Type::scalar;
    case Aggregation::count_values:
      return Type::string;
    default:
      return std::nullopt;
  }
}

Status check_matching(const Binary& binary) {
  const Matching& matching = binary.matching;
  const bool grouped =
      matching.card == Matching::Card::many_to_one || matching.card == Matching::Card::one_to_many;
  if (is_set(binary.op) && grouped)
    return no(fmt::format("no grouping allowed for \"{}\" operation", name_of(binary.op)));
  if (matching.on)
    for (const std::string& label : matching.include)
      if (std::ranges::find(matching.labels, label) != matching.labels.end())
        return no(fmt::format("label \"{}\" must not occur in ON and GROUP clause at once", label));
  return {};
}

}  // namespace

std::string_view name_of(Type type) {
  constexpr std::array<std::string_view, 4> names = {"scalar", "instant vector", "range vector",
                                                     "string"};
  return names.at(static_cast<std::size_t>(type));
}
std::string_view name_of(Operator op) { return operator_names.at(static_cast<std::size_t>(op)); }
std::string_view name_of(Aggregation op) {
  return aggregation_names.at(static_cast<std::size_t>(op));
}

std::optional<Aggregation> aggregation_named(std::string_view lower_case) {
  const auto* at = std::ranges::find(aggregation_names, lower_case);
  if (at == aggregation_names.end()) return std::nullopt;
  return static_cast<Aggregation>(at - aggregation_names.begin());
}

Result<Type> check(Binary& binary) {
  const Type left = binary.left->type;
  const Type right = binary.right->type;
  const auto fits = [](Type type) { return type == Type::scalar || type == Type::vector; };
  if (!fits(left) || !fits(right))
    return no("binary expression must contain only scalar and instant vector types");
  if (binary.return_bool && !is_comparison(binary.op))
    return no("bool modifier can only be used on comparison operators");
  const bool scalars = left == Type::scalar && right == Type::scalar;
  if (scalars && is_comparison(binary.op) && !binary.return_bool)
    return no("comparisons between scalars must use BOOL modifier");
  const bool vectors = left == Type::vector && right == Type::vector;
  if (is_set(binary.op) && !vectors)
    return no(fmt::format("set operator \"{}\" not allowed in binary scalar expression",
                          name_of(binary.op)));
  if (!vectors && !binary.matching.labels.empty())
    return no("vector matching only allowed between instant vectors");
  if (!vectors) binary.matching = {};
  if (auto checked = check_matching(binary); !checked)
    return std::unexpected(std::move(checked).error());
  return scalars ? Type::scalar : Type::vector;
}

Status check(Aggregate& aggregate, std::vector<NodePtr>&& arguments) {
  const auto wanted = parameter_of(aggregate.op);
  const std::size_t count = wanted ? 2 : 1;
  if (arguments.empty()) return no("no arguments for aggregate expression provided");
  if (arguments.size() != count)
    return no(
        fmt::format("wrong number of arguments for aggregate expression provided, expected "
                    "{}, got {}",
                    count, arguments.size()));
  aggregate.of = std::move(arguments.back());
  if (aggregate.of->type != Type::vector)
    return no(fmt::format("expected type instant vector in aggregation expression, got {}",
                          name_of(aggregate.of->type)));
  if (!wanted) return {};
  aggregate.parameter = std::move(arguments.front());
  if (aggregate.parameter->type == *wanted) return {};
  return no(fmt::format("expected type {} in aggregation parameter, got {}", name_of(*wanted),
                        name_of(aggregate.parameter->type)));
}

Status check(const Function& function, const std::vector<NodePtr>& arguments) {
  if (arguments.size() < function.fewest() || arguments.size() > function.most())
    return no(
        fmt::format("expected {} {} argument(s) in call to \"{}\", got {}",
                    function.optional == 0                 ? "exactly"
                    : arguments.size() < function.fewest() ? "at least"
                                                           : "at most",
                    arguments.size() < function.fewest() ? function.fewest() : function.most(),
                    function.name, arguments.size()));
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i]->type != function.argument(i))
      return no(fmt::format("expected type {} in call to function \"{}\", got {}",
                            name_of(function.argument(i)), function.name,
                            name_of(arguments[i]->type)));
  return {};
}

}  // namespace tallymill::promql
