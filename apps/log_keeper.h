// LogKeeper: the lines of a process tree on their way to the data folder.
//
// A process of its own writes them (base/kept_log.h), so that a disk that is slow, full or away is
// in nobody's way: whoever gives a line never waits. Between the two is a pipe; what does not fit
// in it is lost, and the next line that fits tells how many were.
//
//   supervisor --pipe--> writer --> DATA/logs
//
//   invariant: keep() and the constructor do not wait for the disk
//   invariant: the writer ends after this process, however that ends, when it has written what was
//   given: on a disk that hangs it hangs too, and holds nothing but its file
//
// Threads: one; it forks, so the program must have no other.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace tallymill::apps {

class LogKeeper {
 public:
  explicit LogKeeper(std::filesystem::path folder);
  // Waits a moment for the writer to have written all.
  ~LogKeeper();
  LogKeeper(const LogKeeper&) = delete;
  LogKeeper& operator=(const LogKeeper&) = delete;

  void keep(std::string line);  // as log::as_json() makes it

 private:
  void start();
  [[nodiscard]] bool send(std::string_view line);

  std::filesystem::path folder_;
  SystemClock clock_;
  int pipe_ = -1;  // -1: there is no writer
  pid_t writer_ = -1;
  Instant started_{};
  std::uint64_t lost_ = 0;
};

}  // namespace tallymill::apps
