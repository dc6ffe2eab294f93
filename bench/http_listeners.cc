#include "bench/http_listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

namespace tallymill::bench {
namespace {

constexpr std::string_view upgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

int connect_to(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  TM_CHECK(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return socket;
}

// The whole frame that the text begins with: its opcode, its payload and its size; nothing: it is
// not there yet. A server's frames are not masked.
struct Frame {
  int opcode = 0;
  std::string_view payload;
  std::size_t size = 0;
};
std::optional<Frame> frame_in(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.size() < 2) return std::nullopt;
  std::size_t head = 2;
  std::size_t length = byte(1) & 0x7f;
  if (length >= 126) {
    const std::size_t bytes = length == 126 ? 2 : 8;
    if (text.size() < 2 + bytes) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < bytes; ++i) length = length << 8 | byte(2 + i);
    head += bytes;
  }
  if (text.size() < head + length) return std::nullopt;
  return Frame{byte(0) & 0x0f, text.substr(head, length), head + length};
}

std::int64_t number_behind(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  std::int64_t value = 0;
  if (at != std::string_view::npos)
    std::from_chars(text.data() + at + name.size(), text.data() + text.size(), value);
  return value;
}

}  // namespace

struct HttpListeners::One {
  One(std::uint16_t port, bool as_socket) : fd(connect_to(port)), is_socket(as_socket) {
    const std::string asked =
        fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}\r\n",
                    is_socket ? "/v1/ws" : "/v1/events", port, is_socket ? upgrade : "");
    TM_CHECK(::write(fd, asked.data(), asked.size()) == static_cast<ssize_t>(asked.size()));
    std::size_t head = std::string::npos;
    while (head == std::string::npos || text.find("\"hello\"", head) == std::string::npos) {
      std::array<char, 4096> piece{};
      const ssize_t got = ::read(fd, piece.data(), piece.size());
      TM_CHECK(got > 0);
      text.append(piece.data(), static_cast<std::size_t>(got));
      head = text.find("\r\n\r\n");
    }
    TM_CHECK(text.starts_with(is_socket ? "HTTP/1.1 101" : "HTTP/1.1 200"));
    text.erase(0, head + 4);
    TM_CHECK(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  }
  ~One() { ::close(fd); }
  One(const One&) = delete;
  One& operator=(const One&) = delete;

  int fd;
  bool is_socket;
  std::string text;  // read, and not looked through yet
  std::atomic<std::int64_t> ends = 0;
};

HttpListeners::HttpListeners(std::uint16_t port, int streams, int sockets) {
  for (int i = 0; i < streams + sockets; ++i)
    all_.push_back(std::make_unique<One>(port, i >= streams));
  thread_ = std::thread([this] {
    name_thread("listeners");
    run();
  });
}

HttpListeners::~HttpListeners() { stop(); }

void HttpListeners::stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

std::int64_t HttpListeners::fewest_ends() const {
  return (*std::ranges::min_element(all_, {}, [](const auto& one) { return one->ends.load(); }))
      ->ends;
}

void HttpListeners::run() {
  const int poller = ::epoll_create1(EPOLL_CLOEXEC);
  for (const auto& one : all_) {
    epoll_event wanted{.events = EPOLLIN, .data = {.ptr = one.get()}};
    TM_CHECK(::epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &wanted) == 0);
  }
  std::array<epoll_event, 128> ready{};
  std::array<char, 65536> piece{};
  while (!stopped_) {
    const int n = ::epoll_wait(poller, ready.data(), static_cast<int>(ready.size()), 50);
    for (int i = 0; i < n; ++i) {
      One& one = *static_cast<One*>(ready[static_cast<std::size_t>(i)].data.ptr);
      const ssize_t got = ::read(one.fd, piece.data(), piece.size());
      if (got < 0) continue;
      if (got == 0) {
        ++lost_;
        ::epoll_ctl(poller, EPOLL_CTL_DEL, one.fd, nullptr);
        continue;
      }
      one.text.append(piece.data(), static_cast<std::size_t>(got));
      heard(one, to_ns(SystemClock().wall()));
    }
  }
  ::close(poller);
}

// Whole events of what has come.
void HttpListeners::heard(One& one, std::int64_t at) {
  std::string_view rest = one.text;
  if (one.is_socket) {
    while (const auto frame = frame_in(rest)) {
      if (frame->opcode == 9) {  // a ping; masked with zeros, as the payload stays
        std::string pong{'\x8a', static_cast<char>(0x80 | frame->payload.size()), 0, 0, 0, 0};
        pong += frame->payload;
        (void)!::write(one.fd, pong.data(), pong.size());
      } else {
        event(one, frame->payload, at);
      }
      rest.remove_prefix(frame->size);
    }
  } else {
    for (std::size_t end = 0; (end = rest.find("\n\n")) != std::string_view::npos;) {
      event(one, rest.substr(0, end), at);
      rest.remove_prefix(end + 2);
    }
  }
  one.text.erase(0, one.text.size() - rest.size());
}

void HttpListeners::event(One& one, std::string_view text, std::int64_t at) {
  const std::int64_t said = number_behind(text, "\"at_unix_ns\":");
  if (said == 0) {
    gaps_ += text.find("\"gap\"") != std::string_view::npos ? 1 : 0;
    return;
  }
  (one.is_socket ? socket_lag_ : stream_lag_)
      .record(static_cast<std::uint64_t>(std::max<std::int64_t>(at - said, 0)));
  if (text.find("\"event\":\"done\"") != std::string_view::npos) ++one.ends;
}

}  // namespace tallymill::bench
