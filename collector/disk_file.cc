#include "collector/disk_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <span>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::collector {
namespace {

// How many bytes came, which are fewer where the file ends or the disk fails.
std::size_t read_at(int fd, std::uint64_t at, char* into, std::size_t size) {
  std::size_t came = 0;
  while (came < size) {
    const ssize_t got = ::pread(fd, into + came, size - came, static_cast<off_t>(at + came));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    came += static_cast<std::size_t>(got);
  }
  return came;
}

// What a thread read last of one stream of one file.
struct Buffer {
  std::uint64_t owner = 0;  // 0: nobody's
  std::uint64_t begin = 0;
  std::size_t size = 0;
  std::unique_ptr<char[]> bytes;
};
// A read that takes its series from several parts goes on in as many.
constexpr std::size_t buffers = 8;

}  // namespace

Result<DiskFile> DiskFile::open(const std::filesystem::path& path) {
  static std::atomic<std::uint64_t> serials{1};
  store::File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!file && errno == ENOENT) return fail(Errc::not_found, "there is no " + path.string());
  if (!file || ::fstat(file.fd(), &info) != 0) return store::disk_error("open", path);
  return DiskFile(std::move(file), static_cast<std::uint64_t>(info.st_size),
                  serials.fetch_add(1, std::memory_order_relaxed));
}

std::optional<std::string_view> DiskFile::read(Stream stream, std::uint64_t at,
                                               std::size_t size) const {
  static thread_local std::array<Buffer, buffers> all;
  TM_CHECK(size <= limits::disk_read_bytes);
  if (at > size_ || size > size_ - at) return std::nullopt;
  const std::uint64_t owner = serial_ * 2 + static_cast<std::uint64_t>(stream);
  Buffer& buffer = all[owner % buffers];
  const bool goes_on = buffer.owner == owner && at >= buffer.begin &&
                       at <= buffer.begin + buffer.size + limits::disk_read_bytes;
  if (!goes_on || at + size > buffer.begin + buffer.size) {
    if (!buffer.bytes)
      buffer.bytes = std::make_unique_for_overwrite<char[]>(limits::disk_read_bytes);
    const std::size_t wanted =
        goes_on ? std::min<std::size_t>(size_ - at, limits::disk_read_bytes) : size;
    buffer.owner = owner;
    buffer.begin = at;
    buffer.size = read_at(file_.fd(), at, buffer.bytes.get(), wanted);
  }
  const std::uint64_t skipped = at - buffer.begin;
  if (skipped + size > buffer.size) return std::nullopt;
  return std::string_view(buffer.bytes.get() + skipped, size);
}

void DiskFile::copy(std::uint64_t at, std::span<char> into) const {
  while (!into.empty()) {
    // A piece that fails costs itself alone.
    const auto piece = into.first(std::min(limits::disk_read_bytes, into.size()));
    const std::size_t came = read_at(file_.fd(), at, piece.data(), piece.size());
    std::ranges::fill(piece.subspan(came), '\0');
    at += piece.size();
    into = into.subspan(piece.size());
  }
}

std::uint64_t DiskFile::data_from(std::uint64_t at) const {
  const off_t found = ::lseek(file_.fd(), static_cast<off_t>(at), SEEK_DATA);
  if (found >= 0) return static_cast<std::uint64_t>(found);
  return errno == ENXIO ? size_ : at;  // a file system may know no holes
}

}  // namespace tallymill::collector
