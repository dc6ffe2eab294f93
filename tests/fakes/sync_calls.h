// SyncCalls: fsync and fdatasync of the test's own process, past the fakes that look at them.
//
// The two are those below. A fake is told the path of each before the kernel syncs it, and may make
// it fail with EIO, or wait.
//
// Threads: any.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>
#include <vector>

namespace tallymill::fakes {

class SyncCalls {
 public:
  // False: the sync fails.
  using Look = bool (*)(const std::string& path);

  // From now on it is told of each; of one that is there already nothing changes.
  static void tell(Look look) {
    const std::lock_guard lock(mutex_);
    if (std::ranges::find(looks_, look) == looks_.end()) looks_.push_back(look);
  }

  [[nodiscard]] static bool passes(int fd) {
    std::vector<Look> looks;
    {
      const std::lock_guard lock(mutex_);
      looks = looks_;
    }
    if (looks.empty()) return true;
    char target[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t n = ::readlink(link.c_str(), target, sizeof target);
    const std::string path(target, n > 0 ? static_cast<std::size_t>(n) : 0);
    if (std::ranges::all_of(looks, [&](Look look) { return look(path); })) return true;
    errno = EIO;
    return false;
  }

 private:
  static inline std::mutex mutex_;  // guards looks_
  static inline std::vector<Look> looks_;
};

}  // namespace tallymill::fakes

extern "C" {
[[gnu::used]] inline int fdatasync(int fd) {
  if (!tallymill::fakes::SyncCalls::passes(fd)) return -1;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
[[gnu::used]] inline int fsync(int fd) {
  if (!tallymill::fakes::SyncCalls::passes(fd)) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}
}
