// A server on the wire: WebSockets. Goal: frames that a client may send are answered, those that it
// may not end the connection with the code that says why, and no token comes back. Method: the
// handshake and the frames by hand, against a real Server.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>

#include "base/limits.h"
#include "tests/http/raw_client.h"

namespace tallymill::http {
namespace {

using std::chrono::milliseconds;

constexpr const char* handshake =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

struct Frame {
  int opcode = -1;  // -1: the connection ended
  bool last = true;
  std::string payload;
  [[nodiscard]] int code() const {
    if (opcode != 8 || payload.size() < 2) return -opcode;
    return static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
  }
};

std::string frame(int opcode, std::string_view payload, bool last = true, bool masked = true) {
  std::string bytes(1, static_cast<char>((last ? 0x80 : 0) | opcode));
  const char mask_bit = masked ? '\x80' : '\0';
  const std::size_t size = payload.size();
  if (size < 126) {
    bytes += static_cast<char>(mask_bit | static_cast<char>(size));
  } else if (size < 65536) {
    bytes += static_cast<char>(mask_bit | 126);
    bytes += {static_cast<char>(size >> 8), static_cast<char>(size)};
  } else {
    bytes += static_cast<char>(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
  }
  if (!masked) return bytes.append(payload);
  constexpr std::string_view mask = "\x11\x22\x33\x44";
  bytes += mask;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(payload[i] ^ mask[i % 4]);
  return bytes;
}
std::string goodbye(int code) {
  return frame(8, std::string{static_cast<char>(code >> 8), static_cast<char>(code)});
}

Frame next(RawClient& client) {
  Frame got;
  const std::string head = client.take(2);
  if (head.size() < 2) return got;
  EXPECT_EQ(head[1] & 0x80, 0) << "a server masks nothing";
  std::size_t size = static_cast<unsigned char>(head[1]);
  if (size > 125) {
    const std::string length = client.take(size == 126 ? 2 : 8);
    size = 0;
    for (const char c : length) size = size << 8 | static_cast<unsigned char>(c);
  }
  got.payload = client.take(size);
  got.last = (head[0] & 0x80) != 0;
  got.opcode = head[0] & 0x0f;
  return got;
}

// A route that says everything back, and remembers how it ended.
struct Echo {
  std::shared_ptr<Socket> socket;
  std::atomic<int> closed = 0;  // with which code
  std::atomic<int> calls = 0;
  std::atomic<int> drained = 0;
  std::atomic<std::size_t> heard = 0;

  Router routes() {
    Router router;
    router.add({Method::get,
                "/ws",
                Role::none,
                {.socket =
                     [this](Request&&, std::shared_ptr<Socket> opened) {
                       socket = std::move(opened);
                       socket->on_message(
                           [this, held = socket](Socket::Kind kind, std::string_view message) {
                             ++heard;
                             if (message == "bye") return held->close(4000, "bye");
                             if (message == "mute") return held->on_message(nullptr);
                             if (message != "quiet") (void)held->send(kind, message);
                           });
                       socket->on_drained([this] { ++drained; });
                       socket->on_closed([this](int code) {
                         closed = code;
                         ++calls;
                       });
                     }},
                {}});
    return router;
  }
};

// Open, behind its handshake.
RawClient open(Served& served, const std::string& fields = "", int receive_bytes = 0) {
  RawClient client = served.client(receive_bytes);
  client.send(client.request("GET /ws", handshake + fields));
  EXPECT_EQ(client.reply_head().status, 101);
  // Its handler was called: nothing was taken as the beginning of a message.
  client.send(frame(9, "open"));
  EXPECT_EQ(next(client).payload, "open");
  return client;
}
bool ends(Served& served, const Echo& echo, int code) {
  const bool well =
      served.becomes([&] { return served.on_thread([&] { return echo.calls == 1; }); });
  EXPECT_EQ(echo.closed, code);
  return well;
}

TEST(Handshake, IsRefusedWhenItIsNone) {
  Echo echo;
  Served served(echo.routes());
  const std::string most = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  for (const std::string& fields :
       {most, most + "Sec-WebSocket-Version: 13\r\n",
        most + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        std::string(handshake) + "Content-Length: 2\r\n",
        std::string(handshake) + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        std::string(handshake) + "Origin: http://evil.example\r\n"}) {
    auto client = served.client();
    const int status = client.ask("GET /ws", fields).status;
    EXPECT_TRUE(status >= 400 && status < 500) << status << " " << fields;
  }
  auto early = served.client();
  early.send(early.request("GET /ws", handshake) + frame(1, "early"));
  EXPECT_EQ(early.reply().status, 400);
  auto post = served.client();
  EXPECT_EQ(post.ask("POST /ws", handshake).status, 405);
}

TEST(Handshake, AnswersItsKeyAndTakesNoTokenForAProtocol) {
  Echo echo;
  Served served(echo.routes());
  auto client = served.client();
  client.send(client.request(
      "GET /ws",
      std::string(handshake) + "Sec-WebSocket-Protocol: tallymill.v1, bearer.c2VjcmV0\r\n"));
  const WireReply reply = client.reply_head();
  EXPECT_EQ(reply.status, 101);
  EXPECT_EQ(reply.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(reply.header("Sec-WebSocket-Protocol"), "tallymill.v1");
  EXPECT_EQ(reply.head.find("bearer"), std::string::npos);
  EXPECT_EQ(reply.head.find("c2VjcmV0"), std::string::npos);
  auto plain = served.client();
  plain.send(plain.request("GET /ws", handshake));
  EXPECT_EQ(plain.reply_head().header("Sec-WebSocket-Protocol"), "");
}

TEST(WebSocketOnTheWire, MessagesOfBothKindsAndInPieces) {
  Echo echo;
  Served served(echo.routes());
  auto client = open(served);
  client.send(frame(1, "text"));
  Frame got = next(client);
  EXPECT_EQ(got.opcode, 1);
  EXPECT_EQ(got.payload, "text");
  client.send(frame(2, std::string("\0\xff", 2)));
  got = next(client);
  EXPECT_EQ(got.opcode, 2);
  EXPECT_EQ(got.payload.size(), 2U);
  // A ping may come between the pieces.
  client.send(frame(1, "one ", false) + frame(9, "?") + frame(0, "and ", false) + frame(0, "two"));
  got = next(client);
  EXPECT_EQ(got.opcode, 10);
  EXPECT_EQ(got.payload, "?");
  EXPECT_EQ(next(client).payload, "one and two");
  client.send(goodbye(1000));
  EXPECT_EQ(next(client).code(), 1000);
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(ends(served, echo, 1000));
  served.on_thread([&] {
    EXPECT_FALSE(echo.socket->send(Socket::Kind::text, "late"));
    echo.socket->close(1000, "");
  });
  client.close();
  EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_connections") == 0; }));
  EXPECT_EQ(served.on_thread([&] { return echo.socket.use_count(); }), 1);
  EXPECT_GE(echo.drained, 1);
}

TEST(WebSocketOnTheWire, WhatNoClientMaySendEndsItWithTheCodeThatSaysWhy) {
  const std::pair<std::string, int> wrong[] = {
      {frame(1, "unmasked", true, false), 1002},
      {frame(3, "no such opcode"), 1002},
      {frame(0, "goes on with nothing"), 1002},
      {frame(1, "a", false) + frame(1, "b"), 1002},
      {frame(9, "in pieces", false), 1002},
      {frame(9, std::string(126, 'x')), 1002},
      {frame(8, "x"), 1002},
      {goodbye(1005), 1002},
      {std::string("\xc1\x80\0\0\0\0", 6), 1002},  // compressed, which was not agreed
      {frame(1, "\xff"), 1007},
      {std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14), 1009},
      {std::string("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14), 1009},
  };
  for (const auto& [bytes, code] : wrong) {
    Echo echo;
    Served served(echo.routes());
    auto client = open(served);
    client.send(bytes);
    EXPECT_EQ(next(client).code(), code) << ::testing::PrintToString(bytes.substr(0, 20));
    client.close();
    EXPECT_TRUE(served.becomes([&] { return served.on_thread([&] { return echo.calls == 1; }); }));
    EXPECT_EQ(echo.heard, 0U);
  }
}

TEST(WebSocketOnTheWire, AMessageAtTheBoundIsHeardAndOneAboveIsNot) {
  Echo echo;
  Served served(echo.routes());
  const auto bound = static_cast<std::size_t>(limits::http_socket_message_bytes.raw());
  auto client = open(served);
  client.send(frame(2, std::string(bound, 'x')));
  EXPECT_EQ(next(client).payload.size(), bound);
  client.send(frame(2, std::string(bound, 'x'), false) + frame(0, "x"));
  EXPECT_EQ(next(client).code(), 1009);
  client.close();
  EXPECT_TRUE(ends(served, echo, 1009));
}

TEST(WebSocketOnTheWire, EitherEndMayBreakOff) {
  for (const bool reset : {false, true}) {
    Echo echo;
    Served served(echo.routes());
    auto client = open(served);
    reset ? client.reset() : client.close();
    EXPECT_TRUE(ends(served, echo, 1006));
    EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_sockets") == 0; }));
  }
  Echo echo;
  {
    Served served(echo.routes());
    auto client = open(served);
    served.server.stop();
    EXPECT_EQ(echo.closed, 1001);
  }
  EXPECT_FALSE(echo.socket->send(Socket::Kind::text, "to nobody"));
  EXPECT_EQ(echo.socket->queued(), 0U);
}

TEST(WebSocketOnTheWire, WhatWaitsLeavesInOrderWithPongsBetween) {
  Echo echo;
  Served served(echo.routes());
  auto client = open(served);
  EXPECT_TRUE(
      served.becomes([&] { return served.on_thread([&] { return echo.socket != nullptr; }); }));
  const auto text_of = [](int i) {
    return std::to_string(i) + std::string(static_cast<std::size_t>(i) * 37 % 700, 'x');
  };
  int pongs = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 20; ++i) client.send(frame(9, "beat"));
    const auto tell = [&] {
      bool all = true;
      for (int i = 0; i < 100; ++i) all &= echo.socket->send(Socket::Kind::text, text_of(i));
      return all;
    };
    EXPECT_TRUE(served.on_thread(tell));
    for (int i = 0; i < 100;) {
      const Frame got = next(client);
      ASSERT_TRUE(got.opcode == 1 || got.opcode == 10) << got.opcode;
      if (got.opcode == 1)
        ASSERT_EQ(got.payload, text_of(i++));
      else
        pongs += got.payload == "beat";
    }
  }
  while (pongs < 200) {
    const Frame got = next(client);
    ASSERT_EQ(got.opcode, 10);
    ++pongs;
  }
}

TEST(WebSocketOnTheWire, AnEmptyMessageIsOneAndCostsNobodyTheConnection) {
  Echo echo;
  Served served(echo.routes(), {.transfer_grace = milliseconds(1)});
  auto client = open(served);
  client.send(frame(1, ""));
  EXPECT_EQ(next(client).opcode, 1);
  // The sweep has looked at it since.
  std::atomic<bool> later = false;
  (void)served.on_thread([&] {
    served.server.once(milliseconds(600), [&] { later = true; });
    return true;
  });
  EXPECT_TRUE(served.becomes([&] { return later.load(); }));
  client.send(frame(1, "there"));
  EXPECT_EQ(next(client).payload, "there");
}

TEST(WebSocketOnTheWire, TheServersGoodbyeComesBehindWhatItHadToSay) {
  Echo echo;
  Served served(echo.routes());
  auto client = open(served);
  served.on_thread([&] {
    EXPECT_TRUE(echo.socket->send(Socket::Kind::text, "last"));
    echo.socket->close(4001, "enough");
    echo.socket->close(4002, "twice is once");
    EXPECT_FALSE(echo.socket->send(Socket::Kind::text, "too late"));
  });
  EXPECT_EQ(next(client).payload, "last");
  const Frame bye = next(client);
  EXPECT_EQ(bye.code(), 4001);
  EXPECT_EQ(bye.payload.substr(2), "enough");
  client.send(frame(1, "unheard") + goodbye(4001));
  EXPECT_TRUE(client.ended());
  served.on_thread([] {});
  EXPECT_EQ(echo.heard, 0U);
  EXPECT_EQ(echo.calls, 0);  // it was this end that closed
}

TEST(WebSocketOnTheWire, AHandlerMayCloseAtOnceOrFromInsideOfACall) {
  Router router;
  router.add({Method::get,
              "/ws",
              Role::none,
              {.socket =
                   [](Request&&, const std::shared_ptr<Socket>& socket) {
                     socket->close(4003, std::string(200, 'x'));
                   }},
              {}});
  Served at_once(std::move(router));
  auto first = at_once.client();
  first.send(first.request("GET /ws", handshake));
  EXPECT_EQ(first.reply_head().status, 101);
  const Frame bye = next(first);
  EXPECT_EQ(bye.code(), 4003);
  EXPECT_EQ(bye.payload.size(), 125U);
  Echo echo;
  Served served(echo.routes());
  auto second = open(served);
  second.send(frame(1, "bye"));
  EXPECT_EQ(next(second).code(), 4000);
  auto third = open(served);
  third.send(frame(1, "mute") + frame(1, "unheard") + frame(9, ""));
  EXPECT_EQ(next(third).opcode, 10);
}

TEST(WebSocketOnTheWire, AServerThatLeavesSaysSo) {
  Echo echo;
  Served served(echo.routes());
  auto client = open(served);
  served.server.drain(std::chrono::seconds(10));
  EXPECT_EQ(next(client).code(), 1001);
  client.send(goodbye(1001));
  EXPECT_TRUE(client.ended());
  served.server.stop();
  EXPECT_EQ(echo.closed, 1001);
  EXPECT_EQ(echo.calls, 1);
}

TEST(WebSocketOnTheWire, CompressionIsForThoseWhoOfferItAndBoundedAsWell) {
  Echo echo;
  Served served(echo.routes(), {.socket_deflate = true});
  auto client = served.client();
  client.send(client.request(
      "GET /ws", std::string(handshake) + "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
  const WireReply reply = client.reply_head();
  EXPECT_TRUE(reply.header("Sec-WebSocket-Extensions").starts_with("permessage-deflate"));
  // "Hello", compressed: RFC 7692, 7.2.3.1.
  std::string hello = frame(1, "\xf2\x48\xcd\xc9\xc9\x07" + std::string(1, '\0'));
  hello[0] = static_cast<char>(hello[0] | 0x40);
  client.send(hello);
  EXPECT_EQ(next(client).opcode, 1);
  EXPECT_EQ(echo.heard, 1U);
}

TEST(WebSocketAbuse, WhoAnswersPingsStaysAndWhoDoesNotIsCut) {
  Echo echo;
  Served served(echo.routes(), {.ping = std::chrono::milliseconds(200)});
  auto client = open(served);
  for (int i = 0; i < 3; ++i) {
    const Frame ping = next(client);
    EXPECT_EQ(ping.opcode, 9);
    client.send(frame(10, ping.payload));
  }
  EXPECT_EQ(next(client).opcode, 9);  // this one is not answered
  EXPECT_TRUE(ends(served, echo, 1006));
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "silent"), 1);
}

TEST(WebSocketAbuse, AFloodOfSmallMessagesIsHeardAndAnswered) {
  Echo echo;
  Served served(echo.routes());
  auto client = open(served);
  std::string flood;
  for (int i = 0; i < 20'000; ++i) flood += frame(1, "quiet");
  client.send(flood + frame(1, "now"));
  EXPECT_EQ(next(client).payload, "now");
  EXPECT_EQ(echo.heard, 20'001U);
}

TEST(WebSocketAbuse, AFloodOfPingsIsAnsweredWithinBoundsAndOthersAreServed) {
  Echo echo;
  Served served(echo.routes(), {.transfer_grace = milliseconds(300)});
  auto flooding = open(served, "", 4096);
  std::string flood;
  for (int i = 0; i < 20'000; ++i) flood += frame(9, std::string(100, 'x'));
  // It reads no pong: the server stops reading, and its kernel takes what it takes.
  (void)::send(flooding.fd(), flood.data(), flood.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  auto other = open(served);
  other.send(frame(1, "served"));
  EXPECT_EQ(next(other).payload, "served");
  EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_outlet_bytes") == 0; }));
}

TEST(WebSocketAbuse, WhatWaitsBehindPongsThatNobodyReadsIsCutToo) {
  Echo echo;
  Served served(echo.routes(), {.transfer_grace = milliseconds(300)});
  auto client = open(served, "", 4096);
  const std::string ping = frame(9, std::string(120, 'x'));
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += ping;
  // Until the server has stopped to read.
  pollfd room{client.fd(), POLLOUT, 0};
  for (std::size_t at = 0; ::poll(&room, 1, 200) > 0;) {
    const ssize_t sent =
        ::send(client.fd(), flood.data() + at, flood.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) at = (at + static_cast<std::size_t>(sent)) % ping.size();
  }
  EXPECT_TRUE(
      served.becomes([&] { return served.on_thread([&] { return echo.socket != nullptr; }); }));
  const auto tell = [&] { return echo.socket->send(Socket::Kind::text, "never read"); };
  EXPECT_TRUE(served.on_thread(tell));
  EXPECT_TRUE(ends(served, echo, 1006));
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "reader_rate"), 1);
}

TEST(WebSocketAbuse, AReaderThatNeverReadsIsHeldWithinItsBoundAndThenCut) {
  Echo echo;
  Served served(echo.routes(), {.transfer_grace = milliseconds(300)});
  auto client = open(served, "", 4096);
  const std::string piece(64 * 1024, 'x');
  const auto push = [&] {
    for (int i = 0; i < 100 && echo.socket->send(Socket::Kind::binary, piece); ++i) {
    }
    return echo.calls == 1;
  };
  EXPECT_TRUE(served.becomes([&] { return served.on_thread(push); }));
  EXPECT_GE(served.metric("tallymill_http_outlets_full_total"), 1);
  EXPECT_TRUE(ends(served, echo, 1006));
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "reader_rate"), 1);
  EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_outlet_bytes") == 0; }));
}

}  // namespace
}  // namespace tallymill::http
