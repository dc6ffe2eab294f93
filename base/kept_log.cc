#include "base/kept_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "base/log_line.h"

namespace tallymill::log {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".jsonl";
constexpr std::size_t digits = 10;

std::string line_about(std::uint64_t lost) {
  return as_json(line_of("up", Level::warn,
                         fmt::format("{} lines before this one could not be kept", lost))) +
         "\n";
}

// That its last line has an end.
bool ends_in_line(int fd, std::uint64_t size) {
  char last = '\n';
  return size == 0 || (::pread(fd, &last, 1, static_cast<off_t>(size - 1)) == 1 && last == '\n');
}

}  // namespace

std::vector<std::uint64_t> kept_log_files(const fs::path& folder) {
  std::vector<std::uint64_t> numbers;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename();
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && name.size() == digits + suffix.size() &&
        rest == name.data() + digits && name.ends_with(suffix))
      numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

fs::path kept_log_file(const fs::path& folder, std::uint64_t number) {
  return folder / fmt::format("{:0{}}{}", number, digits, suffix);
}

KeptLog::~KeptLog() {
  if (fd_ >= 0) ::close(fd_);
}

void KeptLog::append(std::string_view lines) {
  const std::string before = lost_ > 0 ? line_about(lost_) : "";
  if (open_for(before.size() + lines.size()) && write(before + std::string(lines))) {
    lost_ = 0;
    return;
  }
  lost_ += static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
}

// A file that takes so many bytes is open. One that was removed under us holds nothing for anyone.
bool KeptLog::open_for(std::size_t bytes) {
  struct stat info{};
  if (fd_ >= 0 && ::fstat(fd_, &info) == 0 && info.st_nlink > 0) {
    size_ = static_cast<std::uint64_t>(info.st_size);
    if (size_ + bytes <= bounds_.file_bytes) return true;
  } else {
    std::error_code failed;
    fs::create_directories(folder_, failed);
    if (!failed) fs::permissions(folder_, fs::perms::owner_all, failed);
    const auto there = kept_log_files(folder_);
    number_ = std::max(number_, there.empty() ? 0 : there.back());
    if (!there.empty() && there.back() == number_ && open(number_) &&
        size_ + bytes <= bounds_.file_bytes)
      return true;
  }
  remove_oldest(bounds_.files - 1);
  return open(number_ + 1);
}

bool KeptLog::open(std::uint64_t number) {
  if (fd_ >= 0) ::close(fd_);
  fd_ =
      ::open(kept_log_file(folder_, number).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  struct stat info{};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) return false;
  number_ = number;
  size_ = static_cast<std::uint64_t>(info.st_size);
  // Killed over a line: what comes now must not become part of it.
  return ends_in_line(fd_, size_) || write("\n");
}

void KeptLog::remove_oldest(std::size_t left) {
  const auto there = kept_log_files(folder_);
  for (std::size_t i = 0; i + left < there.size(); ++i) {
    std::error_code ignored;
    fs::remove(kept_log_file(folder_, there[i]), ignored);
  }
}

// All of it or nothing: the part that still fitted would make one line of two.
bool KeptLog::write(std::string_view bytes) {
  const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
  if (wrote == static_cast<ssize_t>(bytes.size())) {
    size_ += bytes.size();
    return true;
  }
  if (wrote > 0) (void)!::ftruncate(fd_, static_cast<off_t>(size_));
  return false;
}

KeptLogReader::~KeptLogReader() { close(); }

void KeptLogReader::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

// A file is done only when a later one was there before its end was read.
void KeptLogReader::read(const std::function<void(std::string_view)>& each) {
  auto there = kept_log_files(folder_);
  const bool begun = fd_ >= 0;
  if (begun) {
    read_file(each);
    struct stat info{};
    const bool removed = ::fstat(fd_, &info) != 0 || info.st_nlink == 0;
    if (!removed && (there.empty() || there.back() <= number_)) return;
    close();
  }
  // Numbers below those we had are new: the folder was removed, and its writer began again.
  if (!there.empty() && there.back() >= number_)
    std::erase_if(there, [&](std::uint64_t n) { return n < number_ || (begun && n == number_); });
  for (const std::uint64_t number : there) {
    close();
    if (!partial_.empty()) take("\n", each);
    number_ = number;
    fd_ = ::open(kept_log_file(folder_, number).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ >= 0) read_file(each);
  }
}

void KeptLogReader::read_file(const std::function<void(std::string_view)>& each) {
  std::array<char, 65536> buffer{};
  for (ssize_t got = 0; (got = ::read(fd_, buffer.data(), buffer.size())) > 0;)
    take({buffer.data(), static_cast<std::size_t>(got)}, each);
}

void KeptLogReader::take(std::string_view bytes,
                         const std::function<void(std::string_view)>& each) {
  constexpr std::size_t longest = 2 * limits::child_line_bytes;
  for (std::size_t end = 0; (end = bytes.find('\n')) != std::string_view::npos;
       bytes.remove_prefix(end + 1)) {
    partial_ += bytes.substr(0, std::min(end, longest));
    if (!cut_ && !partial_.empty()) each(partial_);
    partial_.clear();
    cut_ = false;
  }
  if (cut_) return;
  partial_ += bytes;
  if (partial_.size() <= longest) return;
  each(partial_);
  partial_.clear();
  cut_ = true;
}

}  // namespace tallymill::log
