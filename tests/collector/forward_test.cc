// The forward to the front, on real sockets. Goal: what a client hears through it is what the front
// said, in both directions, whoever is slow, leaves or breaks. Method: a real http::Server as the
// front, or one that misbehaves byte by byte, and raw clients before a second Server that forwards.
#include "collector/forward.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>

#include "base/limits.h"
#include "tests/http/raw_client.h"
#include "tests/http/raw_server.h"

namespace tallymill::collector {
namespace {

using http::Answer;
using http::Method;
using http::RawClient;
using http::RawPeer;
using http::RawServer;
using http::Request;
using http::Role;
using http::Router;
using http::Served;
using http::Socket;
using http::WireReply;
using std::chrono::milliseconds;

std::string url_of(const Served& served) {
  return "http://127.0.0.1:" + std::to_string(served.server.port());
}

// A server that forwards to this front.
struct Forwarding {
  explicit Forwarding(Forward::Options options, http::ServerOptions said = {})
      : served(Router(), std::move(said)),
        forward(served.server, served.registry, std::move(options)) {
    EXPECT_TRUE(forward.start());
    Router rows;
    forward.add_routes(rows);
    served.on_thread([&] { served.server.change(std::move(rows)); });
  }
  ~Forwarding() {
    served.server.stop();
    forward.stop();
  }
  [[nodiscard]] double outcome(const char* name) const {
    return served.metric("tallymill_collector_forwarded_total", name);
  }
  Served served;
  Forward forward;
};

// What the last request looked like to the front.
struct Seen {
  std::string target;
  http::Headers headers;
  std::string body;
};
void row(Router& router, Method method, const std::string& path, Seen& seen,
         const http::Response& response) {
  router.add({.method = method,
              .path = path,
              .role = Role::none,
              .handler = {.whole =
                              [&seen, response](Request&& request, Answer answer) {
                                seen = {request.target, request.headers, request.body};
                                answer.send(response);
                              }},
              .operation = {},
              .body_bytes = Bytes(64 << 20)});
}

TEST(Forward, AnAnswerComesAsTheFrontGaveIt) {
  Seen seen;
  Router rows;
  http::Response response{.status = 201, .type = "application/x-odd", .body = "made"};
  response.headers.add("Location", "/v1/jobs/7");
  response.headers.add("X-Several", "a");
  response.headers.add("X-Several", "b");
  response.headers.add("Cache-Control", "private");
  row(rows, Method::get, "/v1/odd/{x}", seen, response);
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  auto client = through.served.client();
  const auto reply = client.ask("GET /v1/odd/%7Eb?q=a%20b&q=%2B+c",
                                "Authorization: Bearer secret\r\nOrigin: http://127.0.0.1\r\n"
                                "Connection: X-Mine\r\nX-Mine: 1\r\nX-Theirs: 2\r\nTE: trailers\r\n"
                                "X-Request-Id: named-by-me\r\nCookie: a=b\r\n");
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.body, "made");
  EXPECT_EQ(reply.header("Content-Type"), "application/x-odd");
  EXPECT_EQ(reply.header("Location"), "/v1/jobs/7");
  EXPECT_EQ(reply.header("Cache-Control"), "private");
  EXPECT_EQ(reply.header("X-Request-Id"), "named-by-me");
  EXPECT_NE(reply.head.find("X-Several: a\r\n"), std::string::npos);
  EXPECT_NE(reply.head.find("X-Several: b\r\n"), std::string::npos);
  EXPECT_EQ(seen.target, "/v1/odd/%7Eb?q=a%20b&q=%2B+c");
  EXPECT_EQ(seen.headers.get("Authorization"), "Bearer secret");
  EXPECT_EQ(seen.headers.get("Host"), "127.0.0.1:" + std::to_string(front.server.port()));
  EXPECT_EQ(seen.headers.get("X-Request-Id"), "named-by-me");
  EXPECT_EQ(seen.headers.get("Via"), "1.1 tallymill-collector");
  EXPECT_EQ(seen.headers.get("X-Theirs"), "2");
  for (const char* dropped : {"Origin", "X-Mine", "TE", "Connection"})
    EXPECT_EQ(seen.headers.count(dropped), 0U) << dropped;
}

TEST(Forward, RefusalsMethodsAndEmptyAnswersPassThrough) {
  Seen seen;
  Router rows;
  row(rows, Method::get, "/v1/thing", seen, http::json_response({{"a", 1}}));
  row(rows, Method::del, "/v1/thing", seen, {.status = 204, .type = ""});
  row(rows, Method::put, "/v1/thing", seen, http::problem({Errc::too_big, "too much"}));
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  const auto ask = [&](const char* line, const char* fields = "") {
    auto client = through.served.client();
    return client.ask(line, fields);
  };
  EXPECT_EQ(ask("GET /v1/nothing").status, 404);
  EXPECT_EQ(ask("GET /v1").status, 404);
  const auto wrong = ask("POST /v1/thing", "Content-Length: 0\r\n");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "GET, HEAD, DELETE, PUT");
  EXPECT_EQ(ask("DELETE /v1/thing").status, 204);
  EXPECT_EQ(ask("OPTIONS /v1/thing").header("Allow"), "GET, HEAD, DELETE, PUT");
  const auto head = ask("HEAD /v1/thing");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "7");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(ask("PUT /v1/thing", "Content-Type: image/png\r\nContent-Length: 0\r\n").status, 413);
  // The door's own rules come first.
  EXPECT_EQ(ask("DELETE /v1/thing", "Origin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(ask("GET /v1/thing", "Via: 1.1 tallymill-collector\r\n").status, 508);
}

TEST(Forward, ABodyGoesThroughInPiecesWithItsLengthAndWithout) {
  Seen seen;
  Router rows;
  row(rows, Method::put, "/v1/blobs", seen, {.status = 200, .type = "text/plain", .body = "had"});
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  std::string body(3 << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
  auto known = through.served.client();
  EXPECT_EQ(
      known
          .ask("PUT /v1/blobs",
               "Content-Type: image/png\r\nContent-Length: " + std::to_string(body.size()) + "\r\n",
               body)
          .body,
      "had");
  EXPECT_TRUE(seen.body == body);
  EXPECT_EQ(seen.headers.get("Content-Length"), std::to_string(body.size()));
  seen = {};
  auto chunked = through.served.client();
  EXPECT_EQ(chunked
                .ask("PUT /v1/blobs", "Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n",
                     "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")
                .body,
            "had");
  EXPECT_EQ(seen.body, "hello world");
  EXPECT_EQ(seen.headers.get("Transfer-Encoding"), "chunked");
}

TEST(Forward, ALargeAnswerHasItsLengthAndWaitsForASlowClient) {
  const std::string large(8 << 20, 'x');
  Seen seen;
  Router rows;
  row(rows, Method::get, "/v1/large", seen,
      {.status = 200, .type = "application/octet-stream", .body = large});
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  auto client = through.served.client(65536);  // smaller windows make TCP wait by itself
  client.send(client.request("GET /v1/large"));
  const auto head = client.reply_head();
  EXPECT_EQ(head.header("Content-Length"), std::to_string(large.size()));
  // It takes nothing: what is held of it stays within the outlet and a piece.
  const auto most = static_cast<double>((limits::http_outlet_bytes + limits::http_piece).raw());
  ASSERT_TRUE(through.served.becomes(
      [&] { return through.served.metric("tallymill_http_outlet_bytes") > most / 4; }));
  for (int i = 0; i < 50; ++i) {
    through.served.on_thread([] {});
    EXPECT_LE(through.served.metric("tallymill_http_outlet_bytes"), most);
  }
  EXPECT_EQ(through.outcome("answered"), 0);
  EXPECT_TRUE(client.take(large.size()) == large);
  EXPECT_TRUE(through.served.becomes([&] { return through.outcome("answered") == 1; }));
}

TEST(Forward, EventsComeOneByOneAndWhoLeavesIsNoticed) {
  std::shared_ptr<http::Outlet> events;
  std::atomic<int> closed = 0;
  Router rows;
  http::add(rows, Method::get, "/v1/events", [&](Request&&, Answer answer) {
    events = answer.stream({.type = "text/event-stream", .body = {}});
    events->on_closed([&] { ++closed; });
    events->send("data: 0\n\n");
  });
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  auto client = through.served.client();
  client.send(client.request("GET /v1/events"));
  const auto head = client.reply_head();
  EXPECT_EQ(head.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(client.chunk(), "data: 0\n\n");
  front.on_thread([&] { return events->send("data: 1\n\n"); });
  EXPECT_EQ(client.chunk(), "data: 1\n\n");
  EXPECT_EQ(through.served.metric("tallymill_collector_forwarding"), 1);
  client.close();
  EXPECT_TRUE(front.becomes([&] { return closed == 1; }));
  EXPECT_TRUE(through.served.becomes([&] { return through.outcome("left") == 1; }));
  EXPECT_TRUE(through.served.becomes(
      [&] { return through.served.metric("tallymill_collector_forwarding") == 0; }));
}

TEST(Forward, WhoLeavesBeforeTheAnswerTakesTheQuestionBack) {
  std::vector<Answer> kept;
  std::atomic<int> gone = 0;
  Router rows;
  http::add(rows, Method::get, "/v1/later", [&](Request&&, Answer answer) {
    answer.on_leaving([&] { ++gone; });
    kept.push_back(std::move(answer));
  });
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  auto client = through.served.client();
  client.send(client.request("GET /v1/later"));
  ASSERT_TRUE(front.becomes([&] { return front.on_thread([&] { return kept.size() == 1; }); }));
  client.reset();
  EXPECT_TRUE(front.becomes([&] { return gone == 1; }));
  front.on_thread([&] { kept.front().send(http::text("too late")); });
}

TEST(Forward, AFrontThatIsAwaySilentOrBreaksIsToldAsSuch) {
  Forwarding nobody({.front = "http://127.0.0.1:1"});
  auto lost = nobody.served.client();
  const auto away = lost.ask("GET /v1/jobs");
  EXPECT_EQ(away.status, 502);
  EXPECT_EQ(away.header("Content-Type"), "application/problem+json");
  EXPECT_NE(away.body.find("E_AWAY"), std::string::npos);
  EXPECT_EQ(nobody.outcome("away"), 1);

  RawServer front([](RawPeer& peer, int) {
    const std::string head = peer.head();
    if (head.find("/v1/silent") != std::string::npos) return peer.wait_for_end();
    if (head.find("/v1/short") != std::string::npos) {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    } else if (head.find("/v1/long") != std::string::npos) {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + std::string(150000, 'x'));
    } else {
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    }
    peer.end();
  });
  Forwarding through({.front = front.url(""), .answer = milliseconds(300)});
  const auto ask = [&](const char* line) {
    auto client = through.served.client();
    return client.ask(line);
  };
  EXPECT_EQ(ask("GET /v1/silent").status, 504);
  EXPECT_EQ(through.outcome("late"), 1);
  EXPECT_EQ(ask("GET /v1/short").status, 502);
  const auto cut = ask("GET /v1/long");
  EXPECT_EQ(cut.status, 200);
  EXPECT_LT(cut.body.size(), 200000U);
  auto broken = through.served.client();
  broken.send(broken.request("GET /v1/chunks"));
  EXPECT_EQ(broken.reply_head().status, 200);
  EXPECT_EQ(broken.chunk(), "abc");
  EXPECT_TRUE(broken.ended()) << "no last chunk";
  EXPECT_EQ(through.outcome("broken"), 3);
}

TEST(Forward, AnAnswerBeforeTheBodysEndPassesThrough) {
  RawServer front([](RawPeer& peer, int) {
    (void)peer.head();
    peer.send("HTTP/1.1 413 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
    peer.end();
  });
  Forwarding through({.front = front.url("")});
  auto client = through.served.client();
  client.send(
      client.request("PUT /v1/blobs", "Content-Type: image/png\r\nContent-Length: 100000000\r\n") +
      std::string(1000, 'x'));
  const auto reply = client.reply();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.body, "much");
}

TEST(Forward, OneMoreThanMayIsToldToComeLater) {
  std::vector<Answer> kept;
  Router rows;
  http::add(rows, Method::get, "/v1/later",
            [&](Request&&, Answer answer) { kept.push_back(std::move(answer)); });
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front), .requests = 2});
  std::deque<RawClient> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.push_back(through.served.client());
    waiting.back().send(waiting.back().request("GET /v1/later"));
  }
  ASSERT_TRUE(front.becomes([&] { return front.on_thread([&] { return kept.size() == 2; }); }));
  auto third = through.served.client();
  EXPECT_EQ(third.ask("GET /v1/later").status, 503);
  EXPECT_EQ(through.outcome("full"), 1);
  front.on_thread([&] {
    for (Answer& answer : kept) answer.send(http::text("now"));
    kept.clear();
  });
  for (RawClient& one : waiting) EXPECT_EQ(one.reply().body, "now");
  auto again = through.served.client();
  again.send(again.request("GET /v1/later"));
  EXPECT_TRUE(front.becomes([&] { return front.on_thread([&] { return kept.size() == 1; }); }));
  front.on_thread([&] {
    kept.front().send(http::text("now"));
    kept.clear();
  });
  EXPECT_EQ(again.reply().status, 200);
}

TEST(Forward, ABodyIsAsLongAsItMayBeAndOneMoreByteIsRefused) {
  Seen seen;
  Router rows;
  row(rows, Method::put, "/v1/blobs", seen, {.status = 200, .type = "text/plain", .body = "had"});
  Served front(std::move(rows));
  constexpr std::size_t most = 100'000;
  Forwarding through({.front = url_of(front), .body = Bytes(most)});
  const auto put = [&](std::size_t bytes) {
    auto client = through.served.client();
    return client
        .ask("PUT /v1/blobs",
             "Content-Type: image/png\r\nContent-Length: " + std::to_string(bytes) + "\r\n",
             std::string(bytes, 'b'))
        .status;
  };
  const auto put_in_chunks = [&](std::size_t bytes) {
    auto client = through.served.client();
    return client
        .ask("PUT /v1/blobs", "Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n",
             fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", bytes, std::string(bytes, 'c')))
        .status;
  };
  EXPECT_EQ(put(most), 200);
  EXPECT_EQ(seen.body.size(), most);
  EXPECT_EQ(put_in_chunks(most), 200);
  EXPECT_TRUE(seen.body == std::string(most, 'c'));
  seen = {};
  EXPECT_EQ(put(most + 1), 413);
  EXPECT_EQ(put_in_chunks(most + 1), 413);
  EXPECT_EQ(seen.body, "") << "the front was given what is too long";
  EXPECT_EQ(put(1), 200);
}

// ---- WebSockets ----

// A front's socket that says everything back; "bye" is answered by a goodbye.
struct Echo {
  std::shared_ptr<Socket> socket;
  std::atomic<int> closed = 0;
  void rows(Router& router, const char* path, Role role = Role::none) {
    router.add({Method::get,
                path,
                role,
                {.socket =
                     [this](Request&&, std::shared_ptr<Socket> opened) {
                       socket = std::move(opened);
                       socket->on_message(
                           [held = socket](Socket::Kind kind, std::string_view said) {
                             if (said == "bye") return held->close(4001, "as you wish");
                             (void)held->send(kind, said);
                           });
                       socket->on_closed([this](int code) { closed = code; });
                     }},
                {}});
  }
};

// A client's socket and what it lived through.
class Dialled {
 public:
  explicit Dialled(http::ClientOptions options = {}) : client_(std::move(options)) {
    EXPECT_TRUE(client_.start());
  }
  std::string open(const std::string& url) {
    std::promise<std::string> told;
    client_.open_socket(url, {"tallymill.v1"}, [&](Result<std::shared_ptr<Socket>> got) {
      if (!got) return told.set_value(std::string(info(got.error().code).name));
      socket_ = std::move(*got);
      socket_->on_message([this](Socket::Kind kind, std::string_view said) {
        put((kind == Socket::Kind::text ? "text " : "binary ") + std::string(said));
      });
      socket_->on_closed([this](int code) {
        put("closed " + std::to_string(code) + " " + std::string(socket_->goodbye()));
      });
      told.set_value("open");
    });
    return told.get_future().get();
  }
  void send(Socket::Kind kind, std::string said) {
    client_.post([this, kind, said = std::move(said)] { (void)socket_->send(kind, said); });
  }
  void close(int code) {
    client_.post([this, code] { socket_->close(code, "enough"); });
  }
  std::string next() {
    std::unique_lock hold(mutex_);
    if (!came_.wait_for(hold, std::chrono::seconds(10), [&] { return !said_.empty(); }))
      return "nothing";
    std::string first = std::move(said_.front());
    said_.pop_front();
    return first;
  }

 private:
  void put(std::string what) {
    const std::lock_guard hold(mutex_);
    said_.push_back(std::move(what));
    came_.notify_one();
  }
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::string> said_;
  std::shared_ptr<Socket> socket_;
  http::Client client_;
};

constexpr const char* handshake =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

TEST(ForwardSocket, MessagesAndGoodbyesGoBothWays) {
  Echo echo;
  Router rows;
  echo.rows(rows, "/v1/ws");
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front)});
  const std::string url = url_of(through.served) + "/v1/ws?x=1";
  Dialled first;
  ASSERT_EQ(first.open(url), "open");
  first.send(Socket::Kind::text, "hello");
  EXPECT_EQ(first.next(), "text hello");
  first.send(Socket::Kind::binary, std::string(700'000, 'b'));
  EXPECT_EQ(first.next(), "binary " + std::string(700'000, 'b'));
  EXPECT_EQ(through.served.metric("tallymill_collector_forward_sockets"), 1);
  first.send(Socket::Kind::text, "bye");
  EXPECT_EQ(first.next(), "closed 4001 as you wish");
  Dialled second;
  ASSERT_EQ(second.open(url), "open");
  second.close(4002);
  EXPECT_TRUE(front.becomes([&] { return echo.closed == 4002; }));
  EXPECT_TRUE(through.served.becomes(
      [&] { return through.served.metric("tallymill_collector_forward_sockets") == 0; }));
}

TEST(ForwardSocket, WhatTheFrontRefusesOrCannotIsToldBeforeItOpens) {
  Forwarding nobody({.front = "http://127.0.0.1:1"});
  auto lost = nobody.served.client();
  EXPECT_EQ(lost.ask("GET /v1/ws", handshake).status, 502);
  Served front{Router()};
  Forwarding through({.front = url_of(front)});
  auto refused = through.served.client();
  EXPECT_EQ(refused.ask("GET /v1/ws", handshake).status, 404);
  auto plain = through.served.client();
  EXPECT_EQ(plain.ask("GET /v1/ws").status, 426);
}

TEST(ForwardSocket, OneMoreThanMayIsToldToComeLaterAlsoWhileTheFrontHasNotAnswered) {
  std::vector<Answer> asked;
  Router rows;
  rows.add({Method::get,
            "/v1/ws",
            Role::none,
            {.asked_socket = [&](Request&&, Answer answer) { asked.push_back(std::move(answer)); }},
            {}});
  Served front(std::move(rows));
  Forwarding through({.front = url_of(front), .sockets = 2});
  const std::string dial = through.served.client().request("GET /v1/ws", handshake);
  std::deque<RawClient> dialling;
  for (std::size_t i = 1; i <= 2; ++i) {
    dialling.push_back(through.served.client());
    dialling.back().send(dial);
    ASSERT_TRUE(front.becomes([&] { return front.on_thread([&] { return asked.size() == i; }); }));
  }
  EXPECT_EQ(through.served.metric("tallymill_collector_forward_sockets"), 2);
  auto third = through.served.client();
  EXPECT_EQ(third.ask("GET /v1/ws", handshake).status, 503);
  EXPECT_EQ(through.outcome("full"), 1);
  // One is opened, one refused: that one's place is free again.
  std::shared_ptr<Socket> opened;
  front.on_thread([&] {
    asked[0].open([&](std::shared_ptr<Socket> socket) { opened = std::move(socket); });
    asked[1].fail({Errc::denied, "not you"});
    asked.clear();
  });
  EXPECT_EQ(dialling[0].reply_head().status, 101);
  EXPECT_EQ(dialling[1].reply().status, 403);
  ASSERT_TRUE(through.served.becomes(
      [&] { return through.served.metric("tallymill_collector_forward_sockets") == 1; }));
  auto fourth = through.served.client();
  fourth.send(dial);
  EXPECT_TRUE(front.becomes([&] { return front.on_thread([&] { return asked.size() == 1; }); }));
  front.on_thread([&] {
    asked[0].fail({Errc::denied, "nor you"});
    asked.clear();
    opened.reset();
  });
  EXPECT_EQ(fourth.reply().status, 403);
}

TEST(ForwardSocket, AFrontThatDiesIsAGoodbyeToComeAgain) {
  Echo echo;
  Router rows;
  echo.rows(rows, "/v1/ws");
  auto front = std::make_unique<Served>(std::move(rows));
  Forwarding through({.front = url_of(*front)});
  Dialled client;
  ASSERT_EQ(client.open(url_of(through.served) + "/v1/ws"), "open");
  front->server.stop();
  const std::string said = client.next();
  EXPECT_TRUE(said.starts_with("closed 1001") || said.starts_with("closed 1013")) << said;
}

TEST(ForwardSocket, WithTokensHereAndNoneAtTheFrontTheWireIsForOperators) {
  const auto reader = http::make_token("reader", Role::read);
  const auto operates = http::make_token("boss", Role::operate);
  ASSERT_TRUE(reader && operates);
  const std::string lines = reader->line + "\n" + operates->line + "\n";
  const auto options = [&] {
    http::ServerOptions said;
    said.guard.tokens = *http::Tokens::parse(lines, "tokens");
    return said;
  };
  const auto wire = [](Forwarding& through, const http::NewToken& token) {
    Dialled client({.token = Secret(std::string(token.token.reveal()))});
    return client.open(url_of(through.served) + "/v1/wire");
  };
  Echo open_echo;
  Router open_rows;
  open_echo.rows(open_rows, "/v1/wire");
  http::add(open_rows, Method::get, "/v1/kinds",
            [](Request&&, Answer answer) { answer.send(http::json_response({})); });
  Served open_front(std::move(open_rows));
  Forwarding before_open({.front = url_of(open_front), .guarded = true}, options());
  EXPECT_EQ(wire(before_open, *reader), "E_DENIED");
  EXPECT_EQ(wire(before_open, *operates), "open");

  Echo echo;
  Router rows;
  echo.rows(rows, "/v1/wire", Role::read);
  rows.add({Method::get,
            "/v1/kinds",
            Role::read,
            {.whole = [](Request&&, Answer answer) { answer.send(http::json_response({})); }},
            {}});
  Served front(std::move(rows), options());
  Forwarding through({.front = url_of(front), .guarded = true}, options());
  EXPECT_EQ(wire(through, *reader), "open");
  EXPECT_EQ(wire(through, *operates), "open");
  auto nobody = through.served.client();
  EXPECT_EQ(nobody.ask("GET /v1/kinds").status, 401);
}

TEST(FrontUrl, IsAHostAndPortOrAUrl) {
  EXPECT_EQ(*front_url("127.0.0.1:7780"), "http://127.0.0.1:7780");
  EXPECT_EQ(*front_url("https://mill.example/below/"), "https://mill.example/below");
  for (const char* none : {"", "http://", "ws://a:1", "http://a?x", "http://u@a", "a b"})
    EXPECT_FALSE(front_url(none)) << none;
}

}  // namespace
}  // namespace tallymill::collector
