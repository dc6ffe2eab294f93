#include "front/ledger_files.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "store/durable.h"
#include "store/sqlite.h"

namespace tallymill::front {
namespace {

namespace fs = std::filesystem;
using store::sync_folder;

constexpr const char* mark_name = "ledger.failed";
constexpr const char* reserve_name = "ledger.reserve";
constexpr const char* copy_name = "ledger.copy";         // whole and synced
constexpr const char* copying_name = "ledger.copy.tmp";  // being written

std::unexpected<Error> disk_error(std::string_view doing, const fs::path& path) {
  return store::disk_error("ledger: " + std::string(doing), path);
}

Status remove_if_there(const fs::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return disk_error("remove", path);
  return {};
}

// The copy that is being written, with SQLite's own journal of it. All there ever is of it: a disk
// that fails at each start is not filled with what those starts left.
Status remove_copying(const fs::path& folder) {
  Status all;
  for (const char* suffix : {"", "-journal", "-wal", "-shm"})
    if (auto removed = remove_if_there(folder / (std::string(copying_name) + suffix)); !removed)
      all = removed;
  return all;
}

// Page for page, what is in the WAL included.
Status back_up(const fs::path& from, const fs::path& to, const std::string& vfs) {
  auto source = store::Sqlite::open(from, store::Sqlite::Mode::write, vfs);
  if (!source) return std::unexpected(std::move(source).error());
  // Closing must not copy the WAL into a file that is about to be replaced.
  sqlite3_db_config(source->raw(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  auto target = store::Sqlite::open(to, store::Sqlite::Mode::create, vfs);
  if (!target) return std::unexpected(std::move(target).error());
  sqlite3_backup* backup = sqlite3_backup_init(target->raw(), "main", source->raw(), "main");
  if (!backup) return std::unexpected(target->error("copy the ledger"));
  sqlite3_backup_step(backup, -1);
  if (sqlite3_backup_finish(backup) != SQLITE_OK)
    return std::unexpected(target->error("copy the ledger"));
  return {};
}

}  // namespace

Result<LedgerFiles> LedgerFiles::lock(const fs::path& folder, Bytes reserve_size) {
  std::error_code cause;
  fs::create_directories(folder, cause);
  if (cause)
    return fail(Errc::disk, "ledger: make folder " + folder.string() + ": " + cause.message());
  const fs::path path = folder / "ledger.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return disk_error("open", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    const ssize_t size = ::pread(fd, holder.data(), holder.size() - 1, 0);
    ::close(fd);
    const std::string pid = size > 0 ? std::string(holder.data()) : "of unknown number";
    return fail(Errc::busy, "the ledger in " + folder.string() + " is in use by process " + pid);
  }
  // Best effort: on a full disk the lock holds without a name in it.
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) == 0) (void)!::pwrite(fd, pid.data(), pid.size(), 0);
  return LedgerFiles(folder, fd, reserve_size);
}

LedgerFiles::LedgerFiles(LedgerFiles&& other) noexcept
    : folder_(std::move(other.folder_)),
      lock_fd_(std::exchange(other.lock_fd_, -1)),
      reserve_size_(other.reserve_size_),
      reserved_(other.reserved_) {}

LedgerFiles::~LedgerFiles() {
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

bool LedgerFiles::marked_failed() const { return fs::exists(folder_ / mark_name); }

void LedgerFiles::mark_failed(std::string_view reason) const {
  const fs::path path = folder_ / mark_name;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return;
  (void)!::write(fd, reason.data(), reason.size());
  ::fsync(fd);
  ::close(fd);
  (void)sync_folder(folder_);
}

Status LedgerFiles::finish_copy() const {
  (void)remove_copying(folder_);
  if (!fs::exists(folder_ / copy_name)) return {};
  // The old WAL must be gone for good before the copy has the name that it belongs to.
  for (const char* name : {"ledger.db-wal", "ledger.db-shm"})
    if (auto removed = remove_if_there(folder_ / name); !removed) return removed;
  if (auto synced = sync_folder(folder_); !synced) return synced;
  const fs::path copy = folder_ / copy_name;
  if (::rename(copy.c_str(), database().c_str()) != 0) return disk_error("rename", copy);
  if (auto removed = remove_if_there(folder_ / mark_name); !removed) return removed;
  return sync_folder(folder_);
}

Status LedgerFiles::copy(const std::string& vfs) const {
  const fs::path writing = folder_ / copying_name;
  const fs::path copy = folder_ / copy_name;
  auto copied = back_up(database(), writing, vfs);
  if (copied) {
    const store::File file(::open(writing.c_str(), O_RDWR | O_CLOEXEC));
    copied = file ? store::put_in_place(file.fd(), writing, copy) : disk_error("open", writing);
    // Its name is the decision to take it: not while that may not be on disk.
    if (!copied) (void)remove_if_there(copy);
  }
  if (auto removed = remove_copying(folder_); copied && !removed) copied = removed;
  if (!copied) return copied;
  return finish_copy();
}

void LedgerFiles::grow_wal(Bytes size) const {
  // Closing a descriptor of the WAL drops no lock: SQLite's are on the database and the -shm file.
  const int fd = ::open(wal().c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  static constexpr std::array<char, 65536> zeros{};
  off_t end = ::lseek(fd, 0, SEEK_END);
  while (end >= 0 && end < size.raw()) {
    const auto piece =
        std::min<std::size_t>(zeros.size(), static_cast<std::size_t>(size.raw() - end));
    const ssize_t wrote = ::pwrite(fd, zeros.data(), piece, end);
    if (wrote <= 0) break;
    end += wrote;
  }
  ::fsync(fd);
  ::close(fd);
}

bool LedgerFiles::release_reserve() {
  if (!reserved_) return false;
  reserved_ = false;
  return ::unlink((folder_ / reserve_name).c_str()) == 0;
}

void LedgerFiles::keep_reserve() {
  const fs::path path = folder_ / reserve_name;
  std::error_code absent;
  const auto size = fs::file_size(path, absent);
  if (!absent && size >= static_cast<std::uintmax_t>(reserve_size_.raw())) {
    reserved_ = true;
    return;
  }
  if (free_bytes(folder_) < reserve_size_ + reserve_size_) return;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return;
  reserved_ = ::posix_fallocate(fd, 0, reserve_size_.raw()) == 0 && ::fsync(fd) == 0;
  ::close(fd);
  if (!reserved_) ::unlink(path.c_str());
}

Bytes free_bytes(const fs::path& folder) {
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0) return Bytes(std::numeric_limits<std::int64_t>::max());
  return Bytes(static_cast<std::int64_t>(info.f_bavail * info.f_frsize));
}

}  // namespace tallymill::front
