// RuleFile: what is to be watched and recorded, from files in YAML.
//
//   groups:
//     - name: mill
//       interval: 15s
//       rules:
//         - record: stage:wait_seconds:p99
//           expr: histogram_quantile(0.99, sum by (le, stage)
//           (rate(tallymill_job_part_seconds_bucket[5m])))
//         - alert: SlowStage
//           expr: stage:wait_seconds:p99 > 0.2
//           for: 1m
//           labels: {severity: page}
//           annotations: {summary: "{{ $labels.stage }} waits {{ $value | humanizeDuration }}"}
//
// The format is Prometheus' own, whole, so that files go both ways; a key that is none of it is an
// error. A file whose name ends in .tm.yml may have our own keys, too: on_arrival, resolve_expr and
// no_data of an alerting rule, and `threshold:` or `slo:` in place of its expression; both become
// plain rules here (shorthand.h), so that whoever evaluates knows one kind of rule.
//
// What Prometheus 2.42 takes is taken, and what it refuses is refused, but for this: an alias is
// what it names, where Prometheus takes its name for an expression; of YAML, binary is refused, and
// a tag that its text contradicts is not; where Prometheus stops reading for an indentation that
// ends the document, the file is refused; and there are bounds (limits.h). Also taken is an
// expression that is a range vector or a string, though it fails whenever it is judged.
//
//   invariant: expressions and templates are parsed, names and labels are Prometheus', times are
//              not negative
//   invariant: group names are distinct in a file; two rules may have the same name and labels
//
// Threads: pure functions, but for the files.
// Source: Prometheus 2.42, rule_group and rule.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/template.h"
#include "base/result.h"
#include "collector/promql/ast.h"

namespace tallymill::alerting {

// A name and a text with templates in it.
struct Templated {
  std::string name;
  std::string text;  // as it was written
  Template compiled;
};

struct Rule {
  enum class Kind : std::uint8_t { recording, alerting };
  // What a rule does when its input is gone: nothing, as Prometheus; alert; or call it over.
  enum class NoData : std::uint8_t { keep, fire, resolve };

  Kind kind = Kind::alerting;
  std::string name;                          // of the series, or of the alert
  std::string expr;                          // as PromQL prints it
  std::shared_ptr<const promql::Node> node;  // never null
  std::chrono::milliseconds hold{0};         // `for`
  std::chrono::milliseconds keep_firing{0};  // `keep_firing_for`
  std::vector<Templated> labels = {};        // by name; a recording rule's are plain text
  std::vector<Templated> annotations = {};   // by name
  // Ours.
  bool on_arrival = false;
  std::string resolve_expr = {};
  std::shared_ptr<const promql::Node> resolve_node = {};  // null: none
  NoData no_data = NoData::keep;
  bool expanded = false;  // it was written as `threshold:` or `slo:`
  int line = 0;           // of the file
};

struct RuleGroup {
  std::string file;  // as it was named
  std::string name;
  std::chrono::milliseconds interval{0};  // 0: the default
  std::size_t limit = 0;                  // rows of a rule; 0: none of its own
  std::vector<Rule> rules;
};

// bad_params, "FILE:LINE:COLUMN: ...": it is none of this. `name`: the file's. too_big: over a
// limit.
[[nodiscard]] Result<std::vector<RuleGroup>> parse_rule_file(std::string_view text,
                                                             std::string_view name);
// The groups of all files that the patterns (as of a shell: * ? [...] \) match, by the file's name.
// not_found: one cannot be read, or a pattern without such letters names none.
[[nodiscard]] Result<std::vector<RuleGroup>> read_rule_files(std::span<const std::string> patterns);
// The files that a pattern names, by name; one without such letters names itself.
[[nodiscard]] Result<std::vector<std::string>> find_rule_files(const std::string& pattern);
// The file of this path, whatever letters are in it. not_found: it cannot be read.
[[nodiscard]] Result<std::vector<RuleGroup>> read_rule_file(const std::string& path);
// What is in it: at most one byte more than a rule file may have.
[[nodiscard]] Result<std::string> text_of_rule_file(const std::string& path);

// A warning for each rule that has the name and labels of one before it in its file: what they give
// is of the same series. `promtool check rules` tells this, and takes the file.
[[nodiscard]] std::vector<std::string> repeated_rules(std::span<const RuleGroup> groups);

}  // namespace tallymill::alerting
