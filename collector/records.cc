#include "collector/records.h"

#include <fcntl.h>
#include <libdeflate.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

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

// The payload of the record that begins here, if it is whole.
std::optional<std::string_view> record_in(std::string_view bytes, std::uint32_t mark) {
  if (bytes.size() < record_head) return std::nullopt;
  const auto size = load_word<std::uint32_t>(bytes.data() + 4);
  if (load_word<std::uint32_t>(bytes.data()) != mark || size > limits::log_record_bytes ||
      size > bytes.size() - record_head)
    return std::nullopt;
  const std::string_view payload = bytes.substr(record_head, size);
  if (crc_of(payload) != load_word<std::uint32_t>(bytes.data() + 8)) return std::nullopt;
  return payload;
}

// What is scanned gives the bytes from a place on: at least the longest record, or up to the end.
constexpr std::size_t longest = record_head + limits::log_record_bytes;

class InMemory {
 public:
  explicit InMemory(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }
  [[nodiscard]] std::string_view from(std::uint64_t at) const { return bytes_.substr(at); }
  [[nodiscard]] std::uint64_t data_from(std::uint64_t at) const { return at; }

 private:
  std::string_view bytes_;
};

class OnDisk {
 public:
  explicit OnDisk(const DiskFile& file)
      : file_(file),
        room_(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), 4 * longest))),
        bytes_(std::make_unique_for_overwrite<char[]>(room_)) {}
  [[nodiscard]] std::uint64_t size() const { return file_.size(); }
  // Until the next call. REQUIRES: places ascend.
  [[nodiscard]] std::string_view from(std::uint64_t at) {
    const std::uint64_t wanted = std::min<std::uint64_t>(longest, size() - at);
    if (at + wanted > begin_ + held_) load(at);
    return std::string_view(bytes_.get(), held_).substr(at - begin_);
  }
  [[nodiscard]] std::uint64_t data_from(std::uint64_t at) const { return file_.data_from(at); }

 private:
  void load(std::uint64_t at) {
    const std::size_t kept = at < begin_ + held_ ? begin_ + held_ - at : 0;
    std::memmove(bytes_.get(), bytes_.get() + (held_ - kept), kept);
    begin_ = at;
    held_ = static_cast<std::size_t>(std::min<std::uint64_t>(room_, size() - at));
    file_.copy(at + kept, std::span(bytes_.get(), held_).subspan(kept));
  }

  const DiskFile& file_;
  std::size_t room_;
  std::unique_ptr<char[]> bytes_;
  std::uint64_t begin_ = 0;
  std::size_t held_ = 0;
};

template <class From>
Scanned scan(From bytes, const std::function<void(std::string_view)>& each) {
  Scanned found;
  found.torn_bytes = bytes.size();
  if (bytes.size() < file_head) return found;
  const std::string_view head = bytes.from(0).substr(0, file_head);
  found.mark = mark_in(head);
  if (found.mark == 0) return found;  // what is not there reads so
  found.size = file_head;
  std::string mark;
  append_word(mark, found.mark);
  if (head != head_of(found.mark)) ++found.damaged;
  for (std::uint64_t at = file_head; at < bytes.size();) {
    const std::string_view here = bytes.from(at);
    if (const auto payload = record_in(here, found.mark)) {
      if (at != found.size) ++found.damaged;
      at += record_head + payload->size();
      found.size = at;
      ++found.records;
      each(*payload);
    } else if (const std::size_t next = here.find(mark, 1); next != std::string_view::npos) {
      at += next;
    } else if (at + here.size() == bytes.size()) {
      break;
    } else {
      // One may begin in the last bytes of these, or before what stands behind a hole.
      at += here.size() - mark.size();
      at = std::max(at, bytes.data_from(at + mark.size()) - mark.size());
    }
  }
  found.torn_bytes = bytes.size() - found.size;
  return found;
}

std::uint32_t random_mark() {
  std::uint32_t mark = 0;
  while (mark == 0) TM_CHECK(::getrandom(&mark, sizeof mark, 0) == sizeof mark);
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
  return scan(InMemory(untrusted), each);
}

Scanned scan_records(const DiskFile& untrusted, const std::function<void(std::string_view)>& each) {
  return scan(OnDisk(untrusted), each);
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
