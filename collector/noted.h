// Noted: a source that remembers how coarse what it was asked for is, so that an answer can say so.
//
// Old samples of our own bus are thinned (collector/tiers.h): a rate over 10 s of one sample in 15
// is nothing, and looks as if nothing had happened.
//
// Threads: one query's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collector/promql/ast.h"
#include "collector/query.h"

namespace tallymill::collector {

class Noted final : public Source {
 public:
  explicit Noted(const Source& source) : source_(source) {}

  Result<std::vector<Found>> select(std::span<const Matcher> matchers, std::int64_t from_ms,
                                    std::int64_t to_ms) const override;
  Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
              Column& into) const override {
    return source_.read(series, from_ms, to_ms, into);
  }
  Status read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                   Column& into) const override {
    return source_.read_last(series, from_ms, to_ms, into);
  }

  // When a range of the expression, or the steps of the query (0: it has none), are shorter than
  // twice that of what was selected.
  [[nodiscard]] std::vector<std::string> warnings(const promql::Node& node,
                                                  std::int64_t step_ms) const;

 private:
  const Source& source_;
  mutable std::int64_t coarsest_ms_ = 0;
};

}  // namespace tallymill::collector
