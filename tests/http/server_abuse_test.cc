// A server on the wire: abuse. Goal: whatever a stranger does has a defined outcome, costs a
// bounded amount, and leaves others served. Method: a real Server with lowered bounds; each kind of
// abuse at its limit and one above it.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <thread>
#include <vector>

#include "base/limits.h"
#include "tests/http/raw_client.h"

namespace tallymill::http {
namespace {

using std::chrono::milliseconds;

Router routes() {
  Router router;
  add(router, Method::get, "/", [](Request&&, Answer answer) { answer.send(text("ok")); });
  add(router, Method::post, "/",
      [](Request&& request, Answer answer) { answer.send(text(std::move(request.body))); });
  add(router, Method::get, "/large", [](Request&&, Answer answer) {
    answer.send({.type = "application/octet-stream", .body = std::string(100 * 1024, 'x')});
  });
  add(router, Method::get, "/huge", [](Request&&, Answer answer) {
    static const auto bytes = std::make_shared<const std::string>(32 << 20, 'x');
    answer.send({.type = "application/octet-stream", .body = Body(*bytes, bytes)});
  });
  return router;
}

bool is_served(const Served& served) {
  auto client = served.client();
  return client.ask("GET /").body == "ok";
}

void wait_a_while(Served& served, milliseconds length) {
  std::promise<void> over;
  served.on_thread([&] { served.server.once(length, [&] { over.set_value(); }); });
  over.get_future().wait();
}

TEST(SlowClient, AHeaderThatDoesNotComeIs408) {
  Served served(routes(), {.header_time = milliseconds(200)});
  auto slow = served.client();
  slow.send("GET / HTTP/1.1\r\nHost: ");
  EXPECT_EQ(slow.reply().status, 408);
  slow.close();
  auto silent = served.client();
  EXPECT_TRUE(silent.ended());  // to one who asked nothing, nothing is said
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "header_time"), 2);
}

TEST(SlowClient, OneWhoKeepsSendingIsLateAllTheSame) {
  Served served(routes(), {.header_time = milliseconds(400)});
  auto slow = served.client();
  slow.send("GET / HTTP/1.1\r\n");
  // A byte whenever the server has turned once: it never rests, and never ends its header.
  std::size_t sent = 0;
  while (served.metric("tallymill_http_cut_total", "header_time") == 0 && sent < 15'000) {
    slow.send("x");
    ++sent;
    wait_a_while(served, milliseconds(2));
  }
  EXPECT_EQ(slow.reply().status, 408);
}

TEST(SlowClient, ABodyThatDoesNotComeIs408) {
  Served served(routes(), {.transfer_grace = milliseconds(200)});
  auto slow = served.client();
  slow.send(slow.request("POST /", "Content-Type: application/json\r\nContent-Length: 10\r\n") +
            "12345");
  EXPECT_EQ(slow.reply().status, 408);
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "body_rate"), 1);
}

TEST(SlowClient, OneWhoKeepsAConnectionAndAsksNothingIsClosed) {
  Served served(routes(), {.idle = milliseconds(200)});
  auto idle = served.client();
  EXPECT_EQ(idle.ask("GET /").body, "ok");
  EXPECT_TRUE(idle.ended());
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "idle"), 1);
}

TEST(SlowClient, AReaderThatDoesNotReadIsCutAndASlowOneIsNot) {
  Served served(routes(), {.transfer_grace = milliseconds(300)});
  auto slow = served.client(4096);
  slow.send(slow.request("GET /huge"));
  auto dead = served.client(4096);
  dead.send(dead.request("GET /huge"));
  EXPECT_EQ(slow.reply_head().status, 200);
  // It reads ten times the lowest rate, and so little that no write of the server ends meanwhile.
  while (served.metric("tallymill_http_cut_total", "reader_rate") == 0) {
    EXPECT_EQ(slow.take(16 * 1024).size(), 16U * 1024);
    wait_a_while(served, milliseconds(20));
  }
  EXPECT_EQ(slow.take(1 << 20).size(), 1U << 20);
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "reader_rate"), 1);
}

TEST(Crowd, AFloodOfIdleConnectionsTakesTheirOwnPlaces) {
  Served served(routes(), {.connections = 50});
  std::vector<RawClient> flood;
  for (int i = 0; i < 300; ++i) {
    flood.push_back(served.client());
    EXPECT_TRUE(i % 50 != 0 || is_served(served)) << i;
  }
  EXPECT_TRUE(is_served(served));
  EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_connections") <= 50; }));
  EXPECT_GE(served.metric("tallymill_http_cut_total", "displaced"), 200);
  EXPECT_TRUE(flood.front().ended());  // the longest idle went first
}

TEST(Crowd, WhenAllAreInRequestsOneMoreIsToldSoAndTheyAreFinished) {
  std::vector<Answer> kept;
  Router router = routes();
  add(router, Method::get, "/later",
      [&](Request&&, Answer answer) { kept.push_back(std::move(answer)); });
  Served served(std::move(router), {.connections = 3});
  std::vector<RawClient> busy;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(served.client());
    busy.back().send(busy.back().request("GET /later"));
  }
  ASSERT_TRUE(served.becomes([&] { return served.on_thread([&] { return kept.size() == 3; }); }));
  auto fourth = served.client();
  const WireReply refused = fourth.reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "refused"), 1);
  served.on_thread([&] {
    for (Answer& answer : kept) answer.send(text("done"));
  });
  for (RawClient& client : busy) EXPECT_EQ(client.reply().body, "done");
  EXPECT_TRUE(is_served(served));
}

TEST(Header, OfItsLargestSizeIsReadAndOneByteMoreIs431) {
  Served served(routes());
  const auto bound = static_cast<std::size_t>(limits::http_header_bytes.raw());
  for (const std::size_t over : {0U, 1U, 1000U, 1'000'000U}) {
    auto client = served.client();
    const std::size_t rest = client.request("GET /", "X: \r\n").size();
    const WireReply reply =
        client.ask("GET /", "X: " + std::string(bound - rest + over, 'x') + "\r\n");
    EXPECT_EQ(reply.status, over == 0 ? 200 : 431) << over;
  }
}

TEST(Header, OfItsMostFieldsIsReadAndOneMoreIs431) {
  Served served(routes());
  for (const std::size_t over : {0U, 1U}) {
    std::string fields;
    for (std::size_t i = 1; i < limits::http_header_fields + over; ++i) fields += "X: y\r\n";
    auto client = served.client();
    EXPECT_EQ(client.ask("GET /", fields).status, over == 0 ? 200 : 431);
  }
}

// What two servers in a row may take differently. Each time the bytes behind are a request that a
// smuggler would have answered: nobody answers it.
TEST(Smuggling, WhatIsAmbiguousIsRefusedAndEndsTheConnection) {
  Served served(routes());
  const std::string json = "Content-Type: application/json\r\n";
  const std::pair<std::string, int> wrong[] = {
      {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", 400},
      {"Content-Length: 4\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 4, 4\r\n", 400},
      {"Content-Length: -1\r\n", 400},
      {"Content-Length: +4\r\n", 400},
      {"Content-Length: 0x4\r\n", 400},
      {"Content-Length: 4 4\r\n", 400},
      {"Content-Length: 18446744073709551616\r\n", 400},
      {"Content-Length: 18446744073709551615\r\n", 413},
      {"Content-Length: 99999999999999999999999999\r\n", 400},
      {"Transfer-Encoding: xchunked\r\n", 501},
      {"Transfer-Encoding: identity\r\n", 501},
      {"Transfer-Encoding: chunked, identity\r\n", 501},
      {"Transfer-Encoding: identity, chunked\r\n", 501},
      {"Transfer-Encoding: chunked, chunked\r\n", 501},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400},
      {"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", 501},
      {"Transfer-Encoding:\r\n chunked\r\n", 400},
      {"Transfer-Encoding : chunked\r\n", 400},
      {"Content-Length : 4\r\n", 400},
      {" Content-Length: 4\r\n", 400},
      {"Content-Length\r\n", 400},
      {": 4\r\n", 400},
      {"Host: localhost\r\n", 400},
      {"X: a\r\n b\r\n", 400},
      {"X: a\nContent-Length: 4\r\n", 400},
      {std::string("X: a\0b\r\n", 8), 400},
      {std::string("X\0: b\r\n", 7), 400},
      {"X: a\rb\r\n", 400},
      {"X: \x7f\r\n", 400},
  };
  for (const auto& [fields, status] : wrong) {
    auto client = served.client();
    client.send(client.request("POST /", json + fields) + "0\r\n\r\n" + client.request("GET /"));
    client.end_sending();
    EXPECT_EQ(client.reply().status, status) << fields;
    EXPECT_EQ(client.reply().status, 0) << fields;
  }
  EXPECT_TRUE(is_served(served));
}

TEST(Smuggling, ABadChunkEndsTheConnection) {
  Served served(routes());
  for (const std::string& chunk :
       {std::string("10000000000000000\r\nabc\r\n"), std::string("ffffffffffffffff\r\nabc\r\n"),
        std::string("-1\r\nabc\r\n"), std::string("0x3\r\nabc\r\n"), std::string("g\r\n"),
        std::string("3\r\nabcd\r\n"), std::string("3\nabc\n0\n\n"), std::string(" 3\r\nabc\r\n"),
        std::string("\r\n"), std::string("3;") + std::string(100'000, 'x')}) {
    auto client = served.client();
    client.send(client.request("POST /",
                               "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") +
                chunk + "0\r\n\r\n" + client.request("GET /"));
    client.end_sending();
    const int status = client.reply().status;
    EXPECT_TRUE(status == 400 || status == 413) << status << " " << chunk.substr(0, 30);
    EXPECT_EQ(client.reply().status, 0) << chunk.substr(0, 30);
  }
  EXPECT_TRUE(is_served(served));
}

// It never ends, so that nothing but the bound on what is held can end it.
TEST(Smuggling, AnEndlessExtensionOrTrailerEndsTheConnection) {
  Served served(routes());
  for (const char* chunk : {"3;", "3\r\nabc\r\n0\r\nA: "}) {
    auto client = served.client();
    client.send(client.request("POST /",
                               "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") +
                chunk + std::string(256 << 10, 'x'));
    EXPECT_EQ(client.reply().status, 400) << chunk;
    EXPECT_TRUE(client.ended()) << chunk;
  }
  EXPECT_TRUE(is_served(served));
}

// Whoever may only ask for a page would hold a place for as long as a body may take.
TEST(Smuggling, WhatIsOnlyReadHasNoBody) {
  Served served(routes());
  for (const char* fields : {"Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"})
    for (const char* line : {"GET /", "HEAD /"}) {
      auto client = served.client();
      client.send(client.request(line, fields));
      EXPECT_EQ(client.reply_head().status, 400) << line << fields;
    }
}

TEST(Smuggling, ATlsHelloIsNotWaitedFor) {
  Served served(routes());
  auto client = served.client();
  client.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_EQ(client.reply().status, 400);
  EXPECT_TRUE(client.ended());
}

TEST(Smuggling, ABodyShorterThanItSaidIsNotHandled) {
  int handled = 0;
  Router router;
  add(router, Method::post, "/", [&](Request&&, Answer answer) {
    ++handled;
    answer.send(text(""));
  });
  Served served(std::move(router));
  auto client = served.client();
  client.send(client.request("POST /", "Content-Type: application/json\r\nContent-Length: 10\r\n") +
              "123");
  client.end_sending();
  EXPECT_EQ(client.reply().status, 400);
  EXPECT_EQ(served.on_thread([&] { return handled; }), 0);
}

TEST(Smuggling, ARequestLineThatIsNoneIsRefused) {
  Served served(routes());
  const std::pair<std::string, int> lines[] = {
      {"GET  / HTTP/1.1\r\n", 400},
      {"GET /\r\n", 400},
      {"GET / HTTP/1.1 \r\n", 505},
      {"GET / http/1.1\r\n", 505},
      {" GET / HTTP/1.1\r\n", 400},
      {"GET / HTTP/1.1\n", 505},
      {"G\tT / HTTP/1.1\r\n", 400},
      {"GET /\t HTTP/1.1\r\n", 400},
      {"GET /\x80 HTTP/1.1\r\n", 400},
      {"\x16\x03\x01\x02\r\n", 400},
      {std::string("GET /\0 HTTP/1.1\r\n", 17), 400},
      {"GET http://localhost/ HTTP/1.1\r\n", 400},
      {"GET * HTTP/1.1\r\n", 400},
      {"GET /?a=%zz HTTP/1.1\r\n", 400},
      {"GET /..%5c.. HTTP/1.1\r\n", 400},
      {"PRI * HTTP/2.0\r\n", 505},
  };
  for (const auto& [line, status] : lines) {
    auto client = served.client();
    client.send(line + "Host: localhost:" + std::to_string(served.server.port()) + "\r\n\r\n");
    client.end_sending();
    EXPECT_EQ(client.reply().status, status) << line;
  }
  EXPECT_TRUE(is_served(served));
}

TEST(Flood, TenThousandPipelinedRequestsAreAnsweredInTurnsWithOthers) {
  Served served(routes());
  auto flooding = served.client();
  std::string all;
  for (int i = 0; i < 10'000; ++i) all += flooding.request("GET /");
  std::thread sender([&] { flooding.send(all); });
  EXPECT_TRUE(is_served(served));
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(flooding.reply().body, "ok") << i;
  sender.join();
}

TEST(Flood, ClientsThatResetInTheMiddleOfAnAnswerCostNothing) {
  Served served(routes());
  std::vector<RawClient> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(served.client(4096));
    clients.back().send(clients.back().request("GET /large"));
  }
  for (RawClient& client : clients) EXPECT_EQ(client.take(1000).size(), 1000U);
  for (RawClient& client : clients) client.reset();
  EXPECT_TRUE(is_served(served));
  EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_connections") == 0; }));
}

// While it lives, no descriptor can be opened but in the place of one that is closed.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const int lowest = ::dup(0);
    ::close(lowest);
    const rlimit none{.rlim_cur = static_cast<rlim_t>(lowest), .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

// To look at an object's vptr the sanitizer of undefined behaviour opens a pipe, and without a
// descriptor takes any for a bad one.
#ifdef __SANITIZE_ADDRESS__
constexpr bool looks_at_vptr = true;
#else
constexpr bool looks_at_vptr = false;
#endif

TEST(Descriptors, WithoutOneLeftItNeitherSpinsNorEndsAndServesAgainAfterwards) {
  if (looks_at_vptr) GTEST_SKIP() << "SKIPPED: a sanitizer that needs descriptors";
  Served served(routes());
  std::vector<RawClient> waiting;
  for (int i = 0; i < 3; ++i) waiting.emplace_back(served.server.port());
  {
    const NoDescriptors none;
    for (RawClient& client : waiting) {
      EXPECT_TRUE(client.connect());
      client.send(client.request("GET /"));
    }
    wait_a_while(served, milliseconds(550));
    const double failed = served.metric("tallymill_http_accepts_failed_total");
    EXPECT_GE(failed, 2);
    EXPECT_LE(failed, 6);  // one in limits::http_accept_again
  }
  for (RawClient& client : waiting) EXPECT_EQ(client.reply().body, "ok");
}

TEST(Descriptors, WithoutOneLeftTheLongestIdleGivesItsOwn) {
  if (looks_at_vptr) GTEST_SKIP() << "SKIPPED: a sanitizer that needs descriptors";
  Served served(routes());
  auto idle = served.client();
  EXPECT_EQ(idle.ask("GET /").body, "ok");
  RawClient next(served.server.port());
  const NoDescriptors none;
  EXPECT_TRUE(next.connect());
  EXPECT_EQ(next.ask("GET /").body, "ok");
  EXPECT_TRUE(idle.ended());
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "displaced"), 1);
}

}  // namespace
}  // namespace tallymill::http
