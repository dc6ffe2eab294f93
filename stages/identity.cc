#include "stages/identity.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/check.h"

namespace tallymill::stages {

namespace {

// Between bind() and listen() a living socket refuses too; that takes no second.
constexpr auto surely_listening = std::chrono::seconds(10);

bool is_refused(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool refused = result < 0 && errno == ECONNREFUSED;
  ::close(fd);
  return refused;
}

}  // namespace

std::string fresh_incarnation(std::string_view stage) {
  std::uint64_t random = 0;
  TM_CHECK(::getrandom(&random, sizeof random, 0) == sizeof random);
  return fmt::format("{}-{:012x}", stage, random & 0xffff'ffff'ffffU);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

void remove_stale_lanes(const std::string& run_dir) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<fs::path> stale;
  for (fs::directory_iterator at(run_dir, error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (!at->path().filename().string().starts_with("lane-") || !at->is_socket(gone)) continue;
    const auto written = at->last_write_time(gone);
    if (gone || fs::file_time_type::clock::now() - written < surely_listening) continue;
    if (is_refused(at->path().string())) stale.push_back(at->path());
  }
  for (const fs::path& path : stale) fs::remove(path, error);
}

}  // namespace tallymill::stages
