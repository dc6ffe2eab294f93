// Durable: the steps by which a file stands on disk under its name, whole or not at all.
//
// Written aside, synced, renamed, and its folder synced: a power cut in between leaves the file
// that was there before, or none. A sync that fails is corrupt and not disk, so that nobody tries
// it again: the kernel takes the pages for clean after it, and the next sync of them would say that
// all is well. Whoever meets it stops acknowledging, or writes the whole anew.
//
// Threads: any.
#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace tallymill::store {

// An open file, closed with it; false when it could not be opened.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&&) = delete;
  ~File();
  [[nodiscard]] int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// disk, with what errno says: "create PATH: No space left on device".
[[nodiscard]] std::unexpected<Error> disk_error(std::string_view doing,
                                                const std::filesystem::path& path);

// disk: some of it may be written.
[[nodiscard]] Status write_all(int fd, std::string_view bytes, const std::filesystem::path& path);

// Of the file's content; of the names in a folder. corrupt: it failed.
[[nodiscard]] Status sync_file(int fd, const std::filesystem::path& path);
[[nodiscard]] Status sync_folder(const std::filesystem::path& folder);

// Makes the folder, and those above it that are not there: its name, and theirs, are durable when
// it returns. disk: it cannot be made. corrupt: a sync failed.
[[nodiscard]] Status make_folder(const std::filesystem::path& folder);

// Syncs the file `aside`, open as `fd`, gives it the name `home` in the place of what had it, and
// syncs that name. disk: `aside` is as it was. corrupt: a sync failed; `aside`, or the new `home`,
// is there, and must be removed by who would else believe it later.
[[nodiscard]] Status put_in_place(int fd, const std::filesystem::path& aside,
                                  const std::filesystem::path& home);

// The same for a small file that is written whole, by way of `home`.new, which is removed again.
// disk: what was there is as it was. corrupt: what was there, or `bytes`; write it again.
[[nodiscard]] Status write_file(const std::filesystem::path& home, std::string_view bytes);

}  // namespace tallymill::store
