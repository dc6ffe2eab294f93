// Rule test: the unit tests of a file, run over a store in memory whose clock begins at 0.
//
// At each moment of the evaluation interval the samples up to it are stored and every group is
// judged, in the order that the file asks for; alerts are compared at the last moment that is not
// later than their eval_time, expressions in the end. What goes wrong is a failure of the test, not
// of the run. Prometheus 2.42 is followed in its corners, too: a series is known by its last
// description, an empty line in `values` ends the series of the test, a test without an interval
// has all its samples at 0, an expected NaN never matches.
//
// Not there: native histograms. Otherwise than in promtool the functions externalURL and pathPrefix
// of templates give what external_url says, where promtool's crash; a query may take more than
// 10,000 samples; of YAML, binary is refused, and a map's own keys count before those that it
// merges
// (<<), also when they stand before it.
//
//   invariant: a run ends, and is small: limits::rule_test_*, and those of rules and queries
//
// Threads: one.
// Source: Prometheus 2.42, unit testing rules.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "alerting/rule_file.h"
#include "alerting/rule_test_file.h"

namespace tallymill::alerting {

struct TestFailure {
  int line = 0;      // of the test file
  std::string test;  // its name; empty: it has none
  std::string what;
  std::vector<std::string> diff = {};  // rule_test_diff.h
};
struct TestReport {
  std::size_t tests = 0;
  std::size_t checks = 0;  // alerts and expressions that were asked for
  std::vector<TestFailure> failures = {};
  std::vector<std::string> warnings = {};
};

// Which alerting rules fired in any test.
class RuleCoverage {
 public:
  struct One {
    std::string file;
    int line = 0;
    std::string name;
    bool fired = false;
  };
  // Of groups that were there already what is known stays.
  void add(const RuleGroup& group);
  void fired(const RuleGroup& group, std::size_t rule);

  // By file and line.
  [[nodiscard]] std::vector<One> all() const;
  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] std::size_t fired() const;

 private:
  using Key = std::pair<std::string, std::string>;  // file, group
  std::map<Key, std::map<std::size_t, One>> rules_;
};

[[nodiscard]] TestReport run_rule_tests(const RuleTestFile& file, RuleCoverage& coverage);

}  // namespace tallymill::alerting
