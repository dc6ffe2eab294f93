// A client on a server's thread, bodies in pieces, streams that are held, and WebSockets that are
// asked for. Goal: what a forward stands on keeps its promises when either side is slow or leaves.
// Method: real servers; the client's calls counted.
#include <gtest/gtest.h>

#include <utility>

#include "base/limits.h"
#include "http/client.h"
#include "tests/http/raw_client.h"
#include "tests/http/raw_server.h"

namespace tallymill::http {
namespace {

using std::chrono::milliseconds;

// A client that lives on the thread of a server.
struct Living {
  explicit Living(ClientOptions options = {})
      : served(Router()), client(std::move(options), served.server) {
    EXPECT_TRUE(client.start());
  }
  ~Living() {
    served.server.stop();
    client.stop();
  }
  Served served;
  Client client;
};

TEST(ClientOnServer, AsksOnItsThreadAndEndsWithIt) {
  Router rows;
  add(rows, Method::get, "/", [](Request&&, Answer answer) { answer.send(text("hello")); });
  Served other(std::move(rows));
  std::atomic<int> cancelled = 0;
  {
    RawServer silent([](RawPeer& peer, int) { peer.wait_for_end(); });
    Living living;
    std::promise<std::string> told;
    std::promise<std::thread::id> thread;
    living.client.request({.url = "http://127.0.0.1:" + std::to_string(other.server.port())},
                          [&](Result<ClientResponse> got) {
                            thread.set_value(std::this_thread::get_id());
                            told.set_value(got ? got->body : got.error().message);
                          });
    EXPECT_EQ(told.get_future().get(), "hello");
    EXPECT_EQ(thread.get_future().get(),
              living.served.on_thread([] { return std::this_thread::get_id(); }));
    for (int i = 0; i < 3; ++i)
      living.client.request({.url = silent.url()}, [&](Result<ClientResponse> got) {
        cancelled += !got && got.error().code == Errc::cancelled ? 1 : 0;
      });
    EXPECT_TRUE(living.served.becomes([&] { return silent.connections() == 3; }));
  }
  EXPECT_EQ(cancelled, 3);
}

TEST(ClientOnServer, ABodyInPiecesIsAskedForOneByOne) {
  std::string heard;
  Router rows;
  rows.add({.method = Method::post,
            .path = "/",
            .role = Role::none,
            .handler = {.whole =
                            [&](Request&& request, Answer answer) {
                              heard = std::string(request.headers.get("Content-Length")) + " " +
                                      request.body;
                              answer.send(text("had"));
                            }},
            .operation = {}});
  Served other(std::move(rows));
  Living living;
  const auto ask = [&](std::optional<std::uint64_t> length) {
    const auto feed = std::make_shared<BodyFeed>(length);
    std::promise<std::string> told;
    ClientRequest asked{.method = Method::post,
                        .url = "http://127.0.0.1:" + std::to_string(other.server.port()),
                        .feed = feed};
    asked.headers.add("Content-Type", "application/json");
    living.client.request(std::move(asked), [&](Result<ClientResponse> got) {
      told.set_value(got ? got->body : got.error().message);
    });
    living.served.server.post(
        [feed] { feed->put("one ", [feed] { feed->put("two", [feed] { feed->end(); }); }); });
    return told.get_future().get();
  };
  EXPECT_EQ(ask(7), "had");
  EXPECT_EQ(heard, "7 one two");
  EXPECT_EQ(ask(std::nullopt), "had");
  EXPECT_EQ(heard, " one two");
}

TEST(ClientOnServer, AnAnswerBeforeTheBodysEndIsHeardAndNoMoreIsAskedFor) {
  RawServer server([](RawPeer& peer, int) {
    (void)peer.head();
    peer.answer("no");
    peer.wait_for_end();
  });
  Living living;
  const auto feed = std::make_shared<BodyFeed>(1'000'000);
  std::promise<std::string> told;
  living.client.request(
      {.method = Method::put, .url = server.url(), .feed = feed},
      [&](Result<ClientResponse> got) { told.set_value(got ? got->body : got.error().message); });
  EXPECT_EQ(told.get_future().get(), "no");
}

TEST(ClientOnServer, AStreamThatIsHeldIsNotReadAndIsNotLate) {
  const std::string large(4 << 20, 'x');
  Router rows;
  add(rows, Method::get, "/", [&](Request&&, Answer answer) { answer.send(text(large)); });
  Served other(std::move(rows));
  Living living({.silence = milliseconds(100)});
  std::atomic<std::size_t> got_bytes = 0;
  std::promise<bool> ended;
  Client::RequestId id = 0;
  bool held = false;
  // On its thread, so that no piece comes before the id.
  living.served.on_thread([&] {
    id = living.client.stream(
        {.url = "http://127.0.0.1:" + std::to_string(other.server.port())},
        [&](const ClientResponse&, std::string_view piece) {
          got_bytes += piece.size();
          if (got_bytes > 0 && !std::exchange(held, true)) living.client.hold(id, true);
        },
        [&](Result<ClientResponse> end) { ended.set_value(end.has_value()); });
  });
  ASSERT_TRUE(living.served.becomes([&] { return got_bytes > 0; }));
  const std::size_t before = living.served.on_thread([&] { return got_bytes.load(); });
  const auto until = std::chrono::steady_clock::now() + milliseconds(250);
  while (std::chrono::steady_clock::now() < until) living.served.on_thread([] {});
  EXPECT_EQ(got_bytes, before);
  auto done = ended.get_future();
  while (done.wait_for(milliseconds(1)) != std::future_status::ready)
    living.served.on_thread([&] { living.client.hold(id, false); });
  EXPECT_TRUE(done.get());
  EXPECT_EQ(got_bytes, large.size());
}

// ---- the server's side ----

TEST(Stream, WithItsLengthHasNoChunksAndIsCutWhenItIsShorter) {
  Router rows;
  const auto streams = [&](const char* path, std::string body) {
    add(rows, Method::get, path, [body](Request&&, Answer answer) {
      const auto outlet = answer.stream({.type = "text/plain", .body = {}, .length = 5});
      (void)outlet->send(body);
      outlet->close();
    });
  };
  streams("/whole", "hello");
  streams("/short", "hel");
  add(rows, Method::get, "/cut", [](Request&&, Answer answer) {
    const auto outlet = answer.stream({.type = "text/plain", .body = {}});
    outlet->cut();
  });
  Served served(std::move(rows));
  auto client = served.client();
  const auto whole = client.ask("GET /whole");
  EXPECT_EQ(whole.header("Content-Length"), "5");
  EXPECT_EQ(whole.body, "hello");
  EXPECT_EQ(client.ask("HEAD /whole").header("Content-Length"), "5");
  auto other = served.client();
  other.send(other.request("GET /short"));
  EXPECT_EQ(other.reply_head().status, 200);
  EXPECT_EQ(other.rest(), "hel");
  auto third = served.client();
  third.send(third.request("GET /cut"));
  EXPECT_EQ(third.reply_head().status, 200);
  EXPECT_EQ(third.rest(), "");
}

TEST(Change, RowsAreServedFromThenOnAndOtherwiseBefore) {
  Router first;
  first.otherwise([] { return problem({Errc::busy, "not yet"}); });
  add(first, Method::get, "/a", [](Request&&, Answer answer) { answer.send(text("a")); });
  Served served(std::move(first));
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /a").body, "a");
  EXPECT_EQ(client.ask("GET /b").status, 503);
  EXPECT_EQ(client.ask("DELETE /a").status, 405);
  served.on_thread([&] {
    Router second;
    add(second, Method::get, "/b", [](Request&&, Answer answer) { answer.send(text("b")); });
    served.server.change(std::move(second));
  });
  EXPECT_EQ(client.ask("GET /a").status, 404);
  EXPECT_EQ(client.ask("GET /b").body, "b");
}

TEST(AskedSocket, OpensWhenItIsLetAndAnswersOtherwise) {
  std::shared_ptr<Socket> socket;
  Router rows;
  rows.add({.method = Method::get,
            .path = "/{what}",
            .role = Role::none,
            .handler = {.asked_socket =
                            [&](Request&& request, Answer answer) {
                              if (request.part("what") == "no")
                                return answer.fail({Errc::denied, "no"});
                              answer.open([&](std::shared_ptr<Socket> opened) {
                                socket = std::move(opened);
                                (void)socket->send(Socket::Kind::text, "welcome");
                              });
                            }},
            .operation = {}});
  Served served(std::move(rows));
  const char* handshake =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /no", handshake).status, 403);
  EXPECT_EQ(client.ask("GET /no").status, 426) << "the connection goes on";
  client.send(client.request("GET /yes", handshake));
  EXPECT_EQ(client.reply_head().status, 101);
  EXPECT_EQ(client.take(9), "\x81\x07welcome");
  served.on_thread([&] { socket.reset(); });
}

}  // namespace
}  // namespace tallymill::http
