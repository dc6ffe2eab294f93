#include "store/blobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "store/durable.h"

namespace tallymill::store {
namespace {

namespace fs = std::filesystem;

// Where the size that was written is remembered, so that a file cut short is noticed when it is
// mapped. Without extended attributes (an old tmpfs) the check is left out.
constexpr const char* size_attribute = "user.tallymill.size";

// The fan-out folder of that number, 0..255.
fs::path fan_out(const fs::path& root, int number) {
  constexpr char digits[] = "0123456789abcdef";
  const char name[] = {digits[number >> 4], digits[number & 15], 0};
  return root / name;
}

// Whether `path` leads to the file that is open as `fd`.
bool leads_to(const fs::path& path, int fd) {
  struct stat there{};
  struct stat here{};
  return ::fstat(fd, &here) == 0 && ::stat(path.c_str(), &there) == 0 &&
         there.st_ino == here.st_ino && there.st_dev == here.st_dev;
}

// Since it was last written or touched.
Duration age_of(const struct stat& info, WallTime now) {
  const auto touched =
      std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
  return now.time_since_epoch() - touched;
}

fs::path path_of(const fs::path& root, std::string_view digest) {
  return root / digest.substr(0, 2) / digest;
}

// A name in a fan-out folder is given, removed and relied on under the folder's lock: whole for who
// gives or removes one, until that is synced, shared for who says that a blob is there. A process
// that dies lets go of it.
Result<File> lock_folder(const fs::path& folder, int how) {
  File locked(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!locked) return disk_error("open folder", folder);
  while (::flock(locked.fd(), how) != 0)
    if (errno != EINTR) return disk_error("lock folder", folder);
  return locked;
}

std::string random_hex() {
  unsigned char random[16];
  TM_CHECK(::getrandom(random, sizeof random, 0) == sizeof random);
  return hex_of(random);
}

// What id_of() reads; there already unless the store is new.
Status make_id(const fs::path& root) {
  const fs::path home = root / "id";
  const File file(::open(home.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
  struct stat info{};
  // Of two that make a store at once, one gives it its id.
  if (!file || ::flock(file.fd(), LOCK_EX) != 0 || ::fstat(file.fd(), &info) != 0)
    return disk_error("open", home);
  if (info.st_size != 0) return {};
  if (auto wrote = write_all(file.fd(), random_hex(), home); !wrote) return wrote;
  if (auto synced = sync_file(file.fd(), home); !synced) return synced;
  return sync_folder(root);
}

// ---- files aside ----
//
// A file under tmp/ is locked by the process that writes it, until it has another name, is gone, or
// the process is: whoever can lock it may remove it. So a name is only taken for one's own once it
// is locked and still leads to the file that was locked.

struct Aside {
  fs::path path;
  File file;
};

Result<Aside> create_aside(const fs::path& root) {
  for (;;) {
    fs::path path = root / "tmp" / random_hex();
    File file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    if (!file) return disk_error("create", path);
    if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return disk_error("lock", path);
    } else if (leads_to(path, file.fd())) {
      return Aside{std::move(path), std::move(file)};
    }
  }
}

// The file that gathers the pieces of one blob; no file when it is not there and not to be made.
Result<File> lock_part(const fs::path& path, bool make) {
  for (;;) {
    File file(::open(path.c_str(), O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC, 0640));
    if (!file && !make && errno == ENOENT) return file;
    if (!file || ::flock(file.fd(), LOCK_EX) != 0) return disk_error("open", path);
    if (leads_to(path, file.fd())) return file;
  }
}

// What is in `folder`; nothing when it is not there.
Result<std::vector<fs::path>> files_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code cause;
  for (fs::directory_iterator at(folder, cause), end; !cause && at != end; at.increment(cause))
    found.push_back(at->path());
  if (cause && cause != std::errc::no_such_file_or_directory)
    return fail(Errc::disk, "blobs: read folder " + folder.string() + ": " + cause.message());
  return found;
}

// Removes from tmp/ what processes that are gone left half-written, and the pieces of puts that
// were given up.
Status remove_half_written(const fs::path& root, WallTime now) {
  const auto found = files_in(root / "tmp");
  if (!found) return std::unexpected(found.error());
  for (const fs::path& path : *found) {
    const File file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    struct stat info{};
    if (!file || ::flock(file.fd(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.fd(), &info) != 0)
      continue;
    if (path.extension() == ".part" && age_of(info, now) <= limits::unfinished_put) continue;
    if (leads_to(path, file.fd())) ::unlink(path.c_str());
  }
  return {};
}

struct Unmap {
  std::size_t size;
  void operator()(const void* memory) const { ::munmap(const_cast<void*>(memory), size); }
};

Result<std::shared_ptr<const void>> map_file(int fd, std::size_t size, const fs::path& path) {
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return disk_error("map", path);
  return std::shared_ptr<const void>(memory, Unmap{size});
}

Result<std::string> digest_of_file(int fd, std::size_t size, const fs::path& path) {
  if (size == 0) return sha256_hex({});
  auto memory = map_file(fd, size, path);
  if (!memory) return std::unexpected(std::move(memory).error());
  return sha256_hex({static_cast<const char*>(memory->get()), size});
}

// Whether the file has `bytes` at `offset`.
bool has_bytes(int fd, std::string_view bytes, off_t offset) {
  std::string there(bytes.size(), '\0');
  std::size_t got = 0;
  while (got < there.size()) {
    const ssize_t n =
        ::pread(fd, there.data() + got, there.size() - got, offset + static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    got += static_cast<std::size_t>(n);
  }
  return there == bytes;
}

}  // namespace

Status check_digest(std::string_view untrusted) {
  if (is_sha256_hex(untrusted)) return {};
  return fail(Errc::bad_params, "a digest is 64 lower-case hex digits", "/digest");
}

// The inode tells a copy of the folder from the folder.
std::string Blobs::id_of(const std::filesystem::path& folder) {
  const File file(::open((folder / "id").c_str(), O_RDONLY | O_CLOEXEC));
  char text[64];
  struct stat info{};
  if (!file || ::fstat(file.fd(), &info) != 0) return {};
  const ssize_t got = ::read(file.fd(), text, sizeof text);
  if (got <= 0) return {};
  return std::string(text, static_cast<std::size_t>(got)) + "-" + std::to_string(info.st_ino);
}

Result<std::unique_ptr<Blobs>> Blobs::open(fs::path folder, bool owner) {
  std::error_code cause;
  fs::create_directories(folder, cause);
  if (cause) return fail(Errc::disk, "blobs: make " + folder.string() + ": " + cause.message());
  folder = fs::canonical(folder, cause);
  if (cause) return fail(Errc::disk, "blobs: find " + folder.string() + ": " + cause.message());
  const fs::path aside = folder / "tmp";
  if (::mkdir(aside.c_str(), 0750) != 0 && errno != EEXIST) return disk_error("make folder", aside);
  if (owner) {
    if (auto made = make_id(folder); !made) return std::unexpected(std::move(made).error());
    if (auto removed = remove_half_written(folder, SystemClock().wall()); !removed)
      return std::unexpected(std::move(removed).error());
  }
  return std::unique_ptr<Blobs>(new Blobs(std::move(folder)));
}

// The digest's fan-out folder, there and durable in the store's own. When it cannot be synced it is
// not there: the next to come would take it for durable. Once a process, because one that was
// killed before its sync leaves a folder like any other.
Status Blobs::need_folder(std::string_view digest) {
  const std::string name(digest.substr(0, 2));
  const fs::path folder = folder_ / name;
  std::atomic<bool>& known = durable_[std::stoul(name, nullptr, 16)];
  if (known) return {};
  const auto locked = lock_folder(folder_, LOCK_EX);
  if (!locked) return std::unexpected(locked.error());
  const bool made = ::mkdir(folder.c_str(), 0750) == 0;
  if (!made && errno != EEXIST) return disk_error("make folder", folder);
  auto synced = sync_folder(folder_);
  if (!synced && made) ::rmdir(folder.c_str());
  known = synced.has_value();
  return synced;
}

// The file written aside becomes the blob. When a sync fails nothing of it is left: the next put
// finds nothing that only looks as if it were on disk, and writes it anew.
Status Blobs::publish(int fd, const fs::path& aside, std::string_view digest) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return disk_error("stat", aside);
  const std::string size = std::to_string(info.st_size);
  (void)!::fsetxattr(fd, size_attribute, size.data(), size.size(), 0);
  if (auto made = need_folder(digest); !made) return made;
  const fs::path home = path_of(folder_, digest);
  const auto locked = lock_folder(home.parent_path(), LOCK_EX);
  if (!locked) return std::unexpected(locked.error());
  auto stored = put_in_place(fd, aside, home);
  if (stored || stored.error().code != Errc::corrupt) return stored;
  for (const fs::path& name : {aside, home})
    if (leads_to(name, fd)) ::unlink(name.c_str());
  return stored;
}

// Marks a known blob as used now, so that collect() lets it be. False: it is not there. Synced,
// because a put by a process that was killed before its sync looks the same as a finished one.
Result<bool> Blobs::touch(std::string_view digest) {
  if (!has(digest)) return false;
  if (auto made = need_folder(digest); !made) return std::unexpected(std::move(made).error());
  const fs::path home = path_of(folder_, digest);
  const auto locked = lock_folder(home.parent_path(), LOCK_SH);
  if (!locked) return std::unexpected(locked.error());
  const File file(::open(home.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  if (::futimens(file.fd(), nullptr) != 0) return disk_error("touch", home);
  auto synced = sync_file(file.fd(), home);
  if (synced) synced = sync_folder(home.parent_path());
  if (!synced) return std::unexpected(std::move(synced).error());
  return true;
}

Result<std::string> Blobs::put(std::string_view bytes) {
  std::string digest = sha256_hex(bytes);
  auto known = touch(digest);
  if (!known) return std::unexpected(std::move(known).error());
  if (*known) return digest;
  auto aside = create_aside(folder_);
  if (!aside) return std::unexpected(std::move(aside).error());
  auto stored = write_all(aside->file.fd(), bytes, aside->path);
  if (stored) stored = publish(aside->file.fd(), aside->path, digest);
  if (!stored) {
    ::unlink(aside->path.c_str());
    return std::unexpected(std::move(stored).error());
  }
  return digest;
}

Result<bool> Blobs::put_piece(std::string_view digest, Bytes whole, Bytes offset,
                              std::string_view piece) {
  if (auto checked = check_digest(digest); !checked)
    return std::unexpected(std::move(checked).error());
  const auto end = static_cast<std::uint64_t>(offset.raw()) + piece.size();
  if (offset < Bytes(0) || whole < Bytes(0) || end > static_cast<std::uint64_t>(whole.raw()))
    return fail(Errc::bad_params, "a piece goes beyond the whole", "/offset");
  auto known = touch(digest);
  if (!known) return std::unexpected(std::move(known).error());
  if (*known) return true;

  const fs::path part = folder_ / "tmp" / (std::string(digest) + ".part");
  auto locked = lock_part(part, offset == Bytes(0));
  if (!locked) return std::unexpected(std::move(locked).error());
  const int fd = locked->fd();
  const off_t size = *locked ? ::lseek(fd, 0, SEEK_END) : 0;
  if (size < offset.raw())
    return fail(
        Errc::wrong_state,
        "the next piece of " + std::string(digest) + " is at offset " + std::to_string(size),
        "/offset");
  // What another sender of the same blob has put already stays; what is there and differs gives
  // way.
  if (size > offset.raw() && has_bytes(fd, piece, offset.raw())) {
    if (::futimens(fd, nullptr) != 0) return disk_error("touch", part);
  } else {
    if (::ftruncate(fd, offset.raw()) != 0 || ::lseek(fd, offset.raw(), SEEK_SET) < 0)
      return disk_error("truncate", part);
    if (auto wrote = write_all(fd, piece, part); !wrote) {
      // Without the torn piece the sender may go on from where it was.
      (void)!::ftruncate(fd, offset.raw());
      return std::unexpected(std::move(wrote).error());
    }
  }
  if (end < static_cast<std::uint64_t>(whole.raw())) return false;
  if (::ftruncate(fd, whole.raw()) != 0) return disk_error("truncate", part);
  auto found = digest_of_file(fd, static_cast<std::size_t>(end), part);
  if (!found) return std::unexpected(std::move(found).error());
  if (*found != digest) {
    ::unlink(part.c_str());
    return fail(Errc::bad_params, "the pieces have the digest " + *found, "/digest");
  }
  if (auto stored = publish(fd, part, digest); !stored)
    return std::unexpected(std::move(stored).error());
  return true;
}

Result<std::unique_ptr<BlobWriter>> Blobs::writer() {
  auto aside = create_aside(folder_);
  if (!aside) return std::unexpected(std::move(aside).error());
  return std::unique_ptr<BlobWriter>(
      new BlobWriter(*this, std::move(aside->path), std::move(aside->file)));
}

BlobWriter::~BlobWriter() {
  if (!placed_) ::unlink(path_.c_str());
}

Status BlobWriter::write(std::string_view piece) {
  size_ = size_ + Bytes(static_cast<std::int64_t>(piece.size()));
  sha256_.add(piece);
  auto written = write_all(file_.fd(), piece, path_);
  whole_ = whole_ && written;
  return written;
}

Result<std::string> BlobWriter::finish() {
  if (!whole_) return fail(Errc::disk, "not all of it could be written");
  std::string digest = sha256_.hex();
  auto known = blobs_.touch(digest);
  if (!known) return std::unexpected(std::move(known).error());
  if (*known) return digest;
  if (auto stored = blobs_.publish(file_.fd(), path_, digest); !stored)
    return std::unexpected(std::move(stored).error());
  placed_ = true;
  return digest;
}

Result<Mapped> Blobs::map(std::string_view digest) const {
  if (auto checked = check_digest(digest); !checked)
    return std::unexpected(std::move(checked).error());
  const fs::path home = path_of(folder_, digest);
  const File file(::open(home.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return fail(Errc::not_found, "no blob " + std::string(digest));
  struct stat info{};
  if (!file || ::fstat(file.fd(), &info) != 0) return disk_error("open", home);
  char recorded[24] = {};
  const ssize_t got = ::fgetxattr(file.fd(), size_attribute, recorded, sizeof recorded - 1);
  if (got > 0 && std::to_string(info.st_size) != recorded)
    return fail(Errc::corrupt, "blob " + std::string(digest) + " has " +
                                   std::to_string(info.st_size) + " bytes, " + recorded +
                                   " were written");
  Mapped mapped;
  if (info.st_size == 0) return mapped;
  const auto size = static_cast<std::size_t>(info.st_size);
  auto memory = map_file(file.fd(), size, home);
  if (!memory) return std::unexpected(std::move(memory).error());
  mapped.memory_ = std::move(*memory);
  mapped.bytes_ = {static_cast<const char*>(mapped.memory_.get()), size};
  return mapped;
}

bool Blobs::has(std::string_view digest) const {
  return check_digest(digest) && ::access(path_of(folder_, digest).c_str(), R_OK) == 0;
}

std::optional<Bytes> Blobs::size(std::string_view digest) const {
  struct stat info{};
  if (!check_digest(digest) || ::stat(path_of(folder_, digest).c_str(), &info) != 0) return {};
  return Bytes(info.st_size);
}

Status Blobs::verify(std::string_view digest) const {
  auto mapped = map(digest);
  if (!mapped) return std::unexpected(std::move(mapped).error());
  if (sha256_hex(mapped->bytes()) != digest)
    return fail(Errc::corrupt,
                "blob " + std::string(digest) + " has other bytes than its name says");
  return {};
}

Result<int> Blobs::collect(
    Duration age, WallTime now, int limit,
    const std::function<Result<std::vector<std::string>>(std::span<const std::string>)>&
        unreferenced) {
  const auto old = [&](const fs::path& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && age_of(info, now) > age;
  };
  // A folder that cannot be read keeps none of the others from being collected.
  Status read = remove_half_written(folder_, now);
  // One fan-out folder after the other, going on next time where this call stopped.
  std::vector<std::string> candidates;
  int looked = 0;
  int folders = 0;
  for (; folders < 256 && looked < limit; ++folders) {
    auto found = files_in(fan_out(folder_, std::exchange(collect_at_, (collect_at_ + 1) % 256)));
    if (!found) {
      if (read) read = std::unexpected(std::move(found).error());
      continue;
    }
    for (const fs::path& path : *found) {
      std::string digest = path.filename().string();
      ++looked;
      if (check_digest(digest) && old(path)) candidates.push_back(std::move(digest));
    }
  }
  auto garbage = Result<std::vector<std::string>>();
  if (!candidates.empty()) garbage = unreferenced(candidates);
  if (!garbage) return std::unexpected(std::move(garbage).error());
  int removed = 0;
  for (const std::string& digest : *garbage) {
    const fs::path home = path_of(folder_, digest);
    const auto locked = lock_folder(home.parent_path(), LOCK_EX);
    // Looked at again: a put may have touched it meanwhile.
    if (locked && old(home) && ::unlink(home.c_str()) == 0) ++removed;
  }
  if (!read) return std::unexpected(std::move(read).error());
  return removed;
}

}  // namespace tallymill::store
