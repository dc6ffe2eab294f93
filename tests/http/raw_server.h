// Raw server: a port that does to its clients what a test wrote down, byte by byte, as no server
// that is well would.
//
// Each connection is a run of the script on a thread of its own; the end of the server cuts those
// that still wait.
//
// Threads: the test's, but for the script.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tallymill::http {

// A client as the raw server sees it.
class RawPeer {
 public:
  explicit RawPeer(int fd) : fd_(fd) {}

  // A request's head, with its empty line; empty when the client ended instead.
  std::string head() {
    std::size_t end = std::string::npos;
    while ((end = read_.find("\r\n\r\n")) == std::string::npos)
      if (!more()) return {};
    return taken(end + 4);
  }
  std::string take(std::size_t size) {
    while (read_.size() < size && more()) {
    }
    return taken(std::min(size, read_.size()));
  }
  // False: the client is gone.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool answer(std::string_view body, std::string_view fields = "") const {
    return send("HTTP/1.1 200 OK\r\n" + std::string(fields) +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  void end() const { ::shutdown(fd_, SHUT_RDWR); }
  // Until the client ends the connection.
  void wait_for_end() {
    while (more()) read_.clear();
  }

 private:
  bool more() {
    std::array<char, 65536> piece;
    const ssize_t n = ::recv(fd_, piece.data(), piece.size(), 0);
    if (n <= 0) return false;
    read_.append(piece.data(), static_cast<std::size_t>(n));
    return true;
  }
  std::string taken(std::size_t size) {
    std::string first = read_.substr(0, size);
    read_.erase(0, size);
    return first;
  }

  int fd_;
  std::string read_;
};

class RawServer {
 public:
  // `nth`: of its connections, from 0.
  using Script = std::function<void(RawPeer& peer, int nth)>;

  explicit RawServer(Script script)
      : script_(std::move(script)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(::bind(listening_, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
    EXPECT_EQ(::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    EXPECT_EQ(::listen(listening_, 64), 0);
    port_ = ntohs(at.sin_port);
    accepting_ = std::thread([this] { accept(); });
  }
  ~RawServer() {
    ::shutdown(listening_, SHUT_RDWR);
    accepting_.join();
    {
      const std::lock_guard hold(open_mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (auto& one : serving_) one.join();
    for (const int fd : open_) ::close(fd);
    ::close(listening_);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  [[nodiscard]] std::string url(std::string_view target = "/",
                                std::string_view scheme = "http") const {
    return std::string(scheme) + "://127.0.0.1:" + std::to_string(port_) + std::string(target);
  }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void accept() {
    for (;;) {
      const int fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const std::lock_guard hold(open_mutex_);
      open_.push_back(fd);
      serving_.emplace_back([this, fd, nth = connections_++] {
        RawPeer peer(fd);
        script_(peer, nth);
        ::shutdown(fd, SHUT_RDWR);
      });
    }
  }

  const Script script_;
  const int listening_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::mutex open_mutex_;
  std::vector<int> open_;  // closed at the end, so that no number is another's
  std::vector<std::thread> serving_;
  std::thread accepting_;
};

}  // namespace tallymill::http
