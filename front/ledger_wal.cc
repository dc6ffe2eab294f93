#include "front/ledger_wal.h"

#include <sqlite3.h>

#include <chrono>

#include "base/thread.h"

namespace tallymill::front {
namespace {

constexpr std::int64_t frame_bytes = 4096 + 24;

// How long the committer waits for readers that stand in the way of a restart.
constexpr int reader_patience_ms = 20;

}  // namespace

Result<std::unique_ptr<WalKeeper>> WalKeeper::start(const std::filesystem::path& file,
                                                    const std::string& vfs, WalBounds bounds) {
  auto db = store::Sqlite::open(file, store::Sqlite::Mode::write, vfs);
  if (!db) return std::unexpected(std::move(db).error());
  int persist = 1;
  sqlite3_file_control(db->raw(), "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  if (auto set = db->exec("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL"); !set)
    return std::unexpected(std::move(set).error());
  std::unique_ptr<WalKeeper> keeper(new WalKeeper(std::move(*db), bounds));
  keeper->thread_ = std::thread([k = keeper.get()] { k->run(); });
  return keeper;
}

WalKeeper::~WalKeeper() {
  {
    const std::lock_guard lock(work_mutex_);
    stop_ = true;
  }
  work_changed_.notify_all();
  thread_.join();
}

Status WalKeeper::after_commit(store::Sqlite& writer, std::int64_t frames) {
  const std::int64_t size = frames * frame_bytes;
  if (size < bounds_.checkpoint.raw()) {
    // Below: not yet due, or the log has started again.
    if (!copying_) copied_ = try_again_at_ = 0;
    if (!copying_ || !thread_idle()) return {};
  }
  if (copying_) {
    if (!thread_idle() && size < bounds_.full.raw()) return {};
    wait_for_thread();
    copying_ = false;
    const std::lock_guard lock(work_mutex_);
    if (failed_) return std::unexpected(*failed_);
    copied_ = done_bytes_;
    if (size < bounds_.checkpoint.raw()) return {};
  }
  if (size < try_again_at_) return {};
  const bool full = size >= bounds_.full.raw();
  if (size - copied_ > bounds_.rest.raw() && !full) {
    ask_thread();
    copying_ = true;
    return {};
  }
  try_again_at_ = size + bounds_.rest.raw();
  return finish(writer);
}

Status WalKeeper::finish(store::Sqlite& writer) {
  wait_for_thread();
  sqlite3_busy_timeout(writer.raw(), reader_patience_ms);
  int frames = 0;
  int copied = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(writer.raw(), "main", SQLITE_CHECKPOINT_RESTART, &frames, &copied);
  if (copied >= 0) copied_ = copied * frame_bytes;
  return judge(code, writer);
}

// What a checkpoint's code means. No room and readers in the way pass; the rest is a failing disk.
Status WalKeeper::judge(int code, const store::Sqlite& db) {
  const Errc meaning = store::errc_of_sqlite(code);
  if (code == SQLITE_OK) disk_full_ = false;
  if (code == SQLITE_OK || meaning == Errc::busy) return {};
  if (meaning == Errc::disk) {
    disk_full_ = true;
    return {};
  }
  return std::unexpected(db.error("checkpoint"));
}

void WalKeeper::ask_thread() {
  {
    const std::lock_guard lock(work_mutex_);
    asked_ = true;
  }
  work_changed_.notify_all();
}

bool WalKeeper::thread_idle() {
  const std::lock_guard lock(work_mutex_);
  return !asked_;
}

void WalKeeper::wait_for_thread() {
  std::unique_lock lock(work_mutex_);
  work_changed_.wait(lock, [&] { return !asked_; });
}

void WalKeeper::run() {
  name_thread("wal-keeper");
  std::unique_lock lock(work_mutex_);
  while (true) {
    work_changed_.wait(lock, [&] { return asked_ || stop_; });
    if (stop_) return;
    lock.unlock();
    int frames = 0;
    int copied = 0;
    const int code =
        sqlite3_wal_checkpoint_v2(db_.raw(), "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
    auto judged = judge(code, db_);
    lock.lock();
    if (!judged) failed_ = std::move(judged).error();
    done_bytes_ = copied >= 0 ? copied * frame_bytes : 0;
    asked_ = false;
    work_changed_.notify_all();
  }
}

}  // namespace tallymill::front
