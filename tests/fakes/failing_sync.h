// FailingSync: a disk whose syncs fail on demand, in the test's own process.
//
// While one lives, syncs of its path fail with EIO, or of all that is in a folder when the path
// ends with a slash. What is synced after it is gone succeeds, as the kernel's next sync does,
// whatever became of the bytes.
//
// Threads: any.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "tests/fakes/sync_calls.h"

namespace tallymill::fakes {

class FailingSync {
 public:
  // `first` of them succeed.
  explicit FailingSync(std::string path, int first = 0) {
    SyncCalls::tell(&passes);
    const std::lock_guard lock(path_mutex_);
    path_ = std::move(path);
    passing_ = first;
    failed_ = 0;
  }
  ~FailingSync() {
    const std::lock_guard lock(path_mutex_);
    path_.clear();
  }
  FailingSync(const FailingSync&) = delete;
  FailingSync& operator=(const FailingSync&) = delete;

  // How many syncs failed so far.
  [[nodiscard]] static int failed() {
    const std::lock_guard lock(path_mutex_);
    return failed_;
  }

 private:
  static bool passes(const std::string& at) {
    const std::lock_guard lock(path_mutex_);
    if (path_.empty()) return true;
    if (path_.ends_with('/') ? !at.starts_with(path_) : at != path_) return true;
    if (passing_-- > 0) return true;
    ++failed_;
    return false;
  }

  static inline std::mutex path_mutex_;  // guards what is below
  static inline std::string path_;
  static inline int passing_ = 0;
  static inline int failed_ = 0;
};

}  // namespace tallymill::fakes
