// Mailbox: a bounded hand-over of values from any threads to one.
//
// The reader is a loop (poll fd()) or a thread that waits. The fd is signalled only when the box
// goes from empty to full of something, so a busy reader is not woken once per value, and it takes
// all there is in one go.
//
//   invariant: size() <= bound; a value is taken exactly once, in the order it was put
//
// Threads: put() from any; take() and wait() by the one reader.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"

namespace tallymill::bus {

template <class T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t bound) : bound_(bound), fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    TM_CHECK(fd_ >= 0);
  }
  ~Mailbox() { ::close(fd_); }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False when the box is full: the caller keeps the value and decides (shed, wait, refuse).
  [[nodiscard]] bool put(T&& value) {
    bool was_empty = false;
    {
      const std::lock_guard lock(values_mutex_);
      if (values_.size() >= bound_) return false;
      was_empty = values_.empty();
      values_.push_back(std::move(value));
    }
    if (was_empty) wake();
    return true;
  }

  // Moves everything into `out`, which is cleared first (its memory goes back to the box). False
  // when there was nothing.
  bool take(std::vector<T>& out) {
    out.clear();
    std::uint64_t ignored = 0;
    (void)!::read(fd_, &ignored, sizeof ignored);
    const std::lock_guard lock(values_mutex_);
    values_.swap(out);
    return !out.empty();
  }

  // As take(), but sleeps until there is something or wake() was called.
  bool wait(std::vector<T>& out) {
    out.clear();
    std::unique_lock lock(values_mutex_);
    filled_.wait(lock, [&] { return !values_.empty() || woken_; });
    woken_ = false;
    values_.swap(out);
    return !out.empty();
  }

  // As wait(), but not longer than `patience`.
  bool wait_for(std::vector<T>& out, std::chrono::nanoseconds patience) {
    out.clear();
    std::unique_lock lock(values_mutex_);
    filled_.wait_for(lock, patience, [&] { return !values_.empty() || woken_; });
    woken_ = false;
    values_.swap(out);
    return !out.empty();
  }

  // Makes the reader look, also when there is nothing: to stop it.
  void nudge() {
    {
      const std::lock_guard lock(values_mutex_);
      woken_ = true;
    }
    wake();
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(values_mutex_);
    return values_.size();
  }

  // Readable while there may be something to take.
  [[nodiscard]] int fd() const { return fd_; }

 private:
  void wake() {
    filled_.notify_one();
    const std::uint64_t one = 1;
    (void)!::write(fd_, &one, sizeof one);
  }

  const std::size_t bound_;
  const int fd_;
  mutable std::mutex values_mutex_;  // guards values_, woken_
  std::condition_variable filled_;
  std::vector<T> values_;
  bool woken_ = false;
};

}  // namespace tallymill::bus
