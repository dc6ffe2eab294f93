// RuleTestFile: unit tests of rules, from files in YAML, in the format of promtool:
//
//   rule_files: [rules/*.yml]          # beside the test file, or absolute
//   evaluation_interval: 1m            # of all rules, whatever their groups say
//   group_eval_order: [first, second]
//   tests:
//     - name: an instance is down
//       interval: 1m                   # between the values of a series
//       input_series:
//         - {series: 'up{job="mill"}', values: '1x5 0x20'}    # series_notation.h
//       alert_rule_test:
//         - eval_time: 10m
//           alertname: InstanceDown
//           exp_alerts: [{exp_labels: {job: mill, severity: page}, exp_annotations: {summary:
//           ...}}]
//       promql_expr_test:
//         - {expr: sum(up), eval_time: 4m, exp_samples: [{labels: '{}', value: 1}]}
//       external_labels: {datacenter: one}
//       external_url: http://alerts.example
//
//   invariant: what is no YAML, has an unknown key or a time that is none is refused here; what is
//              wrong with an expression or a series is a failure of its test
//
// Threads: pure functions, but for the files.
// Source: Prometheus 2.42, unit testing rules.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "collector/series.h"

namespace tallymill::alerting {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;  // by name

struct InputSeries {
  std::string series;
  std::string values;
  int line = 0;
};
struct ExpectedAlert {
  NamedTexts labels;
  NamedTexts annotations;
};
struct AlertCase {
  std::chrono::milliseconds at{0};
  std::string alert;
  std::vector<ExpectedAlert> expected;
  int line = 0;
};
struct ExpectedSample {
  std::string labels;
  double value = 0;
};
struct ExpressionCase {
  std::chrono::milliseconds at{0};
  std::string expr;
  std::vector<ExpectedSample> expected;
  int line = 0;
};
struct RuleTest {
  std::string name;
  std::chrono::milliseconds interval{0};
  std::vector<InputSeries> series;
  std::vector<AlertCase> alerts;
  std::vector<ExpressionCase> expressions;
  collector::Labels external_labels;
  std::string external_url;
  int line = 0;
};

struct RuleTestFile {
  std::string name;
  std::vector<std::string> rule_files;  // patterns, as they are written
  std::chrono::milliseconds interval{60'000};
  std::vector<std::string> group_order;  // distinct
  std::vector<RuleTest> tests;
};

// bad_params, "FILE:LINE:COLUMN: ...": it is none of this. `name`: the file's. too_big: over a
// limit of rule files.
[[nodiscard]] Result<RuleTestFile> parse_rule_test_file(std::string_view text,
                                                        std::string_view name);
// not_found: it cannot be read.
[[nodiscard]] Result<RuleTestFile> read_rule_test_file(const std::string& path);

}  // namespace tallymill::alerting
