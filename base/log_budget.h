// Budget: how many lines a second may be written about what can come in floods, each about another
// thing, so that none stands for the others as it would in log::Limited.
//
// Threads: an object belongs to one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "base/clock.h"

namespace tallymill::log {

class Budget {
 public:
  explicit Budget(std::int64_t per_second) : per_second_(per_second) {}

  // Whether one more may be written; if not it is counted.
  [[nodiscard]] bool take(Instant now) {
    if (now - since_ >= std::chrono::seconds(1)) {
      since_ = now;
      taken_ = 0;
    }
    if (taken_++ < per_second_) return true;
    ++left_out_;
    return false;
  }

  // For the end of a line: how many were left out before it. Empty: none.
  [[nodiscard]] std::string told() {
    const std::int64_t more = std::exchange(left_out_, 0);
    return more == 0 ? "" : " (and " + std::to_string(more) + " such lines before)";
  }

 private:
  std::int64_t per_second_;
  Instant since_{};
  std::int64_t taken_ = 0;
  std::int64_t left_out_ = 0;
};

}  // namespace tallymill::log
