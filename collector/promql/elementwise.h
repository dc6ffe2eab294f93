// Elementwise: functions that look at one number at a time.
//
// Threads: pure functions.
#pragma once

#include <span>
#include <string_view>

namespace tallymill::promql {

// `arguments`: the scalars of this step, in their order. `absent` may come out: nothing is there.
using Elementwise = double (*)(double value, std::span<const double> arguments);
// nullptr: no such function, or one that is not elementwise.
[[nodiscard]] Elementwise elementwise_named(std::string_view name);

// math.Mod, Min, Max as Go has them.
[[nodiscard]] double least(double a, double b);
[[nodiscard]] double greatest(double a, double b);

}  // namespace tallymill::promql
