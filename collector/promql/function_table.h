// Function table: which functions there are, what they take and what they give.
//
// Threads: constant.
// Source: Prometheus 2.42, less those of native histograms.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "collector/promql/ast.h"

namespace tallymill::promql {

struct Function {
  std::string_view name;
  std::vector<Type> arguments;  // the last one's type is that of all beyond
  int optional = 0;             // how many more or fewer than all but the last; -1: any number more
  Type returns = Type::vector;

  [[nodiscard]] std::size_t fewest() const {
    return optional == 0 ? arguments.size() : arguments.size() - 1;
  }
  // SIZE_MAX: there is no bound.
  [[nodiscard]] std::size_t most() const {
    return optional < 0 ? SIZE_MAX : fewest() + static_cast<std::size_t>(optional);
  }
  [[nodiscard]] Type argument(std::size_t i) const {
    return arguments[i < arguments.size() ? i : arguments.size() - 1];
  }
};

[[nodiscard]] const std::vector<Function>& functions();
// nullptr: there is none of this name.
[[nodiscard]] const Function* function_named(std::string_view name);

}  // namespace tallymill::promql
