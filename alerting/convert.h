// Convert: our rules as a file that Prometheus takes.
//
// Shorthands are expressions by now (shorthand.h); what Prometheus has nothing for is left out, and
// told.
//
// Threads: pure function.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "alerting/rule_file.h"

namespace tallymill::alerting {

struct Converted {
  std::string yaml;
  std::vector<std::string> warnings;  // "FILE:LINE: ...", one for each key that was left out
};

// REQUIRES: all groups are of one file, for their names are distinct only there.
[[nodiscard]] Converted to_prometheus(std::span<const RuleGroup> groups);

// In the quotes of YAML, on one line: single ones where they do.
[[nodiscard]] std::string yaml_quoted(std::string_view text);

}  // namespace tallymill::alerting
