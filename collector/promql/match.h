// Match: operators between vectors, and between a vector and a scalar.
//
// Who belongs together is decided once for the whole query, by labels; whether both are there, and
// whether one matched twice, is decided at each step.
//
// Threads: pure functions.
#pragma once

#include <span>

#include "base/result.h"
#include "collector/promql/allowance.h"
#include "collector/promql/value.h"

namespace tallymill::promql {

// Of two numbers; a comparison gives 0 or 1.
[[nodiscard]] double operated(Operator op, double left, double right);

// `scalar_left`: the scalar stands on the left side.
[[nodiscard]] Result<Rows> with_scalar(const Binary& how, Rows&& rows,
                                       std::span<const double> scalars, bool scalar_left);

// bad_params: a match that is not one-to-one where it has to be.
[[nodiscard]] Result<Rows> matched(const Binary& how, Rows&& left, Rows&& right, std::size_t steps,
                                   Allowance& allowance);

}  // namespace tallymill::promql
