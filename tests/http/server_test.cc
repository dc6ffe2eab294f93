// A server on the wire: requests and answers. Goal: what a client says in whatever pieces and order
// HTTP/1.1 allows is answered once, in order, with the status that the request earns. Method: a
// real Server on a loopback port, spoken to in raw bytes.
#include "http/server.h"

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "tests/http/raw_client.h"

namespace tallymill::http {
namespace {

Router plain_routes() {
  Router router;
  add(router, Method::get, "/hello", [](Request&&, Answer answer) { answer.send(text("hello")); });
  add(router, Method::get, "/echo/{what}", [](Request&& request, Answer answer) {
    answer.send(text(std::string(request.part("what"))));
  });
  add(router, Method::post, "/echo",
      [](Request&& request, Answer answer) { answer.send(text(std::move(request.body))); });
  add(router, Method::get, "/big", [](Request&&, Answer answer) {
    Response response = text(std::string(4000, 'x'));
    response.etag = "\"v1\"";
    answer.send(std::move(response));
  });
  add(router, Method::get, "/file", [](Request&&, Answer answer) {
    Response response = text("0123456789");
    response.type = "application/octet-stream";
    response.etag = "\"f\"";
    response.ranges = true;
    answer.send(std::move(response));
  });
  add(router, Method::get, "/drop", [](Request&&, Answer) {});
  router.add({Method::get,
              "/ws",
              Role::none,
              {.socket = [](Request&&, const std::shared_ptr<Socket>&) {}},
              {}});
  return router;
}

TEST(ServerOpen, SaysWhyNot) {
  for (const char* listen : {"nowhere", "256.0.0.1:0", "127.0.0.1:99999", "no.such.host:0"})
    EXPECT_FALSE(Server({}, {.listen = listen}).open()) << listen;
  EXPECT_EQ(Server({}, {.listen = "0.0.0.0:0"}).open().error().code, Errc::denied);
  EXPECT_TRUE(Server({}, {.listen = "0.0.0.0:0", .guard = {.insecure = true}}).open());
  for (const char* host : {"", "mill.example:http", "http://mill.example", "mill example"})
    EXPECT_EQ(Server({}, {.guard = {.hosts = {"mill.example", host}}}).open().error().code,
              Errc::bad_params)
        << host;
  const Status no_file = Server({}, {.certificate = "/no/such", .key = "/no/such"}).open();
  EXPECT_EQ(no_file.error().code, Errc::bad_params);
  Server first({}, {});
  ASSERT_TRUE(first.open());
  const std::string taken = "127.0.0.1:" + std::to_string(first.port());
  EXPECT_EQ(Server({}, {.listen = taken}).open().error().code, Errc::busy);
}

TEST(ServerOpen, OneThatWasNeverStartedStops) {
  Server server({}, {});
  server.stop();
  Server opened({}, {});
  ASSERT_TRUE(opened.open());
  opened.stop();
}

TEST(Served, StatusOfWhatIsNoRequestHere) {
  Served served(plain_routes());
  const std::pair<const char*, int> asked[] = {
      {"GET /nothing", 404},
      {"POST /hello", 405},
      {"DELETE /echo", 405},
      {"TRACE /hello", 501},
      {"PATCH /hello", 501},
      {"CONNECT localhost:1", 501},
      {"GET /ws", 426},
      {"GET http://x/", 400},
      {"GET /a/../hello", 400},
      {"GET /%2e%2e/hello", 400},
      {"GET /a%2f..%2fb", 400},
      {"GET /hello%00", 400},
      {"GET /hello%0d%0aX:", 400},
      {"GET //hello", 400},
      {"OPTIONS *", 400},
  };
  for (const auto& [line, status] : asked) {
    auto client = served.client();
    EXPECT_EQ(client.ask(line).status, status) << line;
  }
  EXPECT_EQ(served.metric("tallymill_http_requests_total", "other"), 3);
}

TEST(Served, OptionsAndAWrongMethodTellWhatIsAllowed) {
  Served served(plain_routes());
  auto client = served.client();
  const WireReply wrong = client.ask("PUT /hello");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "GET, HEAD");
  const WireReply options = client.ask("OPTIONS /hello");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.header("Allow"), "GET, HEAD");
  EXPECT_EQ(options.header("Content-Length"), "");
  EXPECT_EQ(client.ask("GET /ws").header("Upgrade"), "websocket");
}

TEST(Served, OneConnectionServesManyAndEachIsHardened) {
  Served served(plain_routes());
  auto client = served.client();
  for (int i = 0; i < 50; ++i) {
    const WireReply reply = client.ask("GET /echo/" + std::to_string(i));
    ASSERT_EQ(reply.body, std::to_string(i));
    EXPECT_EQ(reply.header("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(reply.header("Connection"), "");
    EXPECT_EQ(reply.header("X-Request-Id").size(), 16U);
  }
  EXPECT_EQ(client.ask("GET /hello", "X-Request-Id: abc-1\r\n").header("X-Request-Id"), "abc-1");
  EXPECT_EQ(client.ask("GET /hello", "X-Request-Id: a b\r\n").header("X-Request-Id").size(), 16U);
  EXPECT_EQ(served.metric("tallymill_http_connections"), 1);
  EXPECT_EQ(served.metric("tallymill_http_requests_total", "/echo/{what}"), 50);
}

TEST(Served, PipelinedRequestsAreAnsweredInOrderAlsoIfTheFirstWaits) {
  Router router = plain_routes();
  std::shared_ptr<Answer> late;
  Server* server = nullptr;
  add(router, Method::get, "/late", [&](Request&&, Answer answer) {
    late = std::make_shared<Answer>(std::move(answer));
    server->post([&] { late->send(text("late")); });
  });
  Served served(std::move(router));
  server = &served.server;
  auto client = served.client();
  std::string all = client.request("GET /late");
  for (int i = 0; i < 20; ++i) all += client.request("GET /echo/" + std::to_string(i));
  all += client.request("POST /echo", "Content-Type: application/json\r\nContent-Length: 2\r\n");
  client.send(all + "{}" + client.request("GET /hello"));
  EXPECT_EQ(client.reply().body, "late");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.reply().body, std::to_string(i));
  EXPECT_EQ(client.reply().body, "{}");
  EXPECT_EQ(client.reply().body, "hello");
}

TEST(Served, ARequestInSinglesBytesIsOne) {
  Served served(plain_routes());
  auto client = served.client();
  const std::string whole =
      client.request("POST /echo", "Content-Type: application/json\r\nContent-Length: 5\r\n") +
      "12345";
  for (const char byte : whole) client.send({&byte, 1});
  EXPECT_EQ(client.reply().body, "12345");
}

TEST(Served, HeadIsGetWithoutItsBody) {
  Served served(plain_routes());
  auto client = served.client();
  const WireReply reply = client.ask("HEAD /hello");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Length"), "5");
  EXPECT_EQ(client.ask("HEAD /nothing").status, 404);
  EXPECT_EQ(client.ask("GET /hello").body, "hello");  // what follows begins where it ought to
}

TEST(Served, Http10IsClosedUnlessItAsksToBeKept) {
  Served served(plain_routes());
  const std::string host = "Host: localhost:" + std::to_string(served.server.port()) + "\r\n";
  auto client = served.client();
  client.send("GET /hello HTTP/1.0\r\n" + host + "\r\n");
  const WireReply closed = client.reply();
  EXPECT_TRUE(closed.head.starts_with("HTTP/1.0 200"));
  EXPECT_EQ(closed.body, "hello");
  EXPECT_TRUE(client.ended());
  auto kept = served.client();
  for (int i = 0; i < 2; ++i) {
    kept.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n" + host + "\r\n");
    EXPECT_EQ(kept.reply().header("Connection"), "keep-alive");
  }
}

TEST(Served, AnotherVersionIsRefused) {
  Served served(plain_routes());
  for (const char* version : {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9"}) {
    auto client = served.client();
    client.send(std::string("GET /hello ") + version + "\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(client.reply().status, 505) << version;
    EXPECT_TRUE(client.ended());
  }
}

TEST(Served, CloseIsObeyed) {
  Served served(plain_routes());
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /hello", "Connection: close\r\n").header("Connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(Served, AChunkedBodyIsReadWhole) {
  Served served(plain_routes());
  auto client = served.client();
  const std::string fields = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
  EXPECT_EQ(
      client.ask("POST /echo", fields, "3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n")
          .body,
      "abc0123456789");
  EXPECT_EQ(client.ask("POST /echo", fields, "0\r\n\r\n").status, 200);
  EXPECT_EQ(client.ask("GET /hello").body, "hello");
}

TEST(Served, ContinueIsSaidBeforeTheBodyAndOnlyThen) {
  Served served(plain_routes());
  auto client = served.client();
  const std::string fields =
      "Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ";
  client.send(client.request("POST /echo", fields + "2\r\n"));
  EXPECT_EQ(client.reply_head().status, 100);
  client.send("{}");
  EXPECT_EQ(client.reply().body, "{}");
  // One who did not wait for it needs none.
  EXPECT_EQ(client.ask("POST /echo", fields + "2\r\n", "{}").status, 200);
  EXPECT_EQ(client.ask("POST /nothing", fields + "2\r\n").status, 404);
  auto large = served.client();
  EXPECT_EQ(large.ask("POST /echo", fields + "1048577\r\n").status, 413);
  auto other = served.client();
  EXPECT_EQ(other.ask("GET /hello", "Expect: miracles\r\n").status, 417);
}

TEST(Served, ConditionsPartsAndCompression) {
  Served served(plain_routes());
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /big", "If-None-Match: \"v1\"\r\n").status, 304);
  const WireReply packed = client.ask("GET /big", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
  EXPECT_LT(packed.body.size(), 200U);
  EXPECT_EQ(client.ask("GET /big").body.size(), 4000U);
  const WireReply part = client.ask("GET /file", "Range: bytes=2-4\r\n");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "234");
  EXPECT_EQ(client.ask("GET /file", "Range: bytes=10-\r\n").status, 416);
  EXPECT_EQ(client.ask("GET /file").header("Accept-Ranges"), "bytes");
}

TEST(Served, AnAnswerThatIsDroppedIsAnError) {
  Served served(plain_routes());
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /drop").status, 500);
  EXPECT_EQ(client.ask("GET /hello").status, 200);
}

TEST(Served, AnAnswerThatIsReplacedIsDropped) {
  Router router;
  std::optional<Answer> kept;
  add(router, Method::get, "/", [&](Request&&, Answer answer) {
    if (kept)
      *kept = std::move(answer);
    else
      kept.emplace(std::move(answer));
  });
  Served served(std::move(router));
  auto first = served.client();
  auto second = served.client();
  first.send(first.request("GET /"));
  ASSERT_TRUE(served.becomes([&] { return served.on_thread([&] { return kept.has_value(); }); }));
  second.send(second.request("GET /"));
  EXPECT_EQ(first.reply().status, 500);
  served.on_thread([&] { kept->send(text("second")); });
  EXPECT_EQ(second.reply().body, "second");
}

TEST(Served, TheGuardStandsBeforeEveryHandler) {
  Router router;
  router.add(
      {Method::get,
       "/",
       Role::read,
       {.whole = [](Request&& request, Answer answer) { answer.send(text(request.caller.name)); }},
       {}});
  router.add({Method::post,
              "/",
              Role::operate,
              {.whole = [](Request&&, Answer answer) { answer.send(text("")); }},
              {}});
  auto tokens = Tokens::parse("ann read " + sha256_hex("secret"), "tokens");
  ASSERT_TRUE(tokens);
  Served served(std::move(router), {.guard = {.tokens = std::move(*tokens)}});
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /").status, 401);
  EXPECT_EQ(client.ask("GET /", "Authorization: Bearer wrong\r\n").status, 401);
  EXPECT_EQ(client.ask("GET /", "Authorization: Bearer secret\r\n").body, "ann");
  EXPECT_EQ(client.ask("POST /", "Authorization: Bearer secret\r\n").status, 403);
  EXPECT_EQ(client.ask("POST /", "Origin: http://evil.example\r\n").status, 403);
  auto rebound = served.client();
  rebound.send("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_EQ(rebound.reply().status, 421);
  rebound.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(rebound.reply().status, 400);
}

}  // namespace
}  // namespace tallymill::http
