// Patience: how long a query may go on; asked in the midst of its longest loops.
//
//   invariant: between two looks at the clock at most `often` steps are made
//
// Threads: one, the query's; the flag may be set from any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>

#include "base/result.h"

namespace tallymill::promql {

class Patience {
 public:
  Patience(std::chrono::steady_clock::time_point until, const std::atomic<bool>* cancelled)
      : until_(until), cancelled_(cancelled) {}

  // cancelled: who asked has gone; deadline: it is over.
  [[nodiscard]] Status check() const {
    if (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed))
      return fail(Errc::cancelled, "query was canceled in expression evaluation");
    if (std::chrono::steady_clock::now() > until_)
      return fail(Errc::deadline, "query timed out in expression evaluation");
    return {};
  }
  // The same, after so many small steps more.
  [[nodiscard]] Status spend(std::size_t steps) {
    spent_ += steps;
    if (spent_ < often) return {};
    spent_ = 0;
    return check();
  }

 private:
  static constexpr std::size_t often = 65'536;

  std::chrono::steady_clock::time_point until_;
  const std::atomic<bool>* cancelled_;
  std::size_t spent_ = 0;
};

}  // namespace tallymill::promql
