#include "base/address_holder.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <vector>

#include "base/address.h"
#include "base/thread.h"

namespace tallymill {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// What listens there, as "socket:[inode]". Of a port it may be several: one for each address.
std::set<std::string> listeners(const Endpoint& endpoint) {
  std::set<std::string> found;
  // sl local_address rem_address st tx:rx tr:when retransmits uid timeout inode; 0A is LISTEN.
  const std::string port = fmt::format(":{:04X}", endpoint.port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    if (endpoint.transport != "tcp") break;
    std::ifstream in(table);
    for (std::string line; std::getline(in, line);)
      if (const auto words = words_of(line);
          words.size() > 9 && words[1].ends_with(port) && words[3] == "0A")
        found.insert("socket:[" + words[9] + "]");
  }
  // Num RefCount Protocol Flags Type St Inode Path. A connection that was accepted has the same
  // path; only the listener has the flag.
  if (endpoint.transport != "ipc") return found;
  std::ifstream in("/proc/net/unix");
  for (std::string line; std::getline(in, line);)
    if (const auto words = words_of(line);
        words.size() > 7 && words[7] == endpoint.host && words[3] == "00010000")
      found.insert("socket:[" + words[6] + "]");
  return found;
}

bool holds_one_of(const fs::path& process, const std::set<std::string>& sockets) {
  std::error_code hidden;
  for (fs::directory_iterator file(process / "fd", hidden), end; !hidden && file != end;
       file.increment(hidden)) {
    std::error_code closed;  // while we looked
    if (sockets.contains(fs::read_symlink(file->path(), closed).string())) return true;
  }
  return false;
}

// "redis-server (process 4711)"; empty when it cannot be told.
std::string holder_of(const Endpoint& endpoint) {
  const auto sockets = listeners(endpoint);
  if (sockets.empty()) return {};
  std::error_code gone;
  for (fs::directory_iterator process("/proc", gone), end; !gone && process != end;
       process.increment(gone)) {
    const std::string pid = process->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!holds_one_of(process->path(), sockets)) continue;
    std::string name;
    std::ifstream comm(process->path() / "comm");
    std::getline(comm, name);
    return fmt::format("{} (process {})", name, pid);
  }
  return {};
}

}  // namespace

std::string address_in_use(std::string_view endpoint) {
  const auto parsed = parse_endpoint(endpoint);
  const std::string holder = parsed ? holder_of(*parsed) : std::string();
  return fmt::format("{} is in use by {}", endpoint,
                     holder.empty() ? "a process that cannot be seen" : holder);
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
  if (why == EADDRINUSE) return fail(Errc::busy, address_in_use(endpoint));
  return fail(Errc::bad_params, fmt::format("{} cannot be bound: {}", endpoint,
                                            std::generic_category().message(why)));
}

bool ipc_answers(std::string_view endpoint) {
  const auto parsed = parse_endpoint(endpoint);
  if (!parsed || parsed->transport != "ipc") return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, parsed->host.data(),
              std::min(parsed->host.size(), sizeof address.sun_path - 1));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool answers =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN;  // its backlog is full: somebody is there, and busy
  ::close(fd);
  return answers;
}

}  // namespace tallymill
