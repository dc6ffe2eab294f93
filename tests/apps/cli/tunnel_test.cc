// The tunnel. Goal: to its client it is a connection like any other: whole messages both ways, word
// of when it came and went, and bounds on what waits. Method: a real server on loopback in the
// gateway's place, and a loop in the client's.
#include "apps/cli/tunnel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <mutex>

#include "base/limits.h"
#include "bus/packed_frames.h"
#include "http/server.h"

namespace tallymill::cli {
namespace {

using bus::Frames;
using bus::Link;
using What = Link::Change::What;
using Kind = http::Socket::Kind;
using std::chrono::seconds;

const SystemClock system_clock;

Frames frames_of(std::size_t bytes) {
  Frames frames;
  while (bytes > 0) {
    const std::size_t size = std::min<std::size_t>(bytes, 8 << 20);
    frames.emplace_back(size - 4);
    std::memset(frames.back().data(), 'x', size - 4);
    bytes -= size;
  }
  return frames;
}

// A server with the wire's route, whose end of the socket a test holds.
// What the system may hold of a connection, at its sender and at its receiver.
std::size_t system_bytes() {
  std::size_t most = 0;
  for (const char* name : {"/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"}) {
    std::size_t least = 0;
    std::size_t begin = 0;
    std::size_t end = 0;
    std::ifstream(name) >> least >> begin >> end;
    EXPECT_GT(end, 0) << name;
    most += end;
  }
  return most;
}

class Server {
 public:
  explicit Server(std::string listen = "127.0.0.1:0", http::GuardOptions guard = {})
      : server_(routes(), {.listen = std::move(listen), .guard = std::move(guard)}) {
    EXPECT_TRUE(server_.open());
    server_.start();
  }
  ~Server() {
    server_.stop();
    socket = nullptr;
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(server_.port());
  }
  template <class Work>
  auto on_thread(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto done = task.get_future();
    server_.post([&task] { task(); });
    return done.get();
  }
  bool send(Kind kind, const std::string& bytes) {
    return on_thread([&] { return socket && socket->send(kind, bytes); });
  }

  std::shared_ptr<http::Socket> socket;  // on its thread
  std::atomic<std::size_t> heard = 0;    // bytes
  std::mutex reading;                    // it reads while it has this

 private:
  http::Router routes() {
    http::Router router;
    router.add({http::Method::get,
                "/below/v1/wire",
                http::Role::read,
                {.socket =
                     [this](http::Request&&, std::shared_ptr<http::Socket> opened) {
                       socket = std::move(opened);
                       socket->on_message([this](Kind, std::string_view bytes) {
                         const std::lock_guard lock(reading);
                         heard += bytes.size();
                       });
                     }},
                {},
                limits::wire_message_bytes});
    return router;
  }
  http::Server server_;
};

class TunnelTest : public ::testing::Test {
 protected:
  void dial(const std::string& address, const std::string& token = "") {
    auto opened = Tunnel::to(
        {.server = "http://" + address + "/below/", .token = Secret(std::string(token))});
    ASSERT_TRUE(opened) << opened.error().message;
    tunnel = std::move(*opened);
    auto dialled = tunnel->dial(loop, {.changed = [] {}, .readable = [] {}});
    ASSERT_TRUE(dialled);
    link = std::move(*dialled);
  }
  template <class Done>
  bool run_until(Done done) {
    const Instant end = system_clock.now() + seconds(20);
    while (system_clock.now() < end) {
      if (done()) return true;
      loop.turn(std::chrono::milliseconds(5));
    }
    return false;
  }
  // Whether it takes one more, or takes none for 300 ms.
  template <class Take>
  static bool fills(Take take) {
    const Instant end = system_clock.now() + std::chrono::milliseconds(300);
    while (system_clock.now() < end)
      if (take()) return true;
    return false;
  }
  Link::Change next_change() {
    Link::Change change{What::failed, Error{Errc::deadline, "nothing came"}};
    EXPECT_TRUE(run_until([&] { return link->next(change); }));
    return change;
  }
  Frames next_message() {
    Frames frames;
    EXPECT_TRUE(run_until([&] { return link->receive(frames); }));
    return frames;
  }

  bus::Loop loop{system_clock};
  std::unique_ptr<Tunnel> tunnel;
  std::unique_ptr<Link> link;
};

TEST_F(TunnelTest, MessagesGoBothWaysWhole) {
  Server server;
  dial(server.address());
  EXPECT_EQ(next_change().what, What::connected);
  ASSERT_TRUE(link->send(frames_of(3'000'000)));
  EXPECT_TRUE(run_until([&] { return server.heard == 3'000'000; }));
  const std::string large = bus::pack_frames(frames_of(12 << 20));
  EXPECT_TRUE(server.send(Kind::binary, large));
  EXPECT_EQ(bus::pack_frames(next_message()), large);
}

TEST_F(TunnelTest, OneThatBreaksIsToldAndOneThatCannotBeMadeIsTriedAgain) {
  auto server = std::make_unique<Server>();
  const std::string address = server->address();
  dial(address);
  EXPECT_EQ(next_change().what, What::connected);
  server.reset();
  EXPECT_EQ(next_change().what, What::disconnected);

  link.reset();
  dial(address);
  const auto away = next_change();
  EXPECT_EQ(away.what, What::failed);
  EXPECT_EQ(away.why->code, Errc::away);
  server = std::make_unique<Server>(address);
  Link::Change change;
  EXPECT_TRUE(run_until([&] { return link->next(change) && change.what == What::connected; }));
}

TEST_F(TunnelTest, WhatIsNoEnvelopeBreaksIt) {
  Server server;
  for (const auto& [kind, bytes] :
       {std::pair(Kind::text, std::string("hello")), {Kind::binary, std::string("\0\0\0\7x", 5)}}) {
    dial(server.address());
    EXPECT_EQ(next_change().what, What::connected);
    EXPECT_TRUE(run_until([&] { return server.send(kind, bytes); }));
    EXPECT_EQ(next_change().what, What::disconnected);
    link.reset();
    server.on_thread([&] { server.socket = nullptr; });
  }
}

TEST_F(TunnelTest, TheServersAnswerIsTheReason) {
  const auto token = http::make_token("ci", http::Role::read);
  ASSERT_TRUE(token);
  http::GuardOptions guard;
  guard.tokens = *http::Tokens::parse(token->line + "\n", "tokens");
  Server server("127.0.0.1:0", std::move(guard));
  dial(server.address());
  EXPECT_EQ(next_change().why->code, Errc::unauthenticated);
  link.reset();
  dial(server.address(), std::string(token->token.reveal()));
  EXPECT_EQ(next_change().what, What::connected);
  link.reset();
  // Another path: no front is there.
  tunnel = std::move(*Tunnel::to({.server = "http://" + server.address()}));
  link = std::move(*tunnel->dial(loop, {.changed = [] {}, .readable = [] {}}));
  const auto change = next_change();
  EXPECT_EQ(change.why->code, Errc::away);
  EXPECT_NE(change.why->message.find("no front of Tallymill"), std::string::npos);
}

TEST_F(TunnelTest, NoMoreWaitsForTheServerThanMay) {
  Server server;
  dial(server.address());
  EXPECT_EQ(next_change().what, What::connected);
  constexpr std::size_t piece = 1 << 20;
  static_assert(limits::tunnel_out_bytes.raw() % piece == 0);
  std::size_t sent = 0;
  {
    // It does not read: the system's buffers fill up, and then the tunnel, up to its bound.
    const std::lock_guard lock(server.reading);
    while (fills([&] { return link->send(frames_of(piece)).has_value(); })) sent += piece;
    const auto most = static_cast<std::size_t>(limits::tunnel_out_bytes.raw());
    EXPECT_GT(sent, most);
    EXPECT_LE(sent, most + system_bytes() + (4U << 20)) << "what is under way, and the reader's";
    Frames frames = frames_of(5);
    const auto more = link->send(std::move(frames));
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, Errc::busy);
    // NOLINTNEXTLINE(bugprone-use-after-move): that is the question
    EXPECT_EQ(frames.size(), 1U) << "they are still the caller's";
  }
  EXPECT_TRUE(run_until([&] { return server.heard == sent; }));
}

TEST_F(TunnelTest, OfAClientThatDoesNotReadNoMoreIsTakenInThanMay) {
  Server server;
  dial(server.address());
  EXPECT_EQ(next_change().what, What::connected);
  const std::string piece = bus::pack_frames(frames_of(1 << 20));
  const auto most = static_cast<std::size_t>(limits::tunnel_in_bytes.raw());
  std::size_t sent = 0;
  while (fills([&] { return server.send(Kind::binary, piece); })) sent += piece.size();
  EXPECT_GE(sent, most);
  // And what the server holds: its outlet with one message more, and one that it is writing.
  const auto server_bytes = static_cast<std::size_t>(limits::http_outlet_bytes.raw());
  EXPECT_LE(sent, most + system_bytes() + server_bytes + 3 * piece.size());
  std::size_t got = 0;
  EXPECT_TRUE(run_until([&] {
    Frames frames;
    while (link->receive(frames)) got += bus::packed_bytes(frames);
    return got == sent;
  }));
  // It ends although somebody waits for room.
  for (std::size_t more = 0; more < 2 * most; more += piece.size())
    (void)server.send(Kind::binary, piece);
  link.reset();
  tunnel.reset();
}

TEST(Tunnel, IsOnlyMadeToWhomItMayTalk) {
  const auto code = [](std::string server, bool insecure = false) {
    const auto tunnel = Tunnel::to({.server = std::move(server), .insecure = insecure});
    return tunnel ? std::optional<Errc>() : tunnel.error().code;
  };
  for (const char* here : {"http://127.0.0.1:7780", "http://localhost:7780/", "http://[::1]:7780",
                           "https://mill.example"})
    EXPECT_EQ(code(here), std::nullopt) << here;
  for (const char* there : {"http://10.0.0.1:7780", "http://mill.example", "http://lo:7780"}) {
    EXPECT_EQ(code(there), Errc::denied) << there;
    EXPECT_EQ(code(there, true), std::nullopt) << there;
  }
  for (const char* none : {"http://", "http://me@127.0.0.1", "http://127.0.0.1?x=1"})
    EXPECT_EQ(code(none), Errc::bad_params) << none;
  EXPECT_FALSE(Tunnel::to({.server = "https://mill.example", .ca_file = "gone.pem"}));
  EXPECT_TRUE(is_http("https://a") && is_http("http://a") && is_http("HTTP://a"));
  EXPECT_TRUE(!is_http("tcp://a") && !is_http("http") && !is_http(""));
}

}  // namespace
}  // namespace tallymill::cli
