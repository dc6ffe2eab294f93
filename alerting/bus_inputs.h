// Bus inputs: what a group's rules ask of what the processes of this system tell over their own
// bus.
//
// After a restart of the collector nothing of it is there before they report again: a rule that was
// judged then would find a gap, or nothing at all, where nothing is wrong. Such metrics are known
// by their names, which begin with `tallymill_`.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "alerting/rule_file.h"
#include "collector/promql/ast.h"
#include "collector/query.h"

namespace tallymill::alerting {

class BusInputs {
 public:
  explicit BusInputs(const RuleGroup& group);

  [[nodiscard]] bool none() const { return selectors_.empty(); }
  // Whether each selector has a series with a sample in this time. What cannot be read is no reason
  // to wait: the rule will say it.
  [[nodiscard]] bool reported(const collector::Source& source, std::int64_t from_ms,
                              std::int64_t to_ms) const;

 private:
  void add(const promql::Node& node);
  std::vector<std::vector<collector::Matcher>> selectors_;
};

}  // namespace tallymill::alerting
