// Raw client: bytes over a POSIX socket to a server under test, and what came back taken apart, so
// that a test says exactly what a well-behaved client never would.
//
// Every wait ends after ten seconds, with what had come by then.
//
// Threads: an object belongs to one.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "http/server.h"

namespace tallymill::http {

struct WireReply {
  int status = 0;    // 0: none came
  std::string head;  // with its status line
  std::string body;

  [[nodiscard]] std::string header(std::string_view name) const {
    const std::string low = lower_case(head);
    const std::size_t at = low.find("\r\n" + lower_case(name) + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + 2 + name.size() + 2;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class RawClient {
 public:
  // Not connected yet. `receive_bytes`: a small window, so that the server feels early that nobody
  // reads.
  explicit RawClient(std::uint16_t port, int receive_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), port_(port) {
    if (receive_bytes > 0)
      (void)::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    (void)::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    const int on = 1;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        port_(other.port_),
        connected_(other.connected_),
        read_(std::move(other.read_)) {}
  RawClient& operator=(RawClient&&) = delete;

  bool connect() {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // Not FIN but RST.
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close();
  }
  void end_sending() const { ::shutdown(fd_, SHUT_WR); }

  // False: the server took no more.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // "GET /path" and fields, each with its CR LF; Host is said.
  [[nodiscard]] std::string request(std::string_view line, std::string_view fields = "") const {
    return std::string(line) + " HTTP/1.1\r\nHost: localhost:" + std::to_string(port_) + "\r\n" +
           std::string(fields) + "\r\n";
  }
  WireReply ask(std::string_view line, std::string_view fields = "", std::string_view body = "") {
    send(request(line, fields) + std::string(body));
    return reply(line.starts_with("HEAD"));
  }
  WireReply post(std::string_view path, std::string_view body, std::string fields = "") {
    fields += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size());
    return ask("POST " + std::string(path), fields + "\r\n", body);
  }

  // The next response; its status is 0 when the connection ended before it.
  WireReply reply(bool head_only = false) {
    WireReply got = reply_head();
    if (got.status == 0 || got.status < 200 || got.status == 204 || got.status == 304 || head_only)
      return got;
    if (lower_case(got.header("Transfer-Encoding")) == "chunked") {
      while (auto piece = chunk()) got.body += *piece;
    } else if (const std::string length = got.header("Content-Length"); !length.empty()) {
      got.body = take(std::stoul(length));
    } else {
      got.body = rest();
    }
    return got;
  }
  WireReply reply_head() {
    WireReply got;
    const auto end = until("\r\n\r\n");
    if (!end) return got;
    got.head = take(*end);
    if (got.head.starts_with("HTTP/1.")) got.status = std::stoi(got.head.substr(9, 3));
    return got;
  }
  // The next chunk of a body; nothing at its end, and when it broke off.
  std::optional<std::string> chunk() {
    const auto end = until("\r\n");
    if (!end) return std::nullopt;
    const std::string line = take(*end);
    std::size_t size = 0;
    (void)std::from_chars(line.data(), line.data() + line.size(), size, 16);
    std::string bytes = take(size + 2);
    if (size == 0 || bytes.size() != size + 2) return std::nullopt;
    bytes.resize(size);
    return bytes;
  }
  // So many bytes, fewer only at the end.
  std::string take(std::size_t size) {
    while (read_.size() < size && more()) {
    }
    std::string taken = read_.substr(0, size);
    read_.erase(0, taken.size());
    return taken;
  }
  std::string rest() {
    while (more()) {
    }
    return std::exchange(read_, {});
  }
  // Whether the server ended it, and nothing stands before the end.
  bool ended() { return !more() && read_.empty() && errno != EAGAIN; }

 private:
  bool more() {
    std::array<char, 65536> piece;
    errno = 0;
    ssize_t n = 0;
    do n = ::recv(fd_, piece.data(), piece.size(), 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    read_.append(piece.data(), static_cast<std::size_t>(n));
    return true;
  }
  // Behind the first of these; nothing when it does not come.
  std::optional<std::size_t> until(std::string_view mark) {
    for (;;) {
      const std::size_t at = read_.find(mark);
      if (at != std::string::npos) return at + mark.size();
      if (!more()) return std::nullopt;
    }
  }

  int fd_;
  std::uint16_t port_;
  bool connected_ = false;
  std::string read_;
};

// A server on a port of its own, with its metrics.
class Served {
 public:
  explicit Served(Router router, ServerOptions options = {})
      : server(std::move(router), std::move(options), &registry) {
    const Status opened = server.open();
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    if (opened) server.start();
  }

  [[nodiscard]] RawClient client(int receive_bytes = 0) const {
    RawClient made(server.port(), receive_bytes);
    (void)made.connect();
    return made;
  }
  // On the server's thread, and waited for.
  template <class Work>
  auto on_thread(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto done = task.get_future();
    server.post([&task] { task(); });
    return done.get();
  }
  // Of all series of this name, or of those with this label's value.
  [[nodiscard]] double metric(std::string_view name, std::string_view value = "") const {
    double sum = 0;
    for (const auto& family : registry.snapshot().families) {
      if (family.name != name) continue;
      for (const auto& sample : family.samples)
        if (value.empty() || std::ranges::any_of(sample.labels, [&](const auto& label) {
              return label.second == value;
            }))
          sum += sample.value;
    }
    return sum;
  }
  // Whether it becomes so within ten seconds.
  template <class Condition>
  bool becomes(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      on_thread([] {});  // a turn of its loop
    }
    return true;
  }

  metrics::Registry registry;
  Server server;
};

// Rows for tests, shortly.
inline void add(Router& router, Method method, std::string path,
                std::function<void(Request&&, Answer)> handler) {
  router.add({method, std::move(path), Role::none, {.whole = std::move(handler)}, {}});
}
inline Response text(std::string body) {
  return {.status = 200, .type = "text/plain", .body = std::move(body)};
}

}  // namespace tallymill::http
