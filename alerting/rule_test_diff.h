// Rule test diff: what a unit test expected and what there is, where they differ.
//
// A line begins with "- " (expected, and not there), "+ " (there, and not expected) or "  ".
//
// Threads: pure functions.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "alerting/rule_test_file.h"
#include "collector/series.h"

namespace tallymill::alerting {

// Of those whose labels are the same, their annotations only. Nothing: they are the same alerts,
// in whatever order.
[[nodiscard]] std::vector<std::string> difference(std::vector<ExpectedAlert> expected,
                                                  std::vector<ExpectedAlert> is);

using NamedValue = std::pair<collector::Labels, double>;
// NaN is equal to nothing.
[[nodiscard]] std::vector<std::string> difference(std::vector<NamedValue> expected,
                                                  std::vector<NamedValue> is);

}  // namespace tallymill::alerting
