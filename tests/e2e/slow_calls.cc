// Calls of the C library that a test can slow down, or fail, in a running process:
// LD_PRELOAD=libslow_calls.so TM_SLOW_CALLS=FILE. While FILE holds a line
//
//   CALL MS TEXT
//
// each CALL that concerns TEXT takes MS longer. CALL is `sync` (fsync and fdatasync of a file whose
// path holds TEXT) or `recv` (a recv whose bytes hold TEXT: what came is given to the caller
// later). With a CALL of `fail`, each such sync fails with EIO (MS is read and means nothing). So a
// delay or a fault is planted between the product and its disk or its network, and nothing in the
// product knows of it. With a CALL of `hold`, each such sync takes until the rule is another.
//
// Threads: the calls are made on any.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace {

struct Rule {
  char call[16] = {};
  long ms = 0;
  char text[64] = {};
};

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// By system calls of its own: what is slowed down must not need what it slows down.
bool read_rule(Rule& rule) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets a variable
  static const char* const path = std::getenv("TM_SLOW_CALLS");
  if (path == nullptr) return false;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char line[128] = {};
  const ssize_t n = ::read(fd, line, sizeof line - 1);
  ::close(fd);
  return n > 0 && std::sscanf(line, "%15s %ld %63s", rule.call, &rule.ms, rule.text) == 3;
}

void take(long ms) {
  const timespec length{ms / 1000, ms % 1000 * 1'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &length, nullptr);
}

void hold(const Rule& rule) {
  for (Rule now; read_rule(now) && std::strcmp(now.call, rule.call) == 0 &&
                 std::strcmp(now.text, rule.text) == 0;)
    take(1);
}

// False when the sync is to fail.
bool may_sync(int fd) {
  Rule rule;
  if (!read_rule(rule)) return true;
  const std::string_view call = rule.call;
  if (call != "sync" && call != "fail" && call != "hold") return true;
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char path[4096];
  const ssize_t n = ::readlink(link, path, sizeof path);
  if (n <= 0 ||
      std::string_view(path, static_cast<std::size_t>(n)).find(rule.text) == std::string_view::npos)
    return true;
  if (call == "fail") {
    errno = EIO;
    return false;
  }
  if (call == "sync") take(rule.ms);
  if (call == "hold") hold(rule);
  return true;
}

}  // namespace

extern "C" {

int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return may_sync(fd) ? next(fd) : -1;
}

int fsync(int fd) {
  static const auto next = real<int (*)(int)>("fsync");
  return may_sync(fd) ? next(fd) : -1;
}

ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  static const auto next = real<ssize_t (*)(int, void*, size_t, int)>("recv");
  const ssize_t n = next(fd, buffer, size, flags);
  Rule rule;
  if (n > 0 && read_rule(rule) && std::string_view(rule.call) == "recv" &&
      ::memmem(buffer, static_cast<size_t>(n), rule.text, std::strlen(rule.text)) != nullptr)
    take(rule.ms);
  return n;
}
}
