#include "apps/cli/tunnel.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "base/address.h"
#include "base/check.h"
#include "base/limits.h"
#include "bus/packed_frames.h"
#include "http/message.h"
#include "http/url.h"

namespace tallymill::cli {
namespace {

using Change = bus::Link::Change;
using What = Change::What;
using Kind = http::Socket::Kind;

constexpr std::size_t out_bytes = static_cast<std::size_t>(limits::tunnel_out_bytes.raw());
constexpr std::size_t in_bytes = static_cast<std::size_t>(limits::tunnel_in_bytes.raw());

// What the two threads share of one WebSocket.
class Line : public std::enable_shared_from_this<Line> {
 public:
  Line() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { TM_CHECK(fd_ >= 0); }
  ~Line() { ::close(fd_); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  // ---- the client's thread ----

  [[nodiscard]] int fd() const { return fd_; }
  void clear_signal() const {
    std::uint64_t ignored = 0;
    (void)!::read(fd_, &ignored, sizeof ignored);
  }
  void signal() const {
    const std::uint64_t one = 1;
    (void)!::write(fd_, &one, sizeof one);
  }
  [[nodiscard]] bool next(Change& change) {
    const std::lock_guard lock(mutex_);
    if (changes_.empty()) return false;
    // The end of a connection comes behind what came through it.
    if (changes_.front().what == What::disconnected && !received_.empty()) return false;
    change = std::move(changes_.front());
    changes_.pop_front();
    return true;
  }
  [[nodiscard]] bool receive(bus::Frames& into) {
    const std::lock_guard lock(mutex_);
    into.clear();
    if (received_.empty()) return false;
    into = std::move(received_.front().frames);
    received_bytes_ -= received_.front().bytes;
    received_.pop_front();
    room_.notify_one();
    return true;
  }
  [[nodiscard]] bool has_more() {
    const std::lock_guard lock(mutex_);
    return !received_.empty() || !changes_.empty();
  }
  // False: as many wait as may wait.
  [[nodiscard]] bool take_room(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    if (out_bytes_ > 0 && out_bytes_ + bytes > out_bytes) return false;
    out_bytes_ += bytes;
    return true;
  }
  // Nobody listens any more: from now on nothing is told, and nothing waits.
  void leave() {
    const std::lock_guard lock(mutex_);
    left_ = true;
    room_.notify_one();
  }

  // ---- the WebSocket's thread ----

  void opened(Result<std::shared_ptr<http::Socket>> socket, const std::string& server);
  void send(std::string&& packed) {
    out_.push_back(std::move(packed));
    flush();
  }
  void close() {
    if (const auto socket = std::exchange(socket_, nullptr)) socket->close(1000, "");
  }

 private:
  void tell(Change change);
  void heard(Kind kind, std::string_view bytes);
  void flush();

  struct Received {
    bus::Frames frames;
    std::size_t bytes = 0;
  };

  const int fd_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::deque<Change> changes_;
  std::deque<Received> received_;
  std::size_t received_bytes_ = 0;
  std::size_t out_bytes_ = 0;  // of out_, and on their way to it
  bool left_ = false;

  // Of the WebSocket's thread.
  std::shared_ptr<http::Socket> socket_;
  std::deque<std::string> out_;
};

// Why there is no WebSocket, as the client is to be told it. What this server will not change its
// mind about ends the client's tries; anything else may be a front that restarts behind a proxy.
Error reason(Error&& error, const std::string& server) {
  switch (error.code) {
    case Errc::unauthenticated:
    case Errc::denied:
    case Errc::busy:
      return std::move(error);
    case Errc::away:
    case Errc::deadline:
      return {Errc::away, std::move(error.message)};
    default:
      return {Errc::away, fmt::format("{}: something answers there, but no front of Tallymill: {}",
                                      server, error.message)};
  }
}

void Line::opened(Result<std::shared_ptr<http::Socket>> socket, const std::string& server) {
  if (!socket) return tell({What::failed, reason(std::move(socket).error(), server)});
  {
    const std::lock_guard lock(mutex_);
    if (left_) return (*socket)->close(1000, "");
  }
  socket_ = std::move(*socket);
  const auto self = shared_from_this();
  socket_->on_message([self](Kind kind, std::string_view bytes) { self->heard(kind, bytes); });
  socket_->on_drained([self] { self->flush(); });
  socket_->on_closed([self](int code) {
    self->socket_.reset();
    constexpr int try_again_later = 1013;
    std::optional<Error> why;
    if (code == try_again_later)
      why = {Errc::busy, "as many clients as may speak to this server so already do"};
    self->tell({What::disconnected, std::move(why)});
  });
  tell({What::connected});
}

void Line::tell(Change change) {
  {
    const std::lock_guard lock(mutex_);
    changes_.push_back(std::move(change));
  }
  signal();
}

// Waits for room: so long nothing is read, and the server is held up.
void Line::heard(Kind kind, std::string_view bytes) {
  auto frames = kind == Kind::binary ? bus::unpack_frames(bytes)
                                     : fail(Errc::bad_frame, "a message that is text");
  if (!frames) {
    close();
    return tell({What::disconnected, Error{Errc::away, frames.error().message}});
  }
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      return left_ || received_bytes_ == 0 || received_bytes_ + bytes.size() <= in_bytes;
    });
    if (left_) return;
    received_bytes_ += bytes.size();
    received_.push_back({std::move(*frames), bytes.size()});
  }
  signal();
}

void Line::flush() {
  std::size_t sent = 0;
  while (socket_ && !out_.empty() && socket_->send(Kind::binary, out_.front())) {
    sent += out_.front().size();
    out_.pop_front();
  }
  if (sent == 0) return;
  {
    const std::lock_guard lock(mutex_);
    out_bytes_ -= sent;
  }
  signal();  // whoever found no room looks again
}

bool is_local(const http::Url& url) {
  // An interface's name to ZeroMQ, and any host's to a resolver.
  if (url.host == "lo") return false;
  const bool is_ipv6 = url.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? "[" + url.host + "]" : url.host;
  return is_loopback(fmt::format("tcp://{}:{}", host, url.port));
}

// The client's end of a Line.
class TunnelLink final : public bus::Link {
 public:
  TunnelLink(http::Client& client, std::string url, bus::Loop& loop, bus::LinkCalls calls)
      : client_(client), url_(std::move(url)), loop_(loop) {
    // Kept by the loop for as long as the call runs, which may end this.
    loop_.watch(line_->fd(),
                [alive = std::weak_ptr(alive_), line = line_, calls = std::move(calls)] {
                  line->clear_signal();
                  calls.changed();
                  if (alive.expired()) return;
                  calls.readable();
                  if (!alive.expired() && line->has_more()) line->signal();
                });
    dial();
  }
  ~TunnelLink() override {
    loop_.unwatch(line_->fd());
    if (again_ != 0) loop_.cancel(again_);
    line_->leave();
    client_.post([line = line_] { line->close(); });
  }
  TunnelLink(const TunnelLink&) = delete;
  TunnelLink& operator=(const TunnelLink&) = delete;

  bool next(Change& change) override {
    if (!line_->next(change)) return false;
    if (change.what == What::failed) {
      again_ = loop_.once(backoff_, [this] {
        again_ = 0;
        dial();
      });
      backoff_ = std::min<Duration>(2 * backoff_, limits::reconnect_slowest);
    }
    return true;
  }
  bool receive(bus::Frames& into) override { return line_->receive(into); }
  Status send(bus::Frames&& frames) override {
    if (!line_->take_room(bus::packed_bytes(frames)))
      return fail(Errc::busy, "what was sent before has not left yet");
    client_.post([line = line_, packed = bus::pack_frames(frames)]() mutable {
      line->send(std::move(packed));
    });
    return {};
  }

 private:
  void dial() {
    client_.open_socket(url_, {"tallymill.v1"},
                        [line = line_, url = url_](Result<std::shared_ptr<http::Socket>> socket) {
                          line->opened(std::move(socket), url);
                        });
  }

  http::Client& client_;
  const std::string url_;
  bus::Loop& loop_;
  const std::shared_ptr<Line> line_ = std::make_shared<Line>();
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bus::Loop::TimerId again_ = 0;
  Duration backoff_ = limits::reconnect_first;
};

}  // namespace

bool is_http(std::string_view server) {
  const std::size_t end = server.find("://");
  if (end == std::string_view::npos) return false;
  const std::string scheme = http::lower_case(server.substr(0, end));
  return scheme == "http" || scheme == "https";
}

Tunnel::Tunnel(std::string url, http::ClientOptions options)
    : url_(std::move(url)), client_(std::move(options)) {}

Result<std::unique_ptr<Tunnel>> Tunnel::to(TunnelOptions options) {
  const auto url = http::parse_url(options.server);
  if (!url) return std::unexpected(Error(url.error()).in("--server"));
  if (url->target.find('?') != std::string::npos)
    return fail(Errc::bad_params, "--server: the address of a server has no query");
  if (!url->tls && !options.insecure && !is_local(*url))
    return fail(
        Errc::denied,
        fmt::format("{} is another host, and http:// is in the clear: take https://, or say "
                    "--insecure if that is meant",
                    url->host));
  std::string base = options.server.substr(0, options.server.find('#'));
  while (base.ends_with('/')) base.pop_back();
  http::ClientOptions client;
  client.message_bytes = Bytes(static_cast<std::int64_t>(bus::most_packed_bytes));
  client.token = std::move(options.token);
  client.ca_file = std::move(options.ca_file);
  client.thread = "tunnel";
  std::unique_ptr<Tunnel> tunnel(new Tunnel(base + "/v1/wire", std::move(client)));
  if (auto started = tunnel->client_.start(); !started)
    return std::unexpected(std::move(started).error());
  return tunnel;
}

Result<std::unique_ptr<bus::Link>> Tunnel::dial(bus::Loop& loop, bus::LinkCalls calls) {
  return std::make_unique<TunnelLink>(client_, url_, loop, std::move(calls));
}

}  // namespace tallymill::cli
