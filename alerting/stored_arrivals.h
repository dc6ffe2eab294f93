// StoredArrivals: what began a rule's alerts between its timers, as it was stored then
// (arrival_series.h), for who judges the rule over the past.
//
//   invariant: what is taken is in the order of its times, and none of it twice
//
// Threads: one.
#pragma once

#include <cstdint>
#include <deque>

#include "alerting/rule_file.h"
#include "alerting/rule_state.h"
#include "base/result.h"
#include "collector/query.h"

namespace tallymill::alerting {

class StoredArrivals {
 public:
  // REQUIRES: both outlive it.
  StoredArrivals(const RuleGroup& group, const Rule& rule) : group_(group), rule_(rule) {}

  // Those up to then that were not read yet; the first time, from `from_ms` on. Those are left out
  // that the rule, as it is now, would not have taken. Errors as of the source.
  [[nodiscard]] Status read(const collector::Source& source, std::int64_t from_ms,
                            std::int64_t to_ms);

  struct Arrival {
    std::int64_t t_ms;
    Match match;
  };
  // Null: there is none before `t_ms`. It is there until pop().
  [[nodiscard]] const Arrival* before(std::int64_t t_ms) const {
    return !waiting_.empty() && waiting_.front().t_ms < t_ms ? &waiting_.front() : nullptr;
  }
  void pop() { waiting_.pop_front(); }

 private:
  const RuleGroup& group_;
  const Rule& rule_;
  std::int64_t read_to_ms_ = 0;  // 0: nothing was read
  std::deque<Arrival> waiting_;
};

}  // namespace tallymill::alerting
