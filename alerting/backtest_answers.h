// Answers: what an expression gave at the moments of a slice: asked for all of them at once, or
// for each when it comes.
//
// Where all at once is an error, each half is asked for, and so on: one moment at which an
// expression fails is that moment's alone, and what has too many numbers in memory is asked for
// fewer moments.
//
//   invariant: at() is what an instant query at this moment gives, or its error
//
// Threads: one; fill() by any before it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "alerting/rule_state.h"
#include "base/result.h"
#include "collector/promql/evaluate.h"
#include "collector/query.h"

namespace tallymill::alerting {

// What was read for a rule.
struct Seen {
  std::uint64_t samples = 0;  // stored ones; the two that follow are theirs
  std::int64_t first_ms = 0;
  std::int64_t last_ms = 0;
  std::uint64_t given = 0;     // samples that rules gave in this backtest
  std::int64_t step_ms = 0;    // the coarsest
  std::int64_t coarse_ms = 0;  // up to where
  void add(const Seen& other);
};

class Answers {
 public:
  struct Limits {
    std::chrono::steady_clock::time_point until;
    const std::atomic<bool>* cancelled = nullptr;
  };
  // `at_once`: false for what must be asked moment by moment. All that is borrowed outlives it.
  Answers(const promql::Node& node, const promql::Grid& grid, const collector::Source& source,
          bool at_once, const Limits& limits)
      : node_(node), grid_(grid), source_(source), limits_(limits), at_once_(at_once) {}

  [[nodiscard]] const promql::Grid& grid() const { return grid_; }
  // Asks for all, if that may be done at once. cancelled, deadline: the caller's.
  [[nodiscard]] Status fill();
  // Whether there is something at this moment, also an error. Errors as fill().
  [[nodiscard]] Result<bool> has(std::size_t step);
  // REQUIRES: has() was asked for it, last of all moments.
  [[nodiscard]] Result<std::vector<Match>> at(std::size_t step) const;

  // So many moments, and what there is of rows.
  struct Part {
    std::size_t first = 0;
    std::size_t count = 0;
    Result<promql::Value> value;
    std::vector<bool> has = {};  // by moment, from the first; empty: nothing at any
  };
  // The part of a moment. REQUIRES: as at().
  [[nodiscard]] const Part& part(std::size_t step) const;
  [[nodiscard]] const Seen& seen() const { return seen_; }

 private:
  [[nodiscard]] Status ask(std::size_t first, std::size_t count);

  const promql::Node& node_;
  const promql::Grid grid_;
  const collector::Source& source_;
  const Limits limits_;
  const bool at_once_;
  std::vector<Part> parts_ = {};  // in their order; moment by moment only the last
  mutable std::size_t last_ = 0;  // the part that was asked for
  Seen seen_;
};

}  // namespace tallymill::alerting
