#include "base/port_owner.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <system_error>

#include "base/address.h"
#include "base/thread.h"

namespace tallymill {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view listening = "0A";  // TCP_LISTEN in /proc/net/tcp

// The inodes of the sockets that listen on the port, as "socket:[1234]".
std::set<std::string> listeners(std::uint16_t port) {
  std::set<std::string> found;
  const std::string wanted = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(table);
    for (std::string line; std::getline(in, line);) {
      // sl local remote state queues timer retransmits uid timeout inode
      std::istringstream row(line);
      std::string local, state, inode, skip;
      row >> skip >> local >> skip >> state >> skip >> skip >> skip >> skip >> skip >> inode;
      if (state == listening && local.ends_with(wanted)) found.insert("socket:[" + inode + "]");
    }
  }
  return found;
}

bool holds_one_of(const fs::path& process, const std::set<std::string>& sockets) {
  std::error_code hidden;
  for (fs::directory_iterator file(process / "fd", hidden), end; !hidden && file != end;
       file.increment(hidden)) {
    const auto target = fs::read_symlink(file->path(), hidden);
    if (!hidden && sockets.contains(target.string())) return true;
    hidden.clear();  // it was closed while we looked
  }
  return false;
}

}  // namespace

std::optional<PortOwner> port_owner(std::uint16_t port) {
  const auto sockets = listeners(port);
  if (sockets.empty()) return std::nullopt;
  std::error_code gone;
  for (fs::directory_iterator process("/proc", gone), end; !gone && process != end;
       process.increment(gone)) {
    const std::string pid = process->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!holds_one_of(process->path(), sockets)) continue;
    PortOwner owner{std::stoi(pid), ""};
    std::ifstream comm(process->path() / "comm");
    std::getline(comm, owner.command);
    return owner;
  }
  return std::nullopt;
}

std::string port_in_use(std::string_view endpoint) {
  const auto parsed = parse_endpoint(endpoint);
  if (!parsed || parsed->transport != "tcp") return std::string(endpoint) + " is in use";
  const auto owner = port_owner(parsed->port);
  if (!owner) return fmt::format("port {} is in use (by whom cannot be seen)", parsed->port);
  return fmt::format("port {} is in use by {} (pid {})", parsed->port, owner->command, owner->pid);
}

Status check_port_free(std::string_view endpoint) {
  const auto parsed = parse_endpoint(endpoint);
  if (!parsed) return std::unexpected(parsed.error());
  if (parsed->transport != "tcp" || parsed->port == 0) return {};
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const char* host = parsed->host == "*" ? nullptr : parsed->host.c_str();
  if (getaddrinfo(host, std::to_string(parsed->port).c_str(), &hints, &list) != 0) return {};
  const unique_handle<addrinfo, freeaddrinfo> addresses(list);
  const int fd = ::socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {};
  // As libzmq does: a connection that lingers from the run before is no obstacle.
  const int yes = 1;
  (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const bool bound =
      ::bind(fd, addresses->ai_addr, addresses->ai_addrlen) == 0 && ::listen(fd, 1) == 0;
  const int why = errno;
  ::close(fd);
  if (bound) return {};
  if (why == EADDRINUSE) return fail(Errc::busy, port_in_use(endpoint));
  return fail(Errc::bad_params, fmt::format("{} cannot be bound: {}", endpoint,
                                            std::generic_category().message(why)));
}

}  // namespace tallymill
