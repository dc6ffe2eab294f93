#include "apps/log_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <utility>

#include "base/kept_log.h"
#include "base/limits.h"
#include "base/log_line.h"

namespace tallymill::apps {
namespace {

// A writer that died, killed for memory perhaps, is followed by another, this often at most.
constexpr std::chrono::seconds again{1};
// How long the end waits for a disk.
constexpr std::chrono::seconds patience{2};

// In the writer: lines from stdin until nobody can give more. What the process that was forked has
// open is closed: its locks and its reader's pipe must not live on in a writer that hangs.
[[noreturn]] void write_until_end(const std::filesystem::path& folder) {
  const int nothing = ::open("/dev/null", O_RDWR);
  (void)::dup2(nothing, STDOUT_FILENO);
  (void)::dup2(nothing, STDERR_FILENO);
  ::closefrom(STDERR_FILENO + 1);
  // Who tells the tree to end tells each process of it, and the last lines are still to come.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) (void)::signal(signal, SIG_IGN);
  (void)::setpgid(0, 0);
  log::KeptLog kept(folder);
  std::string lines;
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) ::_exit(0);
    lines.append(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t whole = lines.rfind('\n') + 1;
    if (whole == 0) continue;
    kept.append(std::string_view(lines).substr(0, whole));
    lines.erase(0, whole);
  }
}

}  // namespace

LogKeeper::LogKeeper(std::filesystem::path folder) : folder_(std::move(folder)) { start(); }

LogKeeper::~LogKeeper() {
  if (pipe_ < 0) return;
  ::close(pipe_);
  const Instant end = clock_.now() + patience;
  while (::waitpid(writer_, nullptr, WNOHANG) == 0 && clock_.now() < end) ::poll(nullptr, 0, 2);
}

void LogKeeper::start() {
  started_ = clock_.now();
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  (void)::fcntl(ends[1], F_SETPIPE_SZ, limits::kept_log_pipe_bytes);  // else 64 KiB
  (void)::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  writer_ = ::fork();
  if (writer_ == 0) {
    (void)::dup2(ends[0], STDIN_FILENO);
    write_until_end(folder_);
  }
  ::close(ends[0]);
  pipe_ = ends[1];
  if (writer_ < 0) ::close(std::exchange(pipe_, -1));
}

void LogKeeper::keep(std::string line) {
  if (pipe_ < 0 && clock_.now() - started_ >= again) start();
  line += '\n';
  if (lost_ > 0) {
    const auto about = log::line_of(
        "up", log::Level::warn,
        fmt::format("{} lines before this one were not kept: the data folder's disk is slow",
                    lost_));
    if (send(log::as_json(about) + "\n")) lost_ = 0;
  }
  if (!send(line)) ++lost_;
}

// All of it or nothing, which a pipe promises up to PIPE_BUF.
bool LogKeeper::send(std::string_view line) {
  if (pipe_ < 0 || line.size() > PIPE_BUF) return false;
  if (::write(pipe_, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return true;
  if (errno == EPIPE) ::close(std::exchange(pipe_, -1));
  return false;
}

}  // namespace tallymill::apps
