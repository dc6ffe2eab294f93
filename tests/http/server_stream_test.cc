// A server on the wire: what takes time. Goal: an answer given later, a stream and a body in pieces
// keep their promises whoever leaves first: client, handler or server. Method: a real Server, raw
// bytes; handlers keep what they were given and the test drives them on the server's thread.
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>

#include "base/limits.h"
#include "tests/http/raw_client.h"

namespace tallymill::http {
namespace {

using std::chrono::milliseconds;

// A route that keeps each Answer.
struct Kept {
  std::vector<Answer> answers;
  std::atomic<int> gone = 0;

  void route(Router& router) {
    add(router, Method::get, "/later", [this](Request&&, Answer answer) {
      answer.on_leaving([this] { ++gone; });
      answers.push_back(std::move(answer));
    });
  }
  bool comes(Served& served, std::size_t count) {
    return served.becomes(
        [&] { return served.on_thread([&] { return answers.size() == count; }); });
  }
};

// A route of Server-Sent Events.
struct Streams {
  std::shared_ptr<Outlet> outlet;
  std::atomic<int> drained = 0;
  std::atomic<int> closed = 0;

  void route(Router& router) {
    add(router, Method::get, "/events", [this](Request&&, Answer answer) {
      outlet = answer.stream({.type = "text/event-stream", .body = {}});
      outlet->on_drained([this, held = outlet] { ++drained; });
      outlet->on_closed([this, held = outlet] { ++closed; });
    });
  }
};

// A server of one such route.
template <class Route>
Served serving(Route& route, ServerOptions options = {}) {
  Router router;
  route.route(router);
  return Served(std::move(router), std::move(options));
}

TEST(Later, IsAnsweredFromAnotherThreadByPost) {
  Kept kept;
  Served served = serving(kept);
  auto client = served.client();
  client.send(client.request("GET /later"));
  ASSERT_TRUE(kept.comes(served, 1));
  EXPECT_EQ(served.metric("tallymill_http_requests_in_flight"), 1);
  served.server.post([&] { kept.answers[0].send(text("at last")); });
  EXPECT_EQ(client.reply().body, "at last");
  EXPECT_EQ(kept.gone, 0);
}

// A closed socket and one that only sends no more look the same from here: a reset does not.
TEST(Later, AClientThatLeavesIsToldOnceAndAnAnswerToItGoesNowhere) {
  Kept kept;
  Served served = serving(kept);
  for (const bool reset : {false, true}) {
    auto client = served.client();
    client.send(client.request("GET /later"));
    ASSERT_TRUE(kept.comes(served, 1));
    reset ? client.reset() : client.close();
    ASSERT_TRUE(served.becomes([&] { return kept.gone == 1; }));
    served.on_thread([&] {
      int at_once = 0;
      kept.answers[0].on_leaving([&] { ++at_once; });
      EXPECT_EQ(at_once, 1);
      kept.answers[0].send(text("to nobody"));
      kept.answers.clear();
    });
    EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_connections") == 0; }));
    EXPECT_EQ(kept.gone.exchange(0), 1);
  }
}

TEST(Later, AClientThatSendsNoMoreIsToldOnceAndReadsItsAnswer) {
  Kept kept;
  Served served = serving(kept);
  auto client = served.client();
  client.send(client.request("GET /later"));
  client.end_sending();
  ASSERT_TRUE(kept.comes(served, 1));
  ASSERT_TRUE(served.becomes([&] { return kept.gone == 1; }));
  served.on_thread([&] { kept.answers[0].send(text("all the same")); });
  EXPECT_EQ(client.reply().body, "all the same");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(kept.gone, 1);
}

TEST(Later, AClientThatSendsNoMoreBehindOtherBytesIsToldToo) {
  Kept kept;
  Served served = serving(kept);
  auto client = served.client();
  client.send(client.request("GET /later"));
  ASSERT_TRUE(kept.comes(served, 1));
  client.send(client.request("GET /later"));
  client.end_sending();
  ASSERT_TRUE(served.becomes([&] { return kept.gone == 1; }));
  served.on_thread([&] { kept.answers[0].send(text("first")); });
  EXPECT_EQ(client.reply().body, "first");
  ASSERT_TRUE(kept.comes(served, 2));
  ASSERT_TRUE(served.becomes([&] { return kept.gone == 2; }));
  served.on_thread([&] { kept.answers[1].send(text("second")); });
  EXPECT_EQ(client.reply().body, "second");
  EXPECT_TRUE(client.ended());
}

TEST(Later, WhoHasAnsweredIsNotToldThatTheClientLeaves) {
  Kept kept;
  Served served = serving(kept);
  RawClient client(served.server.port(), 4096);
  ASSERT_TRUE(client.connect());
  client.send(client.request("GET /later"));
  ASSERT_TRUE(kept.comes(served, 1));
  served.on_thread([&] { kept.answers[0].send(text(std::string(8'000'000, 'x'))); });
  client.end_sending();
  EXPECT_EQ(client.reply().body.size(), 8'000'000U);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(kept.gone, 0);
}

TEST(Later, AnOpenStreamIsCountedAsOneAndNotAsARequestUnderWay) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  client.send(client.request("GET /events"));
  EXPECT_EQ(client.reply_head().status, 200);
  EXPECT_EQ(served.metric("tallymill_http_requests_in_flight"), 0);
  EXPECT_EQ(served.metric("tallymill_http_streams"), 1);
}

TEST(Later, AStreamToAClientThatSendsNoMoreEnds) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  client.send(client.request("GET /events"));
  client.end_sending();
  EXPECT_EQ(client.reply_head().status, 200);
  EXPECT_TRUE(client.rest().empty());
  EXPECT_EQ(streams.closed, 1);
}

TEST(Later, AHandleMayLiveLongerThanTheServer) {
  Kept kept;
  Streams streams;
  {
    Router router;
    kept.route(router);
    streams.route(router);
    Served served(std::move(router));
    auto waiting = served.client();
    waiting.send(waiting.request("GET /later"));
    auto listening = served.client();
    listening.send(listening.request("GET /events"));
    EXPECT_EQ(listening.reply_head().status, 200);
    ASSERT_TRUE(kept.comes(served, 1));
    served.on_thread([&] { EXPECT_TRUE(streams.outlet->send("data: x\n\n")); });
    served.server.stop();
    EXPECT_EQ(kept.gone, 1);
    EXPECT_EQ(streams.closed, 1);
  }
  EXPECT_FALSE(streams.outlet->send("data: y\n\n"));
  EXPECT_EQ(streams.outlet->queued(), 0U);
  streams.outlet->close();
  EXPECT_EQ(streams.outlet.use_count(), 1);  // nothing of it keeps itself alive
  kept.answers[0].send(text("to nobody"));
  kept.answers.clear();
}

TEST(Stream, HeadPiecesAndAnEndBehindWhichTheConnectionGoesOn) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  client.send(client.request("GET /events"));
  const WireReply head = client.reply_head();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(head.header("Content-Encoding"), "");
  for (const char* piece : {"data: 1\n\n", "data: 2\n\n"}) {
    served.on_thread([&] { EXPECT_TRUE(streams.outlet->send(piece)); });
    EXPECT_EQ(client.chunk(), piece);
  }
  served.on_thread([&] { EXPECT_TRUE(streams.outlet->send("")); });
  EXPECT_TRUE(
      served.becomes([&] { return served.on_thread([&] { return streams.drained > 0; }); }));
  EXPECT_EQ(served.metric("tallymill_http_streams"), 1);
  served.on_thread([&] {
    EXPECT_TRUE(streams.outlet->send("last"));
    streams.outlet->close();
    EXPECT_FALSE(streams.outlet->send("later"));
  });
  EXPECT_EQ(client.chunk(), "last");
  EXPECT_EQ(client.chunk(), std::nullopt);
  EXPECT_EQ(client.ask("GET /nothing").status, 404);
  EXPECT_EQ(streams.closed, 0);
  EXPECT_EQ(served.metric("tallymill_http_streams"), 0);
}

TEST(Stream, HeadOfOneIsItsHead) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  EXPECT_EQ(client.ask("HEAD /events").status, 200);
  EXPECT_EQ(client.ask("GET /nothing").status, 404);
  EXPECT_EQ(streams.closed, 1);
}

TEST(Stream, HeadOfOneThatHasSpokenAlreadyIsItsHeadAlone) {
  Router router;
  add(router, Method::get, "/spoken", [](Request&&, Answer answer) {
    const auto outlet = answer.stream({.type = "text/event-stream"});
    EXPECT_TRUE(outlet->send("data: 1\n\n"));
  });
  Served served(std::move(router));
  auto client = served.client();
  client.send(client.request("HEAD /spoken") + client.request("GET /nothing"));
  EXPECT_EQ(client.reply_head().status, 200);
  EXPECT_EQ(client.reply().status, 404);
}

TEST(Stream, EndsWithTheConnectionForHttp10) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  client.send("GET /events HTTP/1.0\r\nHost: localhost:" + std::to_string(served.server.port()) +
              "\r\n\r\n");
  EXPECT_EQ(client.reply_head().status, 200);
  served.on_thread([&] {
    EXPECT_TRUE(streams.outlet->send("all"));
    streams.outlet->close();
  });
  EXPECT_EQ(client.rest(), "all");
}

TEST(Stream, AClientThatLeavesClosesIt) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  client.send(client.request("GET /events"));
  EXPECT_EQ(client.reply_head().status, 200);
  client.close();
  EXPECT_TRUE(
      served.becomes([&] { return served.on_thread([&] { return streams.closed == 1; }); }));
  served.on_thread([&] { EXPECT_FALSE(streams.outlet->send("data")); });
}

TEST(Stream, AReaderThatNeverReadsIsHeldWithinItsBoundAndThenCut) {
  Streams streams;
  Served served = serving(streams, {.transfer_grace = milliseconds(300)});
  auto client = served.client(4096);
  client.send(client.request("GET /events"));
  EXPECT_EQ(client.reply_head().status, 200);
  const std::string piece(64 * 1024, 'x');
  const auto bound = static_cast<std::size_t>(limits::http_outlet_bytes.raw());
  const auto push = [&] {
    for (int i = 0; i < 100 && streams.outlet->send(piece); ++i)
      EXPECT_LE(streams.outlet->queued(), bound);
    return streams.closed == 1;
  };
  EXPECT_TRUE(served.becomes([&] { return served.on_thread(push); }));
  EXPECT_GE(served.metric("tallymill_http_outlets_full_total"), 1);
  EXPECT_EQ(served.metric("tallymill_http_cut_total", "reader_rate"), 1);
  EXPECT_TRUE(served.becomes([&] { return served.metric("tallymill_http_outlet_bytes") == 0; }));
}

TEST(Stream, ACallMayCloseTheOutletThatMakesIt) {
  Router router;
  std::shared_ptr<Outlet> outlet;
  add(router, Method::get, "/", [&](Request&&, Answer answer) {
    outlet = answer.stream(text(""));
    outlet->on_drained([&outlet, text = std::string("end")] {
      outlet->on_drained(nullptr);
      outlet->close();
      outlet.reset();
      EXPECT_EQ(text, "end");  // what is captured is still there
    });
    outlet->send("one");
  });
  Served served(std::move(router));
  auto client = served.client();
  EXPECT_EQ(client.ask("GET /").body, "one");
}

// A body's reader as a test wants it.
struct Pieces {
  struct Reader final : BodyReader {
    explicit Reader(Pieces& owner) : to(owner) {}
    ~Reader() override { ++to.destroyed; }
    Status piece(std::string_view bytes, std::function<void()> go_on) override {
      to.body += bytes;
      to.largest = std::max(to.largest.load(), bytes.size());
      if (bytes.find("refuse") != std::string_view::npos) return fail(Errc::bad_params, "not this");
      if (bytes.find("answer") != std::string_view::npos) to.answer->send(text("early"));
      if (to.hold) {
        to.more = std::move(go_on);
      } else {
        go_on();
      }
      return {};
    }
    void finish() override {
      ++to.finished;
      to.answer->send(text(std::to_string(to.body.size())));
    }
    Pieces& to;
  };

  void route(Router& router) {
    Route route{Method::post, "/pieces", Role::none, {}, {}};
    route.body_bytes = Bytes(1'000'000);
    route.handler.pieces = [this](Request&&, Answer given) -> std::unique_ptr<BodyReader> {
      answer.emplace(std::move(given));
      answer->on_leaving([this] { ++gone; });
      if (none) {
        answer->send(text("no body wanted"));
        return nullptr;
      }
      return std::make_unique<Reader>(*this);
    };
    router.add(std::move(route));
  }

  std::optional<Answer> answer;
  std::string body;
  std::function<void()> more;
  std::atomic<std::size_t> largest = 0;
  bool hold = false;
  bool none = false;
  std::atomic<int> finished = 0;
  std::atomic<int> destroyed = 0;
  std::atomic<int> gone = 0;
};

TEST(BodyInPieces, ComesWholeAndNoPieceIsLargerThanThePieces) {
  Pieces pieces;
  Router router;
  pieces.route(router);
  Served served(std::move(router));
  auto client = served.client();
  EXPECT_EQ(client.post("/pieces", std::string(1'000'000, 'x')).body, "1000000");
  EXPECT_LE(pieces.largest, static_cast<std::size_t>(limits::http_piece.raw()));
  EXPECT_EQ(pieces.finished, 1);
  pieces.body.clear();
  EXPECT_EQ(client.post("/pieces", "").body, "0");
}

TEST(BodyInPieces, OneByteMoreThanTheRouteTakesIsRefused) {
  Pieces pieces;
  Router router;
  pieces.route(router);
  Served served(std::move(router));
  auto said = served.client();
  EXPECT_EQ(said.post("/pieces", std::string(1'000'001, 'x')).status, 413);
  EXPECT_EQ(pieces.destroyed, 0);  // its length was enough to refuse it
  auto chunked = served.client();
  const WireReply refused = chunked.ask(
      "POST /pieces", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
      "f4241\r\n" + std::string(1'000'001, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(refused.header("Connection"), "close");
  served.on_thread([&] { EXPECT_EQ(pieces.finished, 0); });
}

TEST(BodyInPieces, NothingIsReadUntilMoreIsAskedFor) {
  Pieces pieces;
  pieces.hold = true;
  Router router;
  pieces.route(router);
  Served served(std::move(router), {.transfer_grace = milliseconds(300)});
  auto client = served.client();
  client.send(client.request("POST /pieces",
                             "Content-Type: application/json\r\nContent-Length: 200000\r\n"));
  client.send(std::string(200'000, 'x'));
  ASSERT_TRUE(served.becomes([&] { return served.on_thread([&] { return !!pieces.more; }); }));
  // Its handler takes longer than a client may: that is not held against the client.
  std::promise<void> later;
  served.on_thread([&] { served.server.once(milliseconds(700), [&] { later.set_value(); }); });
  later.get_future().wait();
  served.on_thread([&] {
    EXPECT_LE(pieces.body.size(), static_cast<std::size_t>(limits::http_piece.raw()));
    pieces.hold = false;
    const auto more = std::exchange(pieces.more, nullptr);
    more();
    more();  // once too often
  });
  EXPECT_EQ(client.reply().body, "200000");
}

TEST(BodyInPieces, AnAnswerOrAnErrorInMidBodyIsSaidAndEndsTheConnection) {
  for (const auto& [word, status] : {std::pair("answer", 200), std::pair("refuse", 422)}) {
    Pieces pieces;
    Router router;
    pieces.route(router);
    Served served(std::move(router));
    auto client = served.client();
    client.send(client.request("POST /pieces",
                               "Content-Type: application/json\r\nContent-Length: 100000\r\n"));
    client.send(word);
    const WireReply reply = client.reply();
    EXPECT_EQ(reply.status, status) << word;
    EXPECT_EQ(reply.header("Connection"), "close");
    client.send(std::string(90'000, 'x'));
    client.end_sending();
    EXPECT_TRUE(client.ended());
    served.on_thread([&] {
      EXPECT_EQ(pieces.destroyed, 1);
      EXPECT_EQ(pieces.finished, 0);
      pieces.answer.reset();
    });
  }
}

TEST(BodyInPieces, AHandlerWithoutAReaderAnswersBeforeTheBody) {
  Pieces pieces;
  pieces.none = true;
  Router router;
  pieces.route(router);
  Served served(std::move(router));
  auto client = served.client();
  const WireReply reply = client.post("/pieces", "12345");
  EXPECT_EQ(reply.body, "no body wanted");
  EXPECT_EQ(reply.header("Connection"), "close");
}

TEST(BodyInPieces, AClientThatLeavesInMidBodyLeavesNoReader) {
  for (const bool reset : {false, true}) {
    Pieces pieces;
    Router router;
    pieces.route(router);
    Served served(std::move(router));
    auto client = served.client();
    client.send(client.request("POST /pieces",
                               "Content-Type: application/json\r\nContent-Length: 100000\r\n"));
    client.send("abc");
    ASSERT_TRUE(
        served.becomes([&] { return served.on_thread([&] { return pieces.body == "abc"; }); }));
    reset ? client.reset() : client.close();
    EXPECT_TRUE(
        served.becomes([&] { return served.on_thread([&] { return pieces.destroyed == 1; }); }));
    served.on_thread([&] {
      EXPECT_EQ(pieces.finished, 0);
      EXPECT_EQ(pieces.gone, 1);
      pieces.answer.reset();
    });
  }
}

TEST(BodyInPieces, AskingForMoreWhenItIsOverIsNothing) {
  Pieces pieces;
  pieces.hold = true;
  {
    Router router;
    pieces.route(router);
    Served served(std::move(router));
    auto client = served.client();
    client.send(client.request("POST /pieces",
                               "Content-Type: application/json\r\nContent-Length: 100000\r\n"));
    client.send("abc");
    ASSERT_TRUE(served.becomes([&] { return served.on_thread([&] { return !!pieces.more; }); }));
  }
  pieces.more();
  EXPECT_EQ(pieces.destroyed, 1);
}

TEST(StreamAnswer, ToABodyThatWasNotReadEndsTheConnection) {
  Router router;
  Route route{Method::post, "/pieces", Role::none, {}, {}};
  route.handler.pieces = [](Request&&, Answer answer) -> std::unique_ptr<BodyReader> {
    const auto outlet = answer.stream(text(""));
    outlet->send("one");
    outlet->close();
    return nullptr;
  };
  router.add(std::move(route));
  Served served(std::move(router));
  auto client = served.client();
  // The body is a request: it must never be taken for one.
  const std::string inner = client.request("GET /smuggled");
  const WireReply reply = client.post("/pieces", inner);
  EXPECT_EQ(reply.body, "one");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.ended());
}

TEST(Timers, FireInOrderUnlessCancelled) {
  Served served(Router{});
  std::string fired;
  std::promise<void> last;
  served.on_thread([&] {
    Server& server = served.server;
    server.once(milliseconds(20), [&] {
      fired += 'b';
      last.set_value();
    });
    server.once(milliseconds(1), [&] { fired += 'a'; });
    server.cancel(server.once(milliseconds(5), [&] { fired += 'x'; }));
    server.cancel(4711);
    // Both are due in one turn: the first cancels the second.
    auto second = std::make_shared<Server::TimerId>();
    server.once(milliseconds(0), [&server, second] { server.cancel(*second); });
    *second = server.once(milliseconds(0), [&] { fired += 'y'; });
  });
  last.get_future().wait();
  EXPECT_EQ(fired, "ab");
}

TEST(Watch, TellsOfADescriptorUntilItIsUnwatchedAlsoFromTheCall) {
  Served served(Router{});
  const int fd = ::eventfd(0, EFD_NONBLOCK);
  int told = 0;
  const auto ring = [&] { (void)::eventfd_write(fd, 1); };
  served.on_thread([&] {
    served.server.watch(fd, [&] {
      eventfd_t value = 0;
      (void)::eventfd_read(fd, &value);
      if (++told == 3) served.server.unwatch(fd);
    });
  });
  for (int i = 1; i <= 3; ++i) {
    ring();
    EXPECT_TRUE(served.becomes([&] { return served.on_thread([&] { return told == i; }); }));
  }
  ring();
  served.on_thread([] {});
  EXPECT_EQ(served.on_thread([&] { return told; }), 3);
  served.on_thread([&] {
    served.server.unwatch(fd);
    served.server.watch(fd, [&] { told += 100; });
  });
  EXPECT_TRUE(served.becomes([&] { return served.on_thread([&] { return told > 100; }); }));
  served.server.stop();
  EXPECT_EQ(::close(fd), 0);  // it is still ours
}

TEST(Drain, FinishesWhatIsAskedClosesWhatIsIdleAndTakesNoMore) {
  Kept kept;
  Streams streams;
  Router router;
  kept.route(router);
  streams.route(router);
  Served served(std::move(router));
  auto idle = served.client();
  EXPECT_EQ(idle.ask("GET /nothing").status, 404);
  auto listening = served.client();
  listening.send(listening.request("GET /events"));
  EXPECT_EQ(listening.reply_head().status, 200);
  auto waiting = served.client();
  waiting.send(waiting.request("GET /later") + waiting.request("GET /nothing"));
  ASSERT_TRUE(kept.comes(served, 1));
  served.server.drain(std::chrono::seconds(10));
  EXPECT_TRUE(idle.ended());
  EXPECT_TRUE(listening.rest().empty());
  EXPECT_EQ(streams.closed, 1);
  EXPECT_FALSE(served.client().connected());
  served.on_thread([&] { kept.answers[0].send(text("finished")); });
  const WireReply reply = waiting.reply();
  EXPECT_EQ(reply.body, "finished");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(waiting.ended());
}

TEST(Drain, WhatAStreamWasToldBeforeIsHeard) {
  Streams streams;
  Served served = serving(streams);
  auto client = served.client();
  client.send(client.request("GET /events"));
  EXPECT_EQ(client.reply_head().status, 200);
  served.on_thread([&] {
    // So that it leaves before the stream's coroutine wakes up.
    served.server.post([&] { EXPECT_TRUE(streams.outlet->send("last words")); });
    served.server.drain(std::chrono::seconds(10));
  });
  EXPECT_EQ(client.chunk(), "last words");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(streams.closed, 1);
}

TEST(Drain, HasAnEndAlsoIfNobodyAnswers) {
  Kept kept;
  Served served = serving(kept);
  auto waiting = served.client();
  waiting.send(waiting.request("GET /later"));
  ASSERT_TRUE(kept.comes(served, 1));
  served.server.drain(milliseconds(50));
  EXPECT_EQ(waiting.reply().status, 0);
  served.server.stop();
  EXPECT_EQ(kept.gone, 1);
}

}  // namespace
}  // namespace tallymill::http
