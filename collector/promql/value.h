// Value: what an expression is, at every step of a query at once.
//
// A vector is a list of rows, one a series, each with a number for every step; where the series has
// none, `absent` stands. It is told by its bits from every NaN that data or a calculation can make,
// for what is read is made canonical (canonical()), and so are results of operations.
//
//   invariant: each row has one number a step, and one at least is not absent
//   invariant: no two rows of a vector have the same labels
//
// Threads: plain values.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "collector/promql/ast.h"
#include "collector/series.h"

namespace tallymill::promql {

using collector::Column;
using collector::Label;
using collector::Labels;
using collector::LabelsBuilder;

inline constexpr std::uint64_t absent_bits = 0x7ff87a11ab5e0001;
inline constexpr double absent = std::bit_cast<double>(absent_bits);
[[nodiscard]] constexpr bool is_absent(double value) {
  return std::bit_cast<std::uint64_t>(value) == absent_bits;
}
inline constexpr double nan_value = std::bit_cast<double>(std::uint64_t{0x7ff8000000000001});
[[nodiscard]] constexpr double canonical(double value) {
  return value != value ? nan_value : value;
}

// The moments of a query: start, start + step, ... `count` of them.
struct Grid {
  std::int64_t start_ms = 0;
  std::int64_t step_ms = 1;
  std::size_t count = 1;
  std::optional<std::int64_t> asked_end_ms = {};  // which need not be one of them
  [[nodiscard]] std::int64_t at(std::size_t i) const {
    return start_ms + static_cast<std::int64_t>(i) * step_ms;
  }
  // What end() is.
  [[nodiscard]] std::int64_t end_ms() const { return asked_end_ms.value_or(at(count - 1)); }
};

struct Row {
  Labels labels;
  std::vector<double> values;
};
using Rows = std::vector<Row>;

struct Value {
  Type type = Type::vector;
  std::vector<double> scalars;  // of a scalar, one a step
  Rows rows;                    // of a vector
  std::string text;             // of a string
};

[[nodiscard]] bool is_all_absent(const std::vector<double>& values);
// Without what is absent at each step.
void drop_absent(Rows& rows);
[[nodiscard]] Labels without_name(const Labels& labels);

// Rows of equal labels become one, as long as no step has two of them: bad_params (Prometheus:
// "vector cannot contain metrics with the same labelset").
[[nodiscard]] Status merge_equal(Rows& rows);
// Rows of equal labels are an error, whatever their steps.
[[nodiscard]] Status check_distinct(const Rows& rows);
[[nodiscard]] Error same_labelset();

}  // namespace tallymill::promql
