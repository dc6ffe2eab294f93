// Rules: commands over files of rules, without a collector: whether they are right, whether their
// unit tests pass, and what Prometheus would take in their place.
//
// Threads: one.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/command.h"

namespace tallymill::cli {

struct RulesCheckArgs {
  Common common;
  std::vector<std::string> files;
  std::string lint = "duplicate-rules";  // or "all", "none"
  bool lint_fatal = false;
  bool expand = false;
};
// 1: a file is refused, or a warning was to be fatal; 5: one cannot be read.
int rules_check(const RulesCheckArgs& args);

struct RulesTestArgs {
  Common common;
  std::vector<std::string> files;
  bool coverage = false;
  double coverage_min = 0;  // in percent; 0: not asked for
};
// 1: a test failed, a file is refused, or too few rules fired; 5: one cannot be read.
int rules_test(const RulesTestArgs& args);

struct RulesConvertArgs {
  Common common;
  std::vector<std::string> files;
  std::string out;  // empty: stdout
  bool force = false;
};
int rules_convert(const RulesConvertArgs& args);

struct RulesShippedArgs {
  Common common;
};
// Writes the rules that come with the program, as one *.tm.yml.
int rules_shipped(const RulesShippedArgs& args);

}  // namespace tallymill::cli
