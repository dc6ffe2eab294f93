// Errands: one thread for what may block (a read of the ledger, a blob), beside a loop that must
// not.
//
// An errand is a function that runs on the thread, in the order they were given, and returns what
// is to be done with its outcome; that runs on the loop.
//
//   invariant: at most `bound` errands wait; put() says no beyond it, and the caller refuses its
//              client
//
// Threads: put() from the loop; Errand on the thread; Answer on the loop.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread.h"
#include "bus/mailbox.h"

namespace tallymill::bus {

class Errands {
 public:
  using Answer = std::function<void()>;
  using Errand = std::function<Answer()>;

  // `name`: of the thread. `loop`: a Loop, or another that can watch a descriptor.
  template <class AnyLoop>
  Errands(AnyLoop& loop, std::size_t bound, const char* name)
      : unwatch_([&loop](int fd) { loop.unwatch(fd); }), asked_(bound), answered_(2 * bound) {
    loop.watch(answered_.fd(), [this] {
      answered_.take(answers_);
      // Each is dropped when it was made: what it holds may be a file that waits to be removed.
      for (Answer& answer : answers_)
        if (const Answer one = std::exchange(answer, nullptr)) one();
    });
    thread_ = std::thread([this, name] {
      name_thread(name);
      run();
    });
  }
  // Errands that wait are dropped.
  ~Errands() {
    stopping_.store(true);
    asked_.nudge();
    thread_.join();
    unwatch_(answered_.fd());
  }
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;

  [[nodiscard]] bool put(Errand errand) { return asked_.put(std::move(errand)); }
  [[nodiscard]] std::size_t waiting() const { return asked_.size(); }

 private:
  void run() {
    std::vector<Errand> errands;
    while (!stopping_.load()) {
      if (!asked_.wait(errands)) continue;
      for (Errand& errand : errands) {
        if (stopping_.load()) return;
        Answer answer = errand();
        errand = nullptr;  // what it holds is counted until its answer
        // The box holds twice what may wait, so that it is never full while the loop turns.
        // NOLINTNEXTLINE(bugprone-use-after-move): put() moves only what it takes
        while (!answered_.put(std::move(answer)) && !stopping_.load()) std::this_thread::yield();
      }
    }
  }

  std::function<void(int fd)> unwatch_;
  Mailbox<Errand> asked_;
  Mailbox<Answer> answered_;
  std::vector<Answer> answers_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace tallymill::bus
