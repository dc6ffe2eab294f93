// Absent labels: what is known of a row that is not there.
//
// Threads: pure function.
// Source: Prometheus 2.42, absent().
#pragma once

#include "collector/promql/ast.h"
#include "collector/series.h"

namespace tallymill::alerting {

// The labels that a selector says by "=", but for those of which it says something else behind
// that. Of any other expression none.
[[nodiscard]] collector::Labels absent_labels(const promql::Node& node);

}  // namespace tallymill::alerting
