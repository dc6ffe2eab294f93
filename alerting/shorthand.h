// Shorthand: what people without PromQL write in .tm.yml files, as the PromQL that it becomes.
//
// A threshold on one metric, in place of an alerting rule's expression:
//
//   threshold:
//     histogram: tallymill_job_part_seconds     # its name without _bucket; or counter: or gauge:
//     quantile: 0.99                            # of a histogram
//     where: {stage: image}                     # these labels, with these values
//     by: [kind]                                # an alert for each value of these labels
//     above: 200ms                              # or below:; 5s, 10MiB, 80%, or a number
//     clear_below: 150ms                        # it is over only then (resolve_expr)
//     for: 1m
//     window: 5m                                # of a rate, so of a counter and a histogram
//
// A gauge is compared series by series, with `by` the greatest of each (below: the least). Of a
// counter it is what it grows by in a second, of all its series together or by those labels.
//
// An objective, in place of an alerting rule's expression:
//
//   slo:
//     objective: 99.9                            # percent of `total` that is not in `errors`
//     window: 30d                                # that the rest of it may be spent in
//     errors: http_requests_total{code=~"5.."}   # selectors of counters
//     total: http_requests_total
//     by: [job]
//     page: {severity: page}                     # labels of those that cannot wait, and
//     ticket: {severity: ticket}                 # of those that can
//
// It becomes recording rules of the ratio over each window, slo:error_ratio:rate5m and so on with
// the label `slo` (the rule's name), and an alerting rule for each pair of windows: it fires while
// in the long one so much of the budget goes that a share of it is spent there, and in the short
// one still:
//
//   spent of the budget   long   short   times its even speed, in 30 days
//            2 %           1h     5m      14.4   page
//            5 %           6h     30m      6     page
//           10 %           1d     2h       3     ticket
//           10 %           3d     6h       1     ticket
//
// Another window has other speeds, but none below 1, at which the budget lasts; a pair that would
// want more errors than there is traffic is left out.
//
// Threads: pure functions.
// Source: The Site Reliability Workbook, chapter 5, multiwindow, multi-burn-rate alerts.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/yaml_reader.h"

namespace tallymill::alerting {

struct ThresholdRule {
  std::string expr;
  std::string resolve_expr = {};  // empty: it is over when the expression says so
  std::optional<std::chrono::milliseconds> hold = {};
};
// What is wrong is told to the reader.
[[nodiscard]] ThresholdRule read_threshold(const YamlNode& node, YamlReader& reader);

struct SloRule {
  using Labels = std::vector<std::pair<std::string, std::string>>;
  bool recording;
  std::string name;
  std::string expr;
  Labels labels;
};
// In the order in which they are evaluated. `name`: of the alert.
[[nodiscard]] std::vector<SloRule> read_slo(const YamlNode& node, std::string_view name,
                                            YamlReader& reader);

// "200ms" as "0.2": a number in base units as PromQL writes it; nothing: it is none.
[[nodiscard]] std::optional<std::string> base_units(std::string_view text);

}  // namespace tallymill::alerting
