// WalKeeper: copies the write-ahead log into the database and lets it start again from its front,
// off the commit path.
//
// A checkpoint by the committer would stand in the way of commits for 5 to 17 ms; one by another
// connection cannot end while commits add to the log, and a log that never ends grows for ever. So:
// 1. past limits::wal_checkpoint the keeper's thread copies all there is (passive: it waits for
//    nobody and nobody for it), and again while the rest is large;
// 2. the committer copies the small rest between two commits and restarts the log;
// 3. a reader in its way costs at most `reader_patience`, then the log grows on by a piece and the
//    committer tries again;
// 4. at limits::wal_full the committer waits for the thread and does the rest, however large.
//
//   invariant: the file stays below limits::wal_grown plus one commit, unless a reader holds a
//   state longer than limits::ledger_read_time
//
// Threads: after_commit() by the committer; a thread of its own with its own connection.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/limits.h"
#include "base/result.h"
#include "store/sqlite.h"

namespace tallymill::front {

struct WalBounds {
  Bytes grown = limits::wal_grown;
  Bytes checkpoint = limits::wal_checkpoint;
  Bytes rest = limits::wal_rest;
  Bytes full = limits::wal_full;
};

class WalKeeper {
 public:
  [[nodiscard]] static Result<std::unique_ptr<WalKeeper>> start(const std::filesystem::path& file,
                                                                const std::string& vfs,
                                                                WalBounds bounds);
  ~WalKeeper();

  // After each commit of `writer`, outside a transaction. An error means that a sync or a write
  // of the database failed: nothing more may be acknowledged.
  [[nodiscard]] Status after_commit(store::Sqlite& writer, std::int64_t frames);

  // Copies all there is and restarts the log, if readers let it: to make room, and at the end.
  [[nodiscard]] Status finish(store::Sqlite& writer);

  // The last checkpoint found no room for the database to grow.
  [[nodiscard]] bool disk_full() const { return disk_full_; }

 private:
  WalKeeper(store::Sqlite db, WalBounds bounds) : db_(std::move(db)), bounds_(bounds) {}
  void run();
  void ask_thread();
  [[nodiscard]] bool thread_idle();
  void wait_for_thread();
  [[nodiscard]] Status judge(int code, const store::Sqlite& db);

  store::Sqlite db_;  // the thread's
  const WalBounds bounds_;
  std::int64_t try_again_at_ = 0;  // size of the log at which the committer tries again
  std::int64_t copied_ = 0;        // bytes of the log that the thread had copied
  bool copying_ = false;           // the thread was asked and its answer not yet read
  std::atomic<bool> disk_full_ = false;

  std::mutex work_mutex_;  // guards asked_, done_bytes_, failed_, stop_
  std::condition_variable work_changed_;
  bool asked_ = false;
  bool stop_ = false;
  std::int64_t done_bytes_ = 0;
  std::optional<Error> failed_;
  std::thread thread_;
};

}  // namespace tallymill::front
