#include "collector/promql/function_table.h"

#include <algorithm>

namespace tallymill::promql {
namespace {

std::vector<Function> table() {
  using enum Type;
  std::vector<Function> all;
  for (const std::string_view name :
       {"abs", "absent", "acos", "acosh", "asin",      "asinh", "atan",  "atanh", "ceil",
        "cos", "cosh",   "deg",  "exp",   "floor",     "ln",    "log10", "log2",  "rad",
        "sgn", "sin",    "sinh", "sort",  "sort_desc", "sqrt",  "tan",   "tanh",  "timestamp"})
    all.push_back({name, {vector}});
  for (const std::string_view name :
       {"absent_over_time", "avg_over_time", "changes", "count_over_time", "delta", "deriv",
        "idelta", "increase", "irate", "last_over_time", "max_over_time", "min_over_time",
        "present_over_time", "rate", "resets", "stddev_over_time", "stdvar_over_time",
        "sum_over_time"})
    all.push_back({name, {matrix}});
  for (const std::string_view name : {"day_of_month", "day_of_week", "day_of_year", "days_in_month",
                                      "hour", "minute", "month", "year"})
    all.push_back({name, {vector}, 1});
  all.push_back({"clamp", {vector, scalar, scalar}});
  all.push_back({"clamp_max", {vector, scalar}});
  all.push_back({"clamp_min", {vector, scalar}});
  all.push_back({"histogram_quantile", {scalar, vector}});
  all.push_back({"holt_winters", {matrix, scalar, scalar}});
  all.push_back({"label_join", {vector, string, string, string}, -1});
  all.push_back({"label_replace", {vector, string, string, string, string}});
  all.push_back({"pi", {}, 0, scalar});
  all.push_back({"predict_linear", {matrix, scalar}});
  all.push_back({"quantile_over_time", {scalar, matrix}});
  all.push_back({"round", {vector, scalar}, 1});
  all.push_back({"scalar", {vector}, 0, scalar});
  all.push_back({"time", {}, 0, scalar});
  all.push_back({"vector", {scalar}});
  std::ranges::sort(all, {}, &Function::name);
  return all;
}

}  // namespace

const std::vector<Function>& functions() {
  static const std::vector<Function> all = table();
  return all;
}

const Function* function_named(std::string_view name) {
  const auto at = std::ranges::lower_bound(functions(), name, {}, &Function::name);
  return at != functions().end() && at->name == name ? &*at : nullptr;
}

}  // namespace tallymill::promql
