// KeptLog: the lines of a pipeline's processes as they lie in a folder, DATA/logs of `up`.
//
// One stream in files of bounded size, named by their number, "0000000007.jsonl"; each line is what
// log::as_json() makes. The newest file grows; when it is full the next begins and the oldest goes.
// A number is never used again, so that a reader that follows cannot miss a change of file.
//
//   invariant: the files together hold at most `files` times `file_bytes`
//   invariant: a line that did not fit on the disk is lost whole, is counted, and the next one that
//   is written tells how many were
//
// Threads: an object belongs to one. Several processes may read while one writes. What is written
// is not forced to the disk: a crash of the host may cost the last seconds of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace tallymill::log {

class KeptLog {
 public:
  struct Bounds {
    std::uint64_t file_bytes = limits::kept_log_file_bytes;
    std::size_t files = limits::kept_log_files;
  };
  explicit KeptLog(std::filesystem::path folder) : KeptLog(std::move(folder), Bounds{}) {}
  KeptLog(std::filesystem::path folder, Bounds bounds)
      : folder_(std::move(folder)), bounds_(bounds) {}
  ~KeptLog();
  KeptLog(const KeptLog&) = delete;
  KeptLog& operator=(const KeptLog&) = delete;

  // Whole lines, each with its end. Makes the folder if it has to; blocks as long as the disk does.
  void append(std::string_view lines);
  [[nodiscard]] std::uint64_t lost() const { return lost_; }  // since the last that was written

 private:
  [[nodiscard]] bool open_for(std::size_t bytes);
  [[nodiscard]] bool open(std::uint64_t number);
  void remove_oldest(std::size_t left);
  [[nodiscard]] bool write(std::string_view bytes);

  std::filesystem::path folder_;
  Bounds bounds_;
  int fd_ = -1;
  std::uint64_t number_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t lost_ = 0;
};

// The numbers of the files of a folder, oldest first; none where there is no folder.
[[nodiscard]] std::vector<std::uint64_t> kept_log_files(const std::filesystem::path& folder);
[[nodiscard]] std::filesystem::path kept_log_file(const std::filesystem::path& folder,
                                                  std::uint64_t number);

// Reads what is there, and then what comes.
class KeptLogReader {
 public:
  explicit KeptLogReader(std::filesystem::path folder) : folder_(std::move(folder)) {}
  ~KeptLogReader();
  KeptLogReader(const KeptLogReader&) = delete;
  KeptLogReader& operator=(const KeptLogReader&) = delete;

  // Calls `each` for every line since the last call, without its end: untrusted, of any form. One
  // that no writer can have made so long comes cut.
  void read(const std::function<void(std::string_view)>& each);
  // What came after the last end of a line: the writer is at it, or was killed over it.
  [[nodiscard]] bool is_inside_a_line() const { return !partial_.empty(); }

 private:
  void read_file(const std::function<void(std::string_view)>& each);
  void take(std::string_view bytes, const std::function<void(std::string_view)>& each);
  void close();

  std::filesystem::path folder_;
  int fd_ = -1;
  std::uint64_t number_ = 0;
  std::string partial_;
  bool cut_ = false;  // the rest of this line is passed over
};

}  // namespace tallymill::log
