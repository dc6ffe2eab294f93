// The client's requests. Goal: each request is answered once, with what its own server said or why
// nothing came, whatever the server does to the connection. Method: raw servers that break off, lie
// and keep silent; then a real Server.
#include "http/client.h"

#include <gtest/gtest.h>

#include <set>

#include "base/sha256.h"
#include "tests/http/raw_client.h"
#include "tests/http/raw_server.h"

namespace tallymill::http {
namespace {

using std::chrono::milliseconds;
using Answer200 = Result<ClientResponse>;

// A client that is started.
struct Asking {
  explicit Asking(ClientOptions options = {}) : client(std::move(options)) {
    const Status started = client.start();
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
  }
  Answer200 get(std::string url) { return client.fetch({.url = std::move(url)}); }
  Answer200 post(std::string url, std::string body) {
    ClientRequest asked{.method = Method::post, .url = std::move(url), .body = std::move(body)};
    asked.headers.add("Content-Type", "application/json");
    return client.fetch(std::move(asked));
  }
  std::future<Answer200> later(ClientRequest asked) {
    const auto told = std::make_shared<std::promise<Answer200>>();
    (void)client.request(std::move(asked),
                         [told](Answer200 got) { told->set_value(std::move(got)); });
    return told->get_future();
  }

  Client client;
};

std::string code_of(const Answer200& answer) {
  return answer ? std::to_string(answer->status) : std::string(info(answer.error().code).name);
}
std::string url_of(const Served& served, std::string_view target) {
  return "http://127.0.0.1:" + std::to_string(served.server.port()) + std::string(target);
}

// ---- servers that misbehave ----

TEST(Client, AUrlThatIsNoneIsAnError) {
  Asking asking;
  for (const char* url : {"", "localhost", "ws://127.0.0.1/", "http://a b/"})
    EXPECT_EQ(code_of(asking.get(url)), "E_PARAMS") << url;
}

TEST(Client, NobodyThereIsAway) {
  std::string nowhere;
  {
    RawServer closed([](RawPeer&, int) {});
    nowhere = closed.url();
  }
  Asking asking;
  EXPECT_EQ(code_of(asking.get(nowhere)), "E_AWAY");
  EXPECT_EQ(code_of(asking.get("http://no-such-host.invalid/")), "E_AWAY");
}

TEST(Client, WhatAServerMaySayAndWhatBecomesOfIt) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::pair<std::string, std::string> rows[] = {
      {"", "E_AWAY"},
      {"HTTP/1.1 200", "E_AWAY"},
      {ok + "Content-Le", "E_AWAY"},
      {ok + "Content-Length: 5\r\n\r\n1234", "E_AWAY"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n", "E_AWAY"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n5\r\n1234", "E_AWAY"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n", "E_AWAY"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "E_FRAME"},
      {std::string("\0\1\2\3\xff and no HTTP\r\n\r\n", 21), "E_FRAME"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", "E_FRAME"},
      {"HTTP/9.9 200 OK\r\n\r\n", "E_FRAME"},
      {ok + "no colon\r\n\r\n", "E_FRAME"},
      {ok + "Content-Length: -5\r\n\r\n", "E_FRAME"},
      {ok + "Content-Length: five\r\n\r\n", "E_FRAME"},
      {ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "E_FRAME"},
      {ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "E_FRAME"},
      {ok + "Content-Length: 99999999999999999999\r\n\r\n", "E_FRAME"},
      {ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "E_FRAME"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n-4\r\n", "E_FRAME"},
      {ok + "Content-Length: 99999999999\r\n\r\n", "E_TOO_BIG"},
      {ok + "\r\nuntil the end", "200"},
      {ok + "Content-Length: 2\r\n\r\nok", "200"},
      {ok + "Content-Length: 2\r\n\r\nok and more than it said", "200"},
      {ok + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: x\r\n\r\n", "200"},
      {"HTTP/1.0 200 OK\r\n\r\nold", "200"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + ok + "\r\n", "200"},
      {"HTTP/1.1 204 None\r\n\r\n", "204"},
      {"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", "304"},
      {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302"},
  };
  Asking asking;
  for (const auto& [said, code] : rows) {
    RawServer server([&said](RawPeer& peer, int) {
      (void)peer.head();
      peer.send(said);
    });
    const auto answer = asking.get(server.url());
    EXPECT_EQ(code_of(answer), code) << said << (answer ? "" : answer.error().message);
    EXPECT_EQ(server.connections(), 1) << said;
  }
}

TEST(Client, ASilentServerIsADeadlineWhereverItFallsSilent) {
  Asking asking({.timeout = milliseconds(30)});
  for (const char* said : {"", "HTTP/1.1 200 OK\r\nA: ", "HTTP/1.1 100 Continue\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1234",
                           "HTTP/1.1 200 OK\r\n\r\nuntil the end"}) {
    RawServer server([said](RawPeer& peer, int) {
      (void)peer.head();
      peer.send(said);
      peer.wait_for_end();
    });
    EXPECT_EQ(code_of(asking.get(server.url())), "E_DEADLINE") << said;
  }
  RawServer deaf([](RawPeer& peer, int) { peer.wait_for_end(); });
  EXPECT_EQ(code_of(asking.post(deaf.url(), std::string(10'000, 'x'))), "E_DEADLINE");
}

TEST(Client, ALateAnswerIsNoOneElses) {
  std::promise<void> second_is_asked;
  RawServer server([&](RawPeer& peer, int nth) {
    const std::string head = peer.head();
    if (nth == 0) second_is_asked.get_future().wait();
    if (nth == 1) second_is_asked.set_value();
    peer.answer(head.find("GET /first") == 0 ? "first" : "second");
    peer.wait_for_end();
  });
  Asking asking({.connections = 1});
  ClientRequest first{.url = server.url("/first"), .timeout = milliseconds(30)};
  EXPECT_EQ(code_of(asking.client.fetch(std::move(first))), "E_DEADLINE");
  EXPECT_EQ(asking.get(server.url("/second"))->body, "second");
}

TEST(Client, BytesBehindAnAnswerAreNotTheNextOne) {
  RawServer server([](RawPeer& peer, int nth) {
    while (!peer.head().empty())
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(nth) +
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX");
  });
  Asking asking({.connections = 1});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(asking.get(server.url())->body, std::to_string(i));
}

TEST(Client, AHeaderOverItsBoundIsTooBig) {
  const auto bound = static_cast<std::size_t>(limits::http_header_bytes.raw());
  Asking asking;
  const auto code = [&](const std::string& said) {
    RawServer server([&](RawPeer& peer, int) {
      (void)peer.head();
      peer.send(said);
    });
    return code_of(asking.get(server.url()));
  };
  const std::string line = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ";
  EXPECT_EQ(code(line + std::string(bound - line.size() - 4, 'x') + "\r\n\r\n"), "200");
  EXPECT_EQ(code(line + std::string(bound - line.size() - 3, 'x') + "\r\n\r\n"), "E_TOO_BIG");
  EXPECT_EQ(code("HTTP/1.1 200 " + std::string(bound, 'x') + "\r\n\r\n"), "E_TOO_BIG");
  std::string fields = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
  for (std::size_t i = 1; i < limits::http_header_fields; ++i) fields += "A: b\r\n";
  EXPECT_EQ(code(fields + "\r\n"), "200");
  EXPECT_EQ(code(fields + "A: b\r\n\r\n"), "E_TOO_BIG");
}

TEST(Client, WhatNeverEndsIsCutOff) {
  Asking asking({.body_bytes = Bytes(100'000)});
  for (const char* begin : {"HTTP/1.1 200 OK\r\nA: ", "HTTP/1.1 200 OK\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: "}) {
    RawServer server([begin](RawPeer& peer, int) {
      (void)peer.head();
      peer.send(begin);
      while (peer.send(std::string(10'000, 'x'))) {
      }
    });
    EXPECT_EQ(code_of(asking.get(server.url())), "E_TOO_BIG") << begin;
  }
}

TEST(Client, ABodyIsTakenUpToItsBound) {
  Asking asking({.body_bytes = Bytes(10)});
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  const std::pair<std::string, std::string> rows[] = {
      {ok + "Content-Length: 10\r\n\r\n0123456789", "200"},
      {ok + "Content-Length: 11\r\n\r\n0123456789a", "E_TOO_BIG"},
      {chunked + "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", "200"},
      {chunked + "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n", "E_TOO_BIG"},
      {ok + "\r\n0123456789", "200"},
      {ok + "\r\n0123456789a", "E_TOO_BIG"},
  };
  for (const auto& [said, code] : rows) {
    RawServer server([&said](RawPeer& peer, int) {
      (void)peer.head();
      peer.send(said);
    });
    EXPECT_EQ(code_of(asking.get(server.url())), code) << said;
  }
}

// ---- kept connections ----

// Answers the first request of the first connection, and hangs up on its second one.
RawServer::Script hangs_up_on_the_second(std::atomic<int>& heard) {
  return [&heard](RawPeer& peer, int nth) {
    for (int i = 0; !peer.head().empty(); ++i) {
      ++heard;
      if (nth == 0 && i == 1) return;
      peer.answer(std::to_string(nth));
    }
  };
}

TEST(Client, AGetOnAConnectionThatHadGoneStaleIsAskedAgain) {
  std::atomic<int> heard{0};
  RawServer server(hangs_up_on_the_second(heard));
  Asking asking;
  EXPECT_EQ(asking.get(server.url())->body, "0");
  EXPECT_EQ(asking.get(server.url())->body, "1");
  EXPECT_EQ(heard, 3);
}

TEST(Client, APostThatMayHaveBeenHeardIsNotSentAgain) {
  std::atomic<int> heard{0};
  RawServer server(hangs_up_on_the_second(heard));
  Asking asking;
  EXPECT_EQ(code_of(asking.post(server.url(), "")), "200");
  EXPECT_EQ(code_of(asking.post(server.url(), "")), "E_AWAY");
  EXPECT_EQ(heard, 2);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Client, APostOfWhichNothingWasSentGoesOutOnANewConnection) {
  std::promise<void> closed;
  RawServer server([&](RawPeer& peer, int nth) {
    (void)peer.head();
    peer.answer(std::to_string(nth));
    if (nth > 0) return;
    peer.end();
    closed.set_value();
  });
  Asking asking;
  EXPECT_EQ(asking.post(server.url(), "")->body, "0");
  closed.get_future().wait();
  EXPECT_EQ(asking.post(server.url(), "")->body, "1");
}

TEST(Client, AGetIsAskedAgainOnlyOnce) {
  RawServer server([](RawPeer& peer, int nth) {
    (void)peer.head();
    if (nth > 0) return;
    peer.answer("");
    (void)peer.head();
  });
  Asking asking;
  EXPECT_EQ(code_of(asking.get(server.url())), "200");
  EXPECT_EQ(code_of(asking.get(server.url())), "E_AWAY");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, AServersCloseIsObeyed) {
  RawServer server([](RawPeer& peer, int nth) {
    (void)peer.head();
    peer.answer(std::to_string(nth), "Connection: close\r\n");
    peer.wait_for_end();
  });
  Asking asking;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(asking.get(server.url())->body, std::to_string(i));
}

TEST(Client, AConnectionThatRestsIsGivenUp) {
  std::promise<void> gone;
  RawServer server([&](RawPeer& peer, int) {
    (void)peer.head();
    peer.answer("");
    peer.wait_for_end();
    gone.set_value();
  });
  Asking asking({.idle = milliseconds(5)});
  EXPECT_EQ(code_of(asking.get(server.url())), "200");
  EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

// ---- many at once ----

// Holds every answer until it is told.
struct Holding {
  Holding() {
    Router router;
    add(router, Method::get, "/{what}", [this](Request&& request, Answer answer) {
      peers.insert(request.peer);
      kept.emplace_back(std::string(request.part("what")), std::move(answer));
    });
    served.emplace(std::move(router));
  }
  bool holds(std::size_t number) {
    return served->becomes(
        [&] { return served->on_thread([&] { return kept.size(); }) == number; });
  }
  void answer_all() {
    served->on_thread([&] {
      for (auto& [what, answer] : std::exchange(kept, {})) answer.send(text(what));
    });
  }
  ~Holding() { served->server.stop(); }

  std::vector<std::pair<std::string, Answer>> kept;
  std::set<std::string> peers;
  std::optional<Served> served;
};

TEST(Client, NoMoreConnectionsThanItMayAndTheRestWaitInOrder) {
  Holding holding;
  Asking asking({.connections = 2, .waiting = 3});
  std::vector<std::future<Answer200>> answers;
  for (int i = 0; i < 5; ++i)
    answers.push_back(asking.later({.url = url_of(*holding.served, "/" + std::to_string(i))}));
  ASSERT_TRUE(holding.holds(2));
  EXPECT_EQ(code_of(asking.get(url_of(*holding.served, "/one-too-many"))), "E_BUSY");
  for (const std::size_t held : {2U, 2U, 1U}) {
    ASSERT_TRUE(holding.holds(held));
    holding.answer_all();
  }
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(answers[static_cast<std::size_t>(i)].get()->body, std::to_string(i));
  EXPECT_EQ(holding.peers.size(), 2U);
}

TEST(Client, WhoWaitsForAConnectionTooLongIsNeverSent) {
  Holding holding;
  Asking asking({.connections = 1});
  auto first = asking.later({.url = url_of(*holding.served, "/first")});
  ASSERT_TRUE(holding.holds(1));
  EXPECT_EQ(code_of(asking.client.fetch(
                {.url = url_of(*holding.served, "/late"), .timeout = milliseconds(20)})),
            "E_DEADLINE");
  auto third = asking.later({.url = url_of(*holding.served, "/third")});
  holding.answer_all();
  EXPECT_EQ(first.get()->body, "first");
  ASSERT_TRUE(holding.holds(1));
  holding.answer_all();
  EXPECT_EQ(third.get()->body, "third");
}

TEST(Client, CancelEndsWhatRunsAndWhatWaitsAndNothingElse) {
  Holding holding;
  Asking asking({.connections = 1});
  std::promise<Answer200> runs;
  std::promise<Answer200> waits;
  const auto id = asking.client.request({.url = url_of(*holding.served, "/runs")},
                                        [&](Answer200 got) { runs.set_value(std::move(got)); });
  ASSERT_TRUE(holding.holds(1));
  const auto other = asking.client.request({.url = url_of(*holding.served, "/waits")},
                                           [&](Answer200 got) { waits.set_value(std::move(got)); });
  auto third = asking.later({.url = url_of(*holding.served, "/third")});
  asking.client.cancel(other);
  EXPECT_EQ(code_of(waits.get_future().get()), "E_CANCELLED");
  asking.client.cancel(id);
  EXPECT_EQ(code_of(runs.get_future().get()), "E_CANCELLED");
  asking.client.cancel(id);
  asking.client.cancel(12345);
  ASSERT_TRUE(holding.holds(2));
  holding.answer_all();
  EXPECT_EQ(third.get()->body, "third");
}

TEST(Client, StopAnswersAllThatIsOpen) {
  Holding holding;
  Asking asking({.connections = 2});
  std::vector<std::future<Answer200>> answers;
  for (int i = 0; i < 5; ++i)
    answers.push_back(asking.later({.url = url_of(*holding.served, "/x")}));
  ASSERT_TRUE(holding.holds(2));
  asking.client.stop();
  for (auto& answer : answers) EXPECT_EQ(code_of(answer.get()), "E_CANCELLED");
  EXPECT_EQ(code_of(asking.get(url_of(*holding.served, "/x"))), "E_CANCELLED");
}

TEST(Client, OneThatWasNeverStartedStopsAndAnswersWhoAsksItThen) {
  Client client({});
  client.stop();
  EXPECT_EQ(code_of(client.fetch({.url = "http://127.0.0.1:1/"})), "E_CANCELLED");
}

// ---- a real server ----

Router plain_routes() {
  Router router;
  for (const Method method :
       {Method::get, Method::post, Method::put, Method::del, Method::options}) {
    add(router, method, "/echo", [](Request&& request, Answer answer) {
      Response response = text(std::string(name_of(request.method)) + " " + request.body);
      response.status = 201;
      response.headers.add("X-Asked", std::string(request.headers.get("X-Ask")));
      response.headers.add("X-Peer", request.peer);
      answer.send(std::move(response));
    });
  }
  add(router, Method::get, "/many",
      [](Request&&, Answer answer) { answer.send(text(std::string(3'000'000, 'x'))); });
  return router;
}

TEST(Client, EachMethodIsServedOnTheOneKeptConnection) {
  Served served(plain_routes());
  Asking asking;
  std::set<std::string> peers;
  for (const Method method :
       {Method::get, Method::head, Method::post, Method::put, Method::del, Method::options}) {
    ClientRequest asked{.method = method, .url = url_of(served, "/echo")};
    asked.headers.add("X-Ask", "why");
    asked.headers.add("Content-Type", "application/json");
    if (method != Method::get && method != Method::head) asked.body = "{}";
    const std::string body = asked.body;
    const auto answer = asking.client.fetch(std::move(asked));
    ASSERT_EQ(code_of(answer), "201") << name_of(method);
    EXPECT_EQ(answer->headers.get("x-asked"), "why");
    EXPECT_EQ(answer->body,
              method == Method::head ? "" : std::string(name_of(method)) + " " + body);
    peers.emplace(answer->headers.get("X-Peer"));
  }
  EXPECT_EQ(peers.size(), 1U);
}

TEST(Client, ManyFromManyThreadsAreEachAnswered) {
  Served served(plain_routes());
  Asking asking({.connections = 3});
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string said = std::to_string(t) + "-" + std::to_string(i);
        const auto answer = asking.post(url_of(served, "/echo"), said);
        if (answer && answer->body == "POST " + said) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST(Client, ALargeAnswerComesWhole) {
  Served served(plain_routes());
  Asking asking;
  EXPECT_EQ(asking.get(url_of(served, "/many"))->body.size(), 3'000'000U);
}

TEST(Client, ARefusalIsReadAlsoIfTheServerTookOnlyAPartOfTheBody) {
  Served served(plain_routes());
  Asking asking;
  const auto answer = asking.post(url_of(served, "/echo"), std::string((1U << 20) + 1, 'x'));
  EXPECT_EQ(code_of(answer), "413");
  EXPECT_EQ(refusal(*answer).code, Errc::too_big);
}

TEST(Client, TheTokenOpensWhatItsRoleMayDo) {
  Router router;
  router.add(
      {Method::get,
       "/me",
       Role::read,
       {.whole = [](Request&& request, Answer answer) { answer.send(text(request.caller.name)); }},
       {}});
  auto tokens = Tokens::parse("ann read " + sha256_hex("secret"), "tokens");
  ASSERT_TRUE(tokens);
  Served served(std::move(router), {.guard = {.tokens = std::move(*tokens)}});
  Asking without;
  EXPECT_EQ(code_of(without.get(url_of(served, "/me"))), "401");
  Asking with({.token = Secret("secret")});
  EXPECT_EQ(with.get(url_of(served, "/me"))->body, "ann");
}

// ---- streams ----

// What a stream said, for a test that waits.
struct Hearing {
  std::promise<void> begun;
  std::promise<Answer200> ended;
  std::string heard;
  int calls = 0;

  Client::RequestId listen(Client& client, ClientRequest asked) {
    return client.stream(
        std::move(asked),
        [this](const ClientResponse& head, std::string_view piece) {
          if (calls++ == 0) {
            EXPECT_TRUE(piece.empty());
            EXPECT_NE(head.status, 0);
            begun.set_value();
          }
          heard += piece;
        },
        [this](Answer200 got) { ended.set_value(std::move(got)); });
  }
};

struct Feeding {
  Feeding() {
    Router router;
    add(router, Method::get, "/feed", [this](Request&&, Answer answer) {
      outlet = answer.stream({.type = "text/event-stream"});
      outlet->on_closed([this] { closed.set_value(); });
    });
    served.emplace(std::move(router));
  }
  ~Feeding() { served->server.stop(); }
  void send(std::string_view piece) {
    EXPECT_TRUE(
        served->becomes([&] { return served->on_thread([&] { return outlet != nullptr; }); }));
    served->on_thread([&] { EXPECT_TRUE(outlet->send(piece)); });
  }
  std::shared_ptr<Outlet> outlet;
  std::promise<void> closed;
  std::optional<Served> served;
};

TEST(ClientStream, PiecesComeAsTheyAreSentAndTheEndBehindThem) {
  Feeding feeding;
  Asking asking({.timeout = milliseconds(5000), .body_bytes = Bytes(4)});
  Hearing hearing;
  (void)hearing.listen(asking.client, {.url = url_of(*feeding.served, "/feed")});
  hearing.begun.get_future().wait();
  feeding.send("data: one\n\n");
  feeding.send("data: two\n\n");
  feeding.served->on_thread([&] { feeding.outlet->close(); });
  const auto ended = hearing.ended.get_future().get();
  EXPECT_EQ(code_of(ended), "200");
  EXPECT_EQ(ended->body, "");
  EXPECT_EQ(ended->headers.get("Content-Type"), "text/event-stream");
  EXPECT_EQ(hearing.heard, "data: one\n\ndata: two\n\n");
}

TEST(ClientStream, SilenceIsADeadlineAndTheServerLearnsOfIt) {
  Feeding feeding;
  Asking asking({.silence = milliseconds(20)});
  Hearing hearing;
  (void)hearing.listen(asking.client, {.url = url_of(*feeding.served, "/feed")});
  EXPECT_EQ(code_of(hearing.ended.get_future().get()), "E_DEADLINE");
  feeding.closed.get_future().wait();
}

TEST(ClientStream, CancelEndsIt) {
  Feeding feeding;
  Asking asking;
  Hearing hearing;
  const auto id = hearing.listen(asking.client, {.url = url_of(*feeding.served, "/feed")});
  hearing.begun.get_future().wait();
  asking.client.cancel(id);
  EXPECT_EQ(code_of(hearing.ended.get_future().get()), "E_CANCELLED");
  feeding.closed.get_future().wait();
}

TEST(ClientStream, OneThatBreaksOffSaysSoBehindWhatCame) {
  RawServer server([](RawPeer& peer, int) {
    (void)peer.head();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  });
  Asking asking;
  Hearing hearing;
  (void)hearing.listen(asking.client, {.url = server.url()});
  EXPECT_EQ(code_of(hearing.ended.get_future().get()), "E_AWAY");
  EXPECT_EQ(hearing.heard, "abc");
}

TEST(ClientStream, WhoTakesItsTimeHoldsUpTheSender) {
  std::atomic<std::size_t> sent{0};
  RawServer server([&](RawPeer& peer, int) {
    (void)peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
    for (int i = 0; i < 50; ++i) {
      if (!peer.send(std::string(1'000'000, 'x'))) return;
      sent += 1'000'000;
    }
  });
  Asking asking;
  std::promise<void> go_on;
  auto gone_on = go_on.get_future();
  std::promise<void> held;
  std::promise<Answer200> ended;
  std::size_t heard = 0;
  (void)asking.client.stream(
      {.url = server.url()},
      [&](const ClientResponse&, std::string_view piece) {
        if (heard == 0 && !piece.empty()) {
          held.set_value();
          gone_on.wait();
        }
        heard += piece.size();
      },
      [&](Answer200 got) { ended.set_value(std::move(got)); });
  held.get_future().wait();
  EXPECT_LT(sent, 50'000'000U);  // the rest has no place to be
  go_on.set_value();
  EXPECT_EQ(code_of(ended.get_future().get()), "200");
  EXPECT_EQ(heard, 50'000'000U);
}

}  // namespace
}  // namespace tallymill::http
