// The client's WebSockets. Goal: messages go both ways whole and within their bounds, and who holds
// a socket learns once how it ended. Method: raw servers that make a handshake and then misbehave;
// then a real Server.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/limits.h"
#include "base/sha256.h"
#include "http/client.h"
#include "tests/http/raw_client.h"
#include "tests/http/raw_server.h"

namespace tallymill::http {
namespace {

using std::chrono::milliseconds;
using Kind = Socket::Kind;

// What one socket of the client lived through, told to a test that waits.
class Seen {
 public:
  void open(Client& client, std::string url, std::vector<std::string> protocols = {}) {
    client.open_socket(std::move(url), std::move(protocols), [this](auto got) {
      if (got) {
        socket = *got;
        socket->on_message([this](Kind kind, std::string_view said) {
          put((kind == Kind::text ? "text " : "binary ") +
              (said.size() < 100 ? std::string(said) : std::to_string(said.size())));
        });
        socket->on_drained([this] { put("drained"); });
        socket->on_closed([this](int code) { put("closed " + std::to_string(code)); });
      }
      put(got ? "open" : std::string(info(got.error().code).name));
    });
  }
  // The next thing that happened, within ten seconds.
  std::string next() {
    std::unique_lock hold(mutex_);
    if (!came_.wait_for(hold, std::chrono::seconds(10), [&] { return !said_.empty(); }))
      return "nothing";
    std::string first = said_.front();
    said_.pop_front();
    return first;
  }
  std::size_t waiting() {
    const std::lock_guard hold(mutex_);
    return said_.size();
  }
  std::string next_but_drained() {
    std::string said = next();
    while (said == "drained") said = next();
    return said;
  }

  std::shared_ptr<Socket> socket;

 private:
  void put(std::string what) {
    const std::lock_guard hold(mutex_);
    said_.push_back(std::move(what));
    came_.notify_one();
  }
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::string> said_;
};

struct Dialling {
  explicit Dialling(ClientOptions options = {}) : client(std::move(options)) {
    EXPECT_TRUE(client.start());
  }
  // On the client's thread, and waited for.
  template <class Work>
  auto on_thread(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto done = task.get_future();
    client.post([&task] { task(); });
    return done.get();
  }
  bool send(Kind kind, std::string message) {
    return on_thread([&] { return seen.socket->send(kind, message); });
  }

  Seen seen;  // outlives the client
  Client client;
};

std::string field(const std::string& head, std::string_view name) {
  return WireReply{.status = 0, .head = head, .body = {}}.header(name);
}
std::string accepted(const std::string& head) {
  const std::string text =
      field(head, "Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::array<unsigned char, 64> base64{};
  const int size = EVP_EncodeBlock(base64.data(), digest.data(), SHA_DIGEST_LENGTH);
  return {reinterpret_cast<const char*>(base64.data()), static_cast<std::size_t>(size)};
}
bool shake_hands(RawPeer& peer, std::string_view fields = "") {
  const std::string head = peer.head();
  return peer.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: " +
      accepted(head) + "\r\n" + std::string(fields) + "\r\n");
}

// ---- servers that misbehave ----

TEST(ClientSocket, AHandshakeThatIsNoneIsAnError) {
  const std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const std::pair<std::string, std::string> rows[] = {
      {"", "E_AWAY"},
      {"HTTP/1.1 101 Switching", "E_AWAY"},
      {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "E_FRAME"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "E_FRAME"},
      {"HTTP/1.1 101 Yes\r\n" + upgrade + "\r\n", "E_FRAME"},
      {"HTTP/1.1 101 Yes\r\n" + upgrade + "Sec-WebSocket-Accept: wrong\r\n\r\n", "E_FRAME"},
      {"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "E_AUTH"},
      {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
       "E_FRAME"},
  };
  for (const auto& [said, code] : rows) {
    RawServer server([&said](RawPeer& peer, int) {
      (void)peer.head();
      peer.send(said);
    });
    Dialling dialling;
    dialling.seen.open(dialling.client, server.url("/", "ws"));
    EXPECT_EQ(dialling.seen.next(), code) << said;
  }
  Dialling dialling;
  dialling.seen.open(dialling.client, "nowhere");
  EXPECT_EQ(dialling.seen.next(), "E_PARAMS");
}

TEST(ClientSocket, ASilentHandshakeIsADeadline) {
  RawServer server([](RawPeer& peer, int) { peer.wait_for_end(); });
  Dialling dialling({.timeout = milliseconds(30)});
  dialling.seen.open(dialling.client, server.url("/", "ws"));
  EXPECT_EQ(dialling.seen.next(), "E_DEADLINE");
}

TEST(ClientSocket, AProtocolThatWasNotOfferedIsRefused) {
  RawServer server([](RawPeer& peer, int) {
    shake_hands(peer, "Sec-WebSocket-Protocol: other\r\n");
    peer.wait_for_end();
  });
  Dialling dialling;
  dialling.seen.open(dialling.client, server.url("/", "ws"), {"tallymill.v1"});
  EXPECT_EQ(dialling.seen.next(), "E_FRAME");
}

TEST(ClientSocket, HowItEndedIsToldOnce) {
  const auto bound = static_cast<std::size_t>(limits::http_socket_message_bytes.raw());
  const std::string large{'\x82', '\x7f', 0, 0, 0, 0, 0, '\x10', 0, '\x01'};  // one byte above
  const std::pair<std::string, std::string> rows[] = {
      {"", "closed 1006"},
      {"\x81", "closed 1006"},
      {std::string("\x88\x02\x03\xe9", 4), "closed 1001"},
      {std::string("\xff\x00", 2), "closed 1006"},      // reserved bits
      {std::string("\x81\x80zzzz", 6), "closed 1006"},  // a server masks nothing
      {std::string("\x81\x01\xff", 3), "closed 1006"},  // no UTF-8
      {large + std::string(bound + 1, 'x'), "closed 1009"},
  };
  for (const auto& [said, ends] : rows) {
    RawServer server([&said](RawPeer& peer, int) {
      shake_hands(peer);
      peer.send(said);
      if (said.size() > 2) (void)peer.take(2);  // its goodbye
    });
    Dialling dialling;
    dialling.seen.open(dialling.client, server.url("/", "ws"));
    EXPECT_EQ(dialling.seen.next(), "open");
    EXPECT_EQ(dialling.seen.next(), ends) << said.size();
    EXPECT_FALSE(dialling.send(Kind::text, "x"));
    dialling.client.stop();
    EXPECT_EQ(dialling.seen.waiting(), 0U) << said.size();
  }
}

TEST(ClientSocket, WhatAServerDoesNotReadWaitsUpToItsBound) {
  std::promise<void> read_on;
  RawServer server([&](RawPeer& peer, int) {
    shake_hands(peer);
    read_on.get_future().wait();
    peer.wait_for_end();
  });
  Dialling dialling;
  dialling.seen.open(dialling.client, server.url("/", "ws"));
  EXPECT_EQ(dialling.seen.next(), "open");
  const auto bound = static_cast<std::size_t>(limits::http_outlet_bytes.raw());
  const std::string piece(100'000, 'x');
  int sent = 0;
  while (sent < 1000 && dialling.send(Kind::binary, piece)) ++sent;
  EXPECT_LT(sent, 1000);
  EXPECT_LE(dialling.on_thread([&] { return dialling.seen.socket->queued(); }), bound);
  read_on.set_value();
  // The system took the first ones before: that was told too.
  bool again = false;
  while (!again && dialling.seen.next() == "drained") again = dialling.send(Kind::binary, piece);
  EXPECT_TRUE(again);
}

// ---- a real server ----

struct Echoing {
  explicit Echoing(ServerOptions options = {}) {
    Router router;
    router.add({Method::get,
                "/ws",
                Role::submit,
                {.socket =
                     [this](Request&& request, const std::shared_ptr<Socket>& socket) {
                       asked = request.headers.list("Sec-WebSocket-Protocol");
                       held = socket;
                       socket->on_closed([this](int code) { closed.set_value(code); });
                       socket->on_message([at = socket.get()](Kind kind, std::string_view said) {
                         at->send(kind, said);
                       });
                     }},
                {}});
    served.emplace(std::move(router), std::move(options));
  }
  ~Echoing() { served->server.stop(); }
  [[nodiscard]] std::string url() const {
    return "ws://127.0.0.1:" + std::to_string(served->server.port()) + "/ws";
  }

  std::string asked;
  std::shared_ptr<Socket> held;
  std::promise<int> closed;
  std::optional<Served> served;
};

TEST(ClientSocket, MessagesComeBackWholeUpToTheirBound) {
  for (const bool deflate : {false, true}) {
    Echoing echoing({.socket_deflate = deflate});
    Dialling dialling;
    dialling.seen.open(dialling.client, echoing.url(), {"other", "tallymill.v1"});
    ASSERT_EQ(dialling.seen.next(), "open");
    EXPECT_TRUE(echoing.served->becomes([&] {
      return echoing.served->on_thread([&] { return echoing.asked == "other, tallymill.v1"; });
    }));
    dialling.send(Kind::text, "hello");
    EXPECT_EQ(dialling.seen.next_but_drained(), "text hello");
    dialling.send(Kind::binary, "");
    EXPECT_EQ(dialling.seen.next_but_drained(), "binary ");
    const auto bound = static_cast<std::size_t>(limits::http_socket_message_bytes.raw());
    dialling.send(Kind::binary, std::string(bound, 'x'));
    EXPECT_EQ(dialling.seen.next_but_drained(), "binary " + std::to_string(bound));
    dialling.send(Kind::binary, std::string(bound + 1, 'x'));
    // 1009, or 1006: what the server did not read may reset the connection before its goodbye.
    EXPECT_TRUE(dialling.seen.next_but_drained().starts_with("closed 10"));
  }
}

TEST(ClientSocket, TheTokenOpensItAndARefusalSaysWhy) {
  auto tokens = Tokens::parse(
      "ann submit " + sha256_hex("secret") + "\nbob read " + sha256_hex("weak"), "tokens");
  ASSERT_TRUE(tokens);
  Echoing echoing({.guard = {.tokens = std::move(*tokens)}});
  for (const auto& [token, becomes] : {std::pair{"secret", "open"}, std::pair{"weak", "E_DENIED"},
                                       std::pair{"wrong", "E_AUTH"}, std::pair{"", "E_AUTH"}}) {
    Dialling dialling({.token = Secret(token)});
    dialling.seen.open(dialling.client, echoing.url());
    EXPECT_EQ(dialling.seen.next(), becomes) << token;
    if (dialling.seen.socket) dialling.on_thread([&] { dialling.seen.socket->close(1000, ""); });
  }
  Dialling dialling({.token = Secret("secret")});
  dialling.seen.open(dialling.client, echoing.url() + "/nothing");
  EXPECT_EQ(dialling.seen.next(), "E_NOT_FOUND");
}

TEST(ClientSocket, CloseSendsWhatWaitsFirstAndTellsTheOtherEnd) {
  Echoing echoing;
  Dialling dialling;
  dialling.seen.open(dialling.client, echoing.url());
  ASSERT_EQ(dialling.seen.next(), "open");
  dialling.on_thread([&] {
    EXPECT_TRUE(dialling.seen.socket->send(Kind::text, "last"));
    dialling.seen.socket->close(4001, "enough");
    EXPECT_FALSE(dialling.seen.socket->send(Kind::text, "more"));
  });
  EXPECT_EQ(echoing.closed.get_future().get(), 4001);
}

TEST(ClientSocket, AServerThatLeavesSaysSo) {
  Echoing echoing;
  Dialling dialling;
  dialling.seen.open(dialling.client, echoing.url());
  ASSERT_EQ(dialling.seen.next(), "open");
  echoing.served->server.drain(std::chrono::seconds(5));
  EXPECT_EQ(dialling.seen.next_but_drained(), "closed 1001");
}

TEST(ClientSocket, StopEndsIt) {
  Echoing echoing;
  Dialling dialling;
  dialling.seen.open(dialling.client, echoing.url());
  ASSERT_EQ(dialling.seen.next(), "open");
  dialling.client.stop();
  EXPECT_EQ(dialling.seen.next_but_drained(), "closed 1001");
  EXPECT_FALSE(dialling.seen.socket->send(Kind::text, "x"));
  dialling.seen.open(dialling.client, echoing.url());
  EXPECT_EQ(dialling.seen.next_but_drained(), "E_CANCELLED");
  echoing.closed.get_future().wait();
}

TEST(ClientSocket, StopAnswersOneThatIsBeingOpened) {
  std::promise<void> asked;
  RawServer server([&](RawPeer& peer, int) {
    (void)peer.head();
    asked.set_value();
    peer.wait_for_end();
  });
  Dialling dialling;
  dialling.seen.open(dialling.client, server.url("/", "ws"));
  asked.get_future().wait();
  dialling.client.stop();
  EXPECT_EQ(dialling.seen.next(), "E_CANCELLED");
}

}  // namespace
}  // namespace tallymill::http
