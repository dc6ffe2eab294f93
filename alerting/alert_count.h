// AlertCount: how many alerts of all rules are pending or firing, so that together they stay within
// limits::alerts.
//
//   invariant: it rises above `most` only by what is set, not by what is asked for
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstddef>

#include "alerting/limits.h"

namespace tallymill::alerting {

class AlertCount {
 public:
  explicit AlertCount(std::size_t most = limits::alerts) : most_(most) {}

  [[nodiscard]] std::size_t most() const { return most_; }
  [[nodiscard]] std::size_t all() const { return all_; }
  // One rule has `now` instead of `before`, if there is room; fewer always.
  [[nodiscard]] bool try_change(std::size_t before, std::size_t now) {
    std::size_t all = all_;
    do {
      if (now > before && all - before + now > most_) return false;
    } while (!all_.compare_exchange_weak(all, all - before + now));
    return true;
  }
  // Whatever room there is.
  void set(std::size_t before, std::size_t now) { all_ += now - before; }

 private:
  const std::size_t most_;
  std::atomic<std::size_t> all_ = 0;
};

}  // namespace tallymill::alerting
