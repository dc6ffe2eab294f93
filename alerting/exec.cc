#include "alerting/exec.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "alerting/alert_json.h"
#include "base/check.h"
#include "store/durable.h"

namespace tallymill::alerting {
namespace {

// Holds the text, read from its beginning: no pipe, so that nobody waits for a program that does
// not read, and nobody is killed for writing to one that ended.
Result<store::File> memory_file(std::string_view text) {
  store::File file(::memfd_create("alert", MFD_CLOEXEC));
  if (!file) return fail(Errc::memory, "no memory for what the program is to read");
  if (!store::write_all(file.fd(), text, "alert") || ::lseek(file.fd(), 0, SEEK_SET) != 0)
    return fail(Errc::memory, "no memory for what the program is to read");
  return file;
}

// posix_spawn's two objects, and what they need to be undone.
class Spawning {
 public:
  Spawning() {
    TM_CHECK(::posix_spawn_file_actions_init(&actions_) == 0);
    TM_CHECK(::posix_spawnattr_init(&attributes_) == 0);
  }
  ~Spawning() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  Spawning(const Spawning&) = delete;
  Spawning& operator=(const Spawning&) = delete;

  // The errno of what went wrong; 0: nothing.
  int start(int stdin_fd, const std::vector<std::string>& command,
            const std::vector<std::string>& environment, pid_t& child) {
    ::posix_spawn_file_actions_adddup2(&actions_, stdin_fd, STDIN_FILENO);
    ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::sigfillset(&signals);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    return ::posix_spawn(&child, command.front().c_str(), &actions_, &attributes_,
                         pointers(command).data(), pointers(environment).data());
  }

 private:
  static std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
    all.push_back(nullptr);
    return all;
  }
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

std::vector<std::string> environment_for(const Message& message) {
  std::vector<std::string> all;
  for (char** one = ::environ; *one != nullptr; ++one)
    if (!std::string_view(*one).starts_with("TALLYMILL_ALERT_")) all.emplace_back(*one);
  all.push_back("TALLYMILL_ALERT_KEY=" + message.key);
  bool firing = !message.standing.empty();
  for (const Notice& notice : message.notices) firing = firing || !is_over(notice.alert);
  all.push_back(std::string("TALLYMILL_ALERT_STATUS=") + (firing ? "firing" : "resolved"));
  return all;
}

Status judge(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status))
    return fail(Errc::away, fmt::format("the program ended with {}", WEXITSTATUS(status)));
  return fail(Errc::away, fmt::format("the program was ended by signal {}", WTERMSIG(status)));
}

}  // namespace

Exec::Exec(Options options)
    : options_(std::move(options)), stopped_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TM_CHECK(!options_.command.empty());
  TM_CHECK(stopped_ >= 0);
}

Exec::~Exec() { ::close(stopped_); }

void Exec::stop() {
  const std::uint64_t one = 1;
  (void)!::write(stopped_, &one, sizeof one);
}

Status Exec::send(const Message& message) {
  const auto input = memory_file(webhook_json(message, options_.name, options_.external_url));
  if (!input) return std::unexpected(input.error());
  pid_t child = 0;
  Spawning spawning;
  if (const int error =
          spawning.start(input->fd(), options_.command, environment_for(message), child);
      error != 0) {
    std::array<char, 128> text{};
    return fail(Errc::away, fmt::format("the program cannot be run: {}",
                                        ::strerror_r(error, text.data(), text.size())));
  }
  Status waited = wait(child);
  // Its leader is not waited for yet, so that the group's number is nobody else's.
  (void)::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return waited ? judge(status) : waited;
}

// Until it ended, by itself.
Status Exec::wait(int child) const {
  // glibc 2.36 declares pidfd_open() for C alone.
  const store::File process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!process) return fail(Errc::away, "the program cannot be watched");
  std::array<pollfd, 2> watched{pollfd{process.fd(), POLLIN, 0}, pollfd{stopped_, POLLIN, 0}};
  const auto until = std::chrono::steady_clock::now() + options_.timeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return fail(Errc::deadline,
                  fmt::format("the program ran for more than {} ms", options_.timeout.count()));
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return fail(Errc::away, "the program cannot be watched");
    if (ready <= 0) continue;
    if (watched[1].revents != 0) return fail(Errc::cancelled, "the sink was stopped");
    if (watched[0].revents != 0) return {};
  }
}

}  // namespace tallymill::alerting
