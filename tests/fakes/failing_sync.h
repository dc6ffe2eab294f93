// FailingSync: a disk whose syncs fail on demand, in the test's own process.
//
// fsync and fdatasync of this program are the two below; while a FailingSync lives, those of its
// path fail with EIO, or of all that is in a folder when the path ends with a slash. What is synced
// after it is gone succeeds, as the kernel's next sync does, whatever became of the bytes.
//
// Threads: any.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <string>
#include <utility>

namespace tallymill::fakes {

class FailingSync {
 public:
  // `first` of them succeed.
  explicit FailingSync(std::string path, int first = 0) {
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

  [[nodiscard]] static bool fails(int fd) {
    const std::lock_guard lock(path_mutex_);
    if (path_.empty()) return false;
    char target[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t n = ::readlink(link.c_str(), target, sizeof target);
    const std::string at(target, n > 0 ? static_cast<std::size_t>(n) : 0);
    if (path_.ends_with('/') ? !at.starts_with(path_) : at != path_) return false;
    if (passing_-- > 0) return false;
    ++failed_;
    errno = EIO;
    return true;
  }

 private:
  static inline std::mutex path_mutex_;  // guards what is below
  static inline std::string path_;
  static inline int passing_ = 0;
  static inline int failed_ = 0;
};

}  // namespace tallymill::fakes

extern "C" {
[[gnu::used]] inline int fdatasync(int fd) {
  if (tallymill::fakes::FailingSync::fails(fd)) return -1;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
[[gnu::used]] inline int fsync(int fd) {
  if (tallymill::fakes::FailingSync::fails(fd)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
}
