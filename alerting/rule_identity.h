// Rule identity: what makes a rule the same one after a reload or a restart.
//
// Its kind, its name and its labels do; of several that are the same in these, the expression
// decides, and of several that are the same in all, their number among these.
//
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "alerting/rule_file.h"

namespace tallymill::alerting {

// Of each rule of a group: no two have the same.
[[nodiscard]] std::vector<std::string> identities_of(const std::vector<Rule>& rules);

// For each of the new rules the number of the old one that it replaces; each is replaced by one.
[[nodiscard]] std::vector<std::optional<std::size_t>> partners(const std::vector<Rule>& fresh,
                                                               const std::vector<Rule>& old);

// Whether `identity`, of identities_of(), is of a rule of this kind, name and labels.
[[nodiscard]] bool is_alike(const std::string& identity, const Rule& rule);

}  // namespace tallymill::alerting
