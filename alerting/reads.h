// Reads: what an expression may read: which series, and how far from the moment it is asked for.
//
// Who judges rules over history asks this: which rules see what others stored, how much of it must
// be kept, and which expressions can be asked for many moments at once.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "alerting/rule_file.h"
#include "collector/promql/ast.h"
#include "collector/promql/evaluate.h"

namespace tallymill::alerting {

struct Reads {
  std::vector<std::vector<promql::Matcher>> selectors = {};
  std::int64_t back_ms = 0;  // how far before the moment it looks
  std::int64_t span_ms = 0;  // of this what its longest selector covers
  // It has an `@`, or looks ahead of its moment: what it gives at many moments at once is not what
  // it gives at each, when what was not there yet must not be seen.
  bool moment_by_moment = false;
  bool anything = false;  // a template's query: its expression is made when it is filled in
};

// Of all that a rule asks for when it is judged; annotations change nothing and are left out.
[[nodiscard]] Reads reads_of(const Rule& rule, const promql::EvaluateOptions& options = {});

// Whether it may read a series that the rule gives.
[[nodiscard]] bool may_read(const Reads& reads, const Rule& producer);

// Whether the rule may have given a series of these labels.
[[nodiscard]] bool may_give(const Rule& rule, const collector::Labels& labels);

}  // namespace tallymill::alerting
