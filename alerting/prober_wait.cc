#include "alerting/prober_wait.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace tallymill::alerting {
namespace {

std::unexpected<Error> away(int error) {
  return fail(Errc::away, std::generic_category().message(error));
}

Result<store::File> connect_to(const addrinfo& address, const ProberWait& wait) {
  store::File made(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made) return away(errno);
  if (::connect(made.fd(), address.ai_addr, address.ai_addrlen) == 0) return made;
  if (errno != EINPROGRESS) return away(errno);
  if (auto ready = wait.ready(made.fd(), POLLOUT); !ready)
    return std::unexpected(std::move(ready).error());
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(made.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return away(errno);
  if (error != 0) return away(error);
  return made;
}

}  // namespace

int ProberWait::left_ms() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - clock_.now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 86'400'000));
}

Status ProberWait::ready(int fd, short events) const {
  pollfd fds[2] = {{.fd = fd, .events = events, .revents = 0},
                   {.fd = stop_, .events = POLLIN, .revents = 0}};
  while (::poll(fds, 2, left_ms()) < 0)
    if (errno != EINTR) return away(errno);
  if (fds[1].revents != 0) return fail(Errc::cancelled, "the prober stops");
  if (fds[0].revents != 0) return {};
  return fail(Errc::deadline, "no answer in time");
}

bool ProberWait::idle() const {
  pollfd stop{.fd = stop_, .events = POLLIN, .revents = 0};
  int ready = 0;
  do ready = ::poll(&stop, 1, left_ms());
  while (ready < 0 && errno == EINTR);
  return ready == 0;
}

Result<store::File> connect_tcp(const std::string& host, std::uint16_t port,
                                const ProberWait& wait) {
  const addrinfo hints{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
      failed != 0)
    return fail(Errc::away, ::gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> freed(found, &freeaddrinfo);
  Error failed{Errc::away, "no address"};
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    auto made = connect_to(*at, wait);
    if (made || made.error().code != Errc::away) return made;
    failed = std::move(made).error();
  }
  return std::unexpected(std::move(failed));
}

Status send_all(int fd, std::string_view bytes, const ProberWait& wait) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (auto ready = wait.ready(fd, POLLOUT); !ready) return ready;
    } else if (errno != EINTR) {
      return away(errno);
    }
  }
  return {};
}

}  // namespace tallymill::alerting
