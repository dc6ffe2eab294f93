// HeldSync: a disk that takes its time: each sync of one thread waits until the test lets it go.
//
// Threads: attend() is run by the thread whose syncs are held; the rest by the test. One lives at a
// time.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

#include "tests/fakes/sync_calls.h"

namespace tallymill::fakes {

class HeldSync {
 public:
  HeldSync() {
    SyncCalls::tell(&wait);
    const std::lock_guard lock(mutex_);
    path_.clear();
    ended_ = false;
  }
  HeldSync(const HeldSync&) = delete;
  HeldSync& operator=(const HeldSync&) = delete;

  // Does this, with each sync of this thread held.
  template <class Act>
  void attend(Act&& act) {
    is_held_ = true;
    act();
    is_held_ = false;
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  // The path of the sync that waits now; empty when there will be none.
  [[nodiscard]] std::string next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [] { return !path_.empty() || ended_; });
    return path_;
  }
  // Lets it go.
  void pass() {
    const std::lock_guard lock(mutex_);
    path_.clear();
    changed_.notify_all();
  }

 private:
  static bool wait(const std::string& path) {
    if (!is_held_) return true;
    std::unique_lock lock(mutex_);
    path_ = path;
    changed_.notify_all();
    changed_.wait(lock, [] { return path_.empty(); });
    return true;
  }

  static inline thread_local bool is_held_ = false;
  static inline std::mutex mutex_;  // guards what is below
  static inline std::condition_variable changed_;
  static inline std::string path_;
  static inline bool ended_ = false;
};

}  // namespace tallymill::fakes
