// Processes of a benchmark: children that end with it, and folders that vanish with it.
//
// Threads: the benchmark's one.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace tallymill::bench {

// A child process, ended with the object.
class Child {
 public:
  Child() = default;
  explicit Child(std::vector<std::string> argv) {
    pid_ = ::fork();
    TM_CHECK(pid_ >= 0);
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<char*> words;
    words.reserve(argv.size() + 1);
    for (std::string& word : argv) words.push_back(word.data());
    words.push_back(nullptr);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  // The function, in a process of its own.
  explicit Child(const std::function<void()>& run) {
    pid_ = ::fork();
    TM_CHECK(pid_ >= 0);
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    run();
    ::_exit(0);
  }
  ~Child() { stop(); }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Child& operator=(Child&& other) noexcept {
    stop();
    pid_ = std::exchange(other.pid_, 0);
    return *this;
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tallymill-bench-XXXXXX").string();
    TM_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Lets this thread, and those it makes, sleep as long as they ask: by default the kernel adds up to
// 50 us, which is a twentieth of a job of 1 ms.
inline void sleep_exactly() { ::prctl(PR_SET_TIMERSLACK, 1); }

// Where this program lies, and beside it the shipped ones.
[[nodiscard]] inline std::filesystem::path programs() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

}  // namespace tallymill::bench
