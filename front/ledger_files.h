// What stands beside the ledger's database in its folder: the lock, the mark of a failed sync, the
// reserve for a full disk, and the copy that is made after a failed sync.
//
// After a failed fsync the page cache shows bytes that may never reach the disk, and the next fsync
// says all is well. So the process that saw it leaves a mark and ends; the next start reads the
// ledger once through the cache, writes a new file, syncs that, and takes its place. The swap is
// two steps: the copy under its final name is the decision, and what a crash leaves of the rest is
// done at the next open, before the old file is read again.
//
//   invariant: one process has the lock, from open() to its end
//   invariant: at any moment one of ledger.db (+ WAL) and ledger.copy is the whole ledger
//
// Threads: the committer's.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace tallymill::front {

class LedgerFiles {
 public:
  // Makes the folder and takes the lock. busy: another process has it; the message names its pid.
  [[nodiscard]] static Result<LedgerFiles> lock(const std::filesystem::path& folder,
                                                Bytes reserve_size);
  LedgerFiles(LedgerFiles&& other) noexcept;
  LedgerFiles& operator=(LedgerFiles&&) = delete;
  ~LedgerFiles();

  [[nodiscard]] std::filesystem::path database() const { return folder_ / "ledger.db"; }
  [[nodiscard]] std::filesystem::path wal() const { return folder_ / "ledger.db-wal"; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  // The last process to have the ledger saw a sync fail.
  [[nodiscard]] bool marked_failed() const;
  // Leaves the mark; best effort, the disk is failing.
  void mark_failed(std::string_view reason) const;

  // Ends a swap that a crash interrupted. Before anything is read.
  [[nodiscard]] Status finish_copy() const;
  // Copies the database with its WAL to a new file, syncs it, puts it in its place and removes the
  // mark. disk: no room for a second one, or the disk still fails.
  [[nodiscard]] Status copy(const std::string& vfs) const;

  // Grows the WAL's file to `size` with written bytes, so that later commits allocate nothing.
  // Without room it stays as it is.
  void grow_wal(Bytes size) const;

  // Gives the reserve's room to the ledger. False: it was given already.
  bool release_reserve();
  // Makes it again once twice its size is free; at open, and later when there is room.
  void keep_reserve();
  [[nodiscard]] bool has_reserve() const { return reserved_; }

 private:
  LedgerFiles(std::filesystem::path folder, int lock_fd, Bytes reserve_size)
      : folder_(std::move(folder)), lock_fd_(lock_fd), reserve_size_(reserve_size) {}

  std::filesystem::path folder_;
  int lock_fd_;
  Bytes reserve_size_;
  bool reserved_ = false;
};

// Bytes that an ordinary process may still write in the file system of `folder`; the largest number
// when it cannot be asked.
[[nodiscard]] Bytes free_bytes(const std::filesystem::path& folder);

}  // namespace tallymill::front
