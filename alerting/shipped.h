// Shipped: the rules that come with the program (alerting/shipped/*.tm.yml), and their times
// scaled.
//
// The files are part of the binary; all their groups are of one file, named "shipped".
//
// Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/rule_file.h"
#include "base/result.h"

namespace tallymill::alerting {

inline constexpr std::string_view shipped_name = "shipped";

struct ShippedFile {
  std::string_view name;  // "pipeline.tm.yml"
  std::string_view text;
};
[[nodiscard]] std::span<const ShippedFile> shipped_files();
// All of them as one file, for who wants to change it and use it instead.
[[nodiscard]] std::string shipped_text();

// The groups of all of them, their times at so many percent. bad_params: a file is none, which no
// build that passes its tests has.
[[nodiscard]] Result<std::vector<RuleGroup>> shipped_rules(int window_percent = 100);

// A group with its times at so many percent: its interval, `for`, keep_firing_for, and of its
// expressions (resolve_expr too) the ranges of selectors and subqueries, and these' steps. No
// threshold, offset or label changes. What becomes shorter than limits::scaled_interval_least or
// limits::scaled_range_least stays at that, or at what it was. So a test sees within seconds what
// takes minutes otherwise.
[[nodiscard]] RuleGroup scaled(RuleGroup group, int percent);

}  // namespace tallymill::alerting
