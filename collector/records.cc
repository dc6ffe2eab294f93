#include "collector/records.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/check.h"
#include "base/limits.h"
#include "collector/bytes.h"

namespace tallymill::collector {
namespace {

constexpr std::string_view title = "tmlog 1\n";
constexpr std::size_t file_head = 20;
constexpr std::size_t record_head = 12;

std::string head_of(std::uint32_t mark) {
  std::string head(title);
  for (int i = 0; i < 3; ++i) append_word(head, mark);
  return head;
}

// What two of the three say.
std::uint32_t mark_in(std::string_view head) {
  const auto a = load_word<std::uint32_t>(head.data() + 8);
  const auto b = load_word<std::uint32_t>(head.data() + 12);
  const auto c = load_word<std::uint32_t>(head.data() + 16);
  return (a & b) | (a & c) | (b & c);
}

std::uint32_t crc_of(std::string_view payload) {
  std::string size;
  append_word(size, static_cast<std::uint32_t>(payload.size()));
  return crc32(payload, crc32(size));
}

// The payload of the record that begins at `at`, if it is whole.
std::optional<std::string_view> record_at(std::string_view bytes, std::size_t at,
                                          std::uint32_t mark) {
  if (bytes.size() - at < record_head) return std::nullopt;
  const char* head = bytes.data() + at;
  const auto size = load_word<std::uint32_t>(head + 4);
  if (load_word<std::uint32_t>(head) != mark || size > limits::log_record_bytes ||
      size > bytes.size() - at - record_head)
    return std::nullopt;
  const std::string_view payload = bytes.substr(at + record_head, size);
  if (crc_of(payload) != load_word<std::uint32_t>(head + 8)) return std::nullopt;
  return payload;
}

std::uint32_t random_mark() {
  std::uint32_t mark = 0;
  TM_CHECK(::getrandom(&mark, sizeof mark, 0) == sizeof mark);
  return mark;
}

Status write_at(int fd, std::string_view bytes, std::uint64_t at,
                const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return store::disk_error("write", path);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
    at += static_cast<std::uint64_t>(wrote);
  }
  return {};
}

}  // namespace

std::uint32_t crc32(std::string_view bytes, std::uint32_t before) {
  return ::libdeflate_crc32(before, bytes.data(), bytes.size());
}

Scanned scan_records(std::string_view untrusted,
                     const std::function<void(std::string_view)>& each) {
  Scanned found;
  if (untrusted.size() < file_head) {
    found.torn_bytes = untrusted.size();
    return found;
  }
  found.mark = mark_in(untrusted);
  found.size = file_head;
  std::string mark;
  append_word(mark, found.mark);
  if (untrusted.substr(0, file_head) != head_of(found.mark)) ++found.damaged;
  std::size_t at = file_head;
  while (at < untrusted.size()) {
    if (const auto payload = record_at(untrusted, at, found.mark)) {
      if (at != found.size) ++found.damaged;
      at += record_head + payload->size();
      found.size = at;
      ++found.records;
      each(*payload);
    } else {
      at = std::min(untrusted.find(mark, at + 1), untrusted.size());
    }
  }
  found.torn_bytes = untrusted.size() - found.size;
  return found;
}

Result<std::unique_ptr<RecordFile>> RecordFile::create(std::filesystem::path path) {
  store::File file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!file) return store::disk_error("create", path);
  const std::uint32_t mark = random_mark();
  if (auto wrote = write_at(file.fd(), head_of(mark), 0, path); !wrote)
    return std::unexpected(std::move(wrote).error());
  if (auto synced = store::sync_folder(path.parent_path()); !synced)
    return std::unexpected(std::move(synced).error());
  return std::unique_ptr<RecordFile>(
      new RecordFile(std::move(path), std::move(file), mark, file_head));
}

Result<std::unique_ptr<RecordFile>> RecordFile::open(std::filesystem::path path,
                                                     const Scanned& found) {
  if (found.size == 0) return create(std::move(path));
  store::File file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return store::disk_error("open", path);
  if (found.torn_bytes != 0 && ::ftruncate(file.fd(), static_cast<off_t>(found.size)) != 0)
    return store::disk_error("cut", path);
  return std::unique_ptr<RecordFile>(
      new RecordFile(std::move(path), std::move(file), found.mark, found.size));
}

void RecordFile::add(std::string_view payload) {
  TM_CHECK(payload.size() <= limits::log_record_bytes);
  append_word(added_, mark_);
  append_word(added_, static_cast<std::uint32_t>(payload.size()));
  append_word(added_, crc_of(payload));
  added_ += payload;
}

Status RecordFile::flush() {
  auto wrote = write_at(file_.fd(), added_, size_, path_);
  if (wrote)
    size_ += added_.size();
  else  // When not even this works, the next flush overwrites it, or a scan finds it torn.
    (void)!::ftruncate(file_.fd(), static_cast<off_t>(size_));
  added_.clear();
  return wrote;
}

Status RecordFile::rename(const std::filesystem::path& home) {
  auto placed = store::put_in_place(file_.fd(), path_, home);
  if (placed) path_ = home;
  return placed;
}

Status RecordFile::sync() const { return store::sync_file(file_.fd(), path_); }

}  // namespace tallymill::collector
