// Classic histogram: quantiles from buckets that are series with an `le` label.
//
// Threads: pure function.
#pragma once

#include <span>

#include "base/result.h"
#include "collector/promql/value.h"

namespace tallymill::promql {

[[nodiscard]] Result<Rows> histogram_quantiles(std::span<const double> q, const Rows& buckets);

}  // namespace tallymill::promql
