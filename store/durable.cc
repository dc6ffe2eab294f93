#include "store/durable.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

namespace tallymill::store {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> sync_error(const fs::path& path) {
  auto error = disk_error("sync", path);
  error.error().code = Errc::corrupt;
  return error;
}

}  // namespace

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

std::unexpected<Error> disk_error(std::string_view doing, const fs::path& path) {
  const int cause = errno;
  return fail(Errc::disk, std::string(doing) + " " + path.string() + ": " +
                              std::generic_category().message(cause));
}

Status write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return disk_error("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Status sync_file(int fd, const fs::path& path) {
  if (::fdatasync(fd) != 0) return sync_error(path);
  return {};
}

Status sync_folder(const fs::path& folder) {
  const File opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return disk_error("open folder", folder);
  if (::fsync(opened.fd()) != 0) return sync_error(folder);
  return {};
}

Status make_folder(const fs::path& folder) {
  std::vector<fs::path> made;
  std::error_code cause;
  const fs::path whole = folder.has_filename() ? folder : folder.parent_path();
  for (fs::path at = whole; !at.empty() && !fs::exists(at, cause); at = at.parent_path())
    made.push_back(at);
  fs::create_directories(folder, cause);
  if (cause) return fail(Errc::disk, "make folder " + folder.string() + ": " + cause.message());
  // Also of one that was there: who made it may have died before this.
  if (made.empty()) made.push_back(whole);
  for (const fs::path& one : made) {
    const fs::path parent = one.parent_path();
    if (auto synced = sync_folder(parent.empty() ? "." : parent); !synced) return synced;
  }
  return {};
}

Status put_in_place(int fd, const fs::path& aside, const fs::path& home) {
  if (auto synced = sync_file(fd, aside); !synced) return synced;
  // Opened before the name is given: once it is, only the sync may fail.
  const fs::path parent = home.parent_path();
  const File folder(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return disk_error("open folder", parent);
  if (::rename(aside.c_str(), home.c_str()) != 0) return disk_error("rename", aside);
  if (::fsync(folder.fd()) != 0) return sync_error(parent);
  return {};
}

Status write_file(const fs::path& home, std::string_view bytes) {
  fs::path aside = home;
  aside += ".new";
  const File file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!file) return disk_error("create", aside);
  auto stored = write_all(file.fd(), bytes, aside);
  if (stored) stored = put_in_place(file.fd(), aside, home);
  if (!stored) ::unlink(aside.c_str());
  return stored;
}

}  // namespace tallymill::store
