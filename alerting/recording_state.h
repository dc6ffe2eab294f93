// RecordingState: what one recording rule stores, from evaluation to evaluation.
//
// The labels that a row gets are remembered by those that the expression gave it, and made again
// only of a row that is new.
//
// Threads: one.
// Source: Prometheus 2.42, recording rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "alerting/rule_state.h"

namespace tallymill::alerting {

class RecordingState {
 public:
  // REQUIRES: `rule` is a recording one and outlives this.
  explicit RecordingState(const Rule& rule);

  // bad_params: two rows have the same labels in the end. too_big: over limits::rule_rows or
  // `limit` (0: none).
  [[nodiscard]] Result<std::vector<RuleState::Sample>> record(std::span<const Match> rows,
                                                              std::size_t limit);

 private:
  struct Known {
    collector::Labels labels;
    std::uint64_t round = 0;  // the last in which it was given
  };
  [[nodiscard]] collector::Labels labels_of(const Match& row) const;

  const Rule& rule_;
  std::uint64_t round_ = 0;
  std::unordered_map<collector::Labels, Known, collector::LabelsHash> known_;  // by the row's
};

}  // namespace tallymill::alerting
