// Distinct: how many different values there were, by their hashes, exact up to a bound.
//
//   invariant: count() <= limits::statsd_set_values; the table is at most half full
//
// Threads: one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace tallymill::collector {

class Distinct {
 public:
  // False: it is new and there is no room for it.
  [[nodiscard]] bool add(std::uint64_t hash) {
    hash |= hash == 0 ? 1 : 0;  // 0 is a free place
    std::uint64_t* place = place_of(hash);
    if (*place == hash) return true;
    if (count_ == limits::statsd_set_values) return false;
    if ((count_ + 1) * 2 > table_.size()) {
      grow();
      place = place_of(hash);
    }
    *place = hash;
    ++count_;
    return true;
  }
  [[nodiscard]] std::size_t count() const { return count_; }
  // The table stays as large as it was.
  void clear() {
    std::ranges::fill(table_, 0);
    count_ = 0;
  }

 private:
  std::uint64_t* place_of(std::uint64_t hash) {
    std::size_t at = hash & (table_.size() - 1);
    while (table_[at] != 0 && table_[at] != hash) at = (at + 1) & (table_.size() - 1);
    return &table_[at];
  }
  void grow() {
    const auto old = std::exchange(table_, std::vector<std::uint64_t>(table_.size() * 2));
    for (const std::uint64_t hash : old)
      if (hash != 0) *place_of(hash) = hash;
  }
  std::vector<std::uint64_t> table_ = std::vector<std::uint64_t>(16);
  std::size_t count_ = 0;
};

}  // namespace tallymill::collector
