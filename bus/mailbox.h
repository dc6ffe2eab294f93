// Mailbox: a bounded hand-over of values from any threads to one.
//
// The reader is a loop (poll fd()) or a thread that waits. The fd is signalled only when the box
// goes from empty to full of something, so a busy reader is not woken once per value, and it takes
// all there is in one go. It may be woken for nothing.
//
//   invariant: size() <= bound; a value is taken exactly once, in the order it was put
//
// Threads: put() from any; take() and wait() by the one reader.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
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

  // As take(), but sleeps until there is something or somebody nudged.
  bool wait(std::vector<T>& out) {
    sleep(nullptr);
    return take(out);
  }

  // As wait(), but not longer than `patience`.
  bool wait_for(std::vector<T>& out, std::chrono::nanoseconds patience) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
    const timespec most{static_cast<time_t>(seconds.count()),
                        static_cast<long>((patience - seconds).count())};
    sleep(&most);
    return take(out);
  }

  // Makes the reader look, also when there is nothing: to stop it.
  void nudge() { wake(); }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(values_mutex_);
    return values_.size();
  }

  // Readable while there may be something to take.
  [[nodiscard]] int fd() const { return fd_; }

 private:
  void wake() {
    const std::uint64_t one = 1;
    (void)!::write(fd_, &one, sizeof one);
  }

  void sleep(const timespec* most) const {
    pollfd filled{fd_, POLLIN, 0};
    (void)::ppoll(&filled, 1, most, nullptr);
  }

  const std::size_t bound_;
  const int fd_;
  mutable std::mutex values_mutex_;  // guards values_
  std::vector<T> values_;
};

}  // namespace tallymill::bus
