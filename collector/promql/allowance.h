// Allowance: how long a query may go on and how many numbers it may have in memory; asked in the
// midst of its longest loops, and before what it makes.
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

class Allowance {
 public:
  Allowance(std::chrono::steady_clock::time_point until, const std::atomic<bool>* cancelled,
            std::size_t samples)
      : until_(until), cancelled_(cancelled), left_(samples) {}

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
  // too_big: there is no room for so many numbers more.
  [[nodiscard]] Status hold(std::size_t numbers) {
    if (numbers > left_)
      return fail(Errc::too_big,
                  "query processing would load too many samples into memory in query execution");
    left_ -= numbers;
    return {};
  }
  void give_back(std::size_t numbers) { left_ += numbers; }

 private:
  static constexpr std::size_t often = 65'536;

  std::chrono::steady_clock::time_point until_;
  const std::atomic<bool>* cancelled_;
  std::size_t spent_ = 0;
  std::size_t left_;
};

}  // namespace tallymill::promql
