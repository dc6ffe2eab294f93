// Sums: additions that lose little, as Prometheus does them.
//
// Threads: plain values.
// Source: Neumaier's variant of Kahan's summation; Welford's variance.
#pragma once

#include <cmath>

namespace tallymill::promql {

class CompensatedSum {
 public:
  explicit CompensatedSum(double first = 0) : sum_(first) {}
  void add(double value) {
    const double total = sum_ + value;
    if (std::abs(sum_) >= std::abs(value))
      rest_ += (sum_ - total) + value;
    else
      rest_ += (value - total) + sum_;
    sum_ = total;
  }
  [[nodiscard]] double raw() const { return sum_; }
  [[nodiscard]] double sum() const { return sum_ + rest_; }

 private:
  double sum_;
  double rest_ = 0;
};

// An infinite mean stays so until something of the other sign, or NaN, comes.
[[nodiscard]] inline bool keeps_infinite_mean(double mean, double value) {
  if (!std::isinf(mean)) return false;
  if (std::isinf(value)) return (mean > 0) == (value > 0);
  return !std::isnan(value);
}

}  // namespace tallymill::promql
