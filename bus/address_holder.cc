#include "bus/address_holder.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/address.h"

namespace tallymill::bus {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// Columns of /proc/net/tcp: sl local_address rem_address st ... inode; 0A is LISTEN.
std::string tcp_listener_inode(std::uint16_t port) {
  const std::string suffix = fmt::format(":{:04X}", port);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(table);
    for (std::string line; std::getline(in, line);) {
      const auto words = words_of(line);
      if (words.size() > 9 && words[1].ends_with(suffix) && words[3] == "0A") return words[9];
    }
  }
  return {};
}

// Columns of /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path. A connection that was
// accepted has the same path; only the listener has the flag.
std::string unix_listener_inode(const std::string& path) {
  std::ifstream in("/proc/net/unix");
  for (std::string line; std::getline(in, line);) {
    const auto words = words_of(line);
    if (words.size() > 7 && words[7] == path && words[3] == "00010000") return words[6];
  }
  return {};
}

bool has_open(const fs::path& process, const std::string& link) {
  std::error_code ignored;
  for (fs::directory_iterator fd(process / "fd", ignored), end; !ignored && fd != end;
       fd.increment(ignored)) {
    std::error_code gone;
    if (fs::read_symlink(fd->path(), gone) == link) return true;
  }
  return false;
}

}  // namespace

std::string address_holder(const std::string& endpoint) {
  const auto parsed = parse_endpoint(endpoint);
  if (!parsed) return {};
  const std::string inode = parsed->transport == "tcp" ? tcp_listener_inode(parsed->port)
                                                       : unix_listener_inode(parsed->host);
  if (inode.empty()) return {};
  const std::string link = fmt::format("socket:[{}]", inode);
  std::error_code ignored;
  for (fs::directory_iterator process("/proc", ignored), end; !ignored && process != end;
       process.increment(ignored)) {
    const std::string pid = process->path().filename();
    if (!std::ranges::all_of(pid, [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
    if (!has_open(process->path(), link)) continue;
    std::string name;
    std::ifstream(process->path() / "comm") >> name;
    return fmt::format("process {} ({})", pid, name);
  }
  return {};
}

bool ipc_answers(const std::string& endpoint) {
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

}  // namespace tallymill::bus
