// The clients' desk. Goal: each question has one answer, the connections are bounded, and nobody
// misses the end of a job it watches. Method: the desk over a socket without peers, of which what
// it would send is not looked at; and over one with a peer that reads when the test wants it to.
#include "front/desk.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"

namespace tallymill::front {
namespace {

class DeskTest : public ::testing::Test {
 protected:
  static Instant at(std::int64_t ms) { return Instant(std::chrono::milliseconds(1'000'000 + ms)); }
  ConnId connect(const std::string& peer, std::int64_t ms = 0) {
    return desk.conn_of({peer, false}, at(ms));
  }
  std::vector<ConnId> watchers(ClientId client, JobId job) {
    std::vector<ConnId> found;
    desk.for_watchers(client, job, [&](ConnId id, Conn&) { found.push_back(id); });
    return found;
  }

  zmq::context_t context;
  zmq::socket_t router{context, ZMQ_ROUTER};
  Desk desk{router};
};

TEST_F(DeskTest, AQuestionIsAnsweredToWhomItCameFromAndItsHandleIsFreeAgain) {
  const ReplyTo first = desk.ask(7, 70);
  const ReplyTo second = desk.ask(8, 80);
  EXPECT_NE(first, second);
  EXPECT_NE(first, ReplyTo{0});
  const auto asked = desk.answer(first);
  EXPECT_EQ(asked.conn, 7U);
  EXPECT_EQ(asked.request, 70);
  EXPECT_EQ(desk.ask(9, 90), first);
  EXPECT_EQ(desk.answer(second).request, 80);
  EXPECT_EQ(desk.answer(first).request, 90);
}

TEST_F(DeskTest, AMessageThatDoesNotFitTakesItsBlobsWithIt) {
  const ConnId id = connect("a");
  const std::string huge(static_cast<std::size_t>(limits::header_bytes.raw()), 'x');
  bus::Event event;
  event.what = "done";
  event.message = huge;
  const std::string_view blob = "a blob";
  EXPECT_FALSE(desk.send(id, event, {}, {{blob}}));
  EXPECT_TRUE(desk.find(id)->out.empty());
  event.message = "short";
  EXPECT_TRUE(desk.send(id, event));
  EXPECT_FALSE(desk.send(id, bus::Reply{1, {}}, std::string(2 << 20, 'x'), {{blob}}));
  const auto envelope = bus::Envelope::decode(desk.find(id)->out.take());
  ASSERT_TRUE(envelope);
  ASSERT_EQ(envelope->items().size(), 1U);
  EXPECT_TRUE(envelope->items()[0].blobs.empty());
}

TEST_F(DeskTest, AnErrorThatQuotesMuchIsCutAndAlwaysTold) {
  const ConnId id = connect("a");
  const std::string huge(100'000, 'x');
  desk.fail(id, 7, JobId(0), {Errc::bad_params, huge, huge});
  const auto envelope = bus::Envelope::decode(desk.find(id)->out.take());
  ASSERT_TRUE(envelope);
  const auto told = bus::read<bus::Failure>(envelope->items()[0]);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->request, 7);
  EXPECT_EQ(told->message.size(), limits::error_text_bytes);
}

TEST_F(DeskTest, AConnectionHasAsManySubmitsOpenAsItsWindowAndAnAnswerMakesRoom) {
  const ConnId id = connect("a");
  std::vector<ReplyTo> open;
  for (int n = 0; n < limits::submit_window_jobs; ++n) {
    const auto handle = desk.ask_submit(id, n, Bytes(1));
    ASSERT_TRUE(handle) << n;
    open.push_back(*handle);
  }
  EXPECT_FALSE(desk.ask_submit(id, 1, Bytes(1)));
  EXPECT_TRUE(desk.ask_submit(connect("b"), 1, Bytes(1)));
  EXPECT_NE(desk.ask(id, 1), ReplyTo{0});  // another question is not of the window
  (void)desk.answer(open.back());
  EXPECT_TRUE(desk.ask_submit(id, 1, Bytes(1)));
  EXPECT_FALSE(desk.ask_submit(id, 1, Bytes(1)));
}

TEST_F(DeskTest, TheBytesOfOpenSubmitsFillTheWindowAndALargerOneGoesAlone) {
  const ConnId id = connect("a");
  const auto whole = desk.ask_submit(id, 1, limits::submit_window_bytes);
  ASSERT_TRUE(whole);
  EXPECT_FALSE(desk.ask_submit(id, 2, Bytes(1)));
  (void)desk.answer(*whole);
  const auto larger = desk.ask_submit(id, 3, limits::submit_window_bytes + Bytes(1));
  ASSERT_TRUE(larger);
  EXPECT_FALSE(desk.ask_submit(id, 4, Bytes(0)));
  (void)desk.answer(*larger);
  EXPECT_TRUE(desk.ask_submit(id, 5, Bytes(1)));
  EXPECT_FALSE(desk.ask_submit(id, 6, limits::submit_window_bytes));
}

TEST_F(DeskTest, AboveItsBoundTheConnectionThatWasSilentLongestIsForgotten) {
  for (std::size_t n = 0; n < limits::connections; ++n)
    connect(std::to_string(n), static_cast<std::int64_t>(n));
  EXPECT_EQ(desk.connections(), limits::connections);
  const ConnId first = connect("0", 1'000'000);
  const ConnId second = connect("1", 1);
  desk.watch_job(second, JobId(5));
  desk.find(second)->ids.insert(5);
  connect("one more", 1'000'001);
  EXPECT_EQ(desk.connections(), limits::connections);
  EXPECT_NE(desk.find(first), nullptr);
  EXPECT_EQ(desk.find(second), nullptr);
  EXPECT_FALSE(desk.is_watched(0, JobId(5)));
}

TEST_F(DeskTest, WhoWatchesAClientAndOneOfItsJobsIsToldOnce) {
  const ConnId id = connect("a");
  Conn& conn = *desk.find(id);
  conn.client = 3;
  conn.watches_all = true;
  desk.watch_client(id, 3);
  desk.watch_client(id, 3);
  desk.watch_job(id, JobId(5));
  EXPECT_EQ(watchers(3, JobId(5)), std::vector{id});
  EXPECT_EQ(watchers(4, JobId(5)), std::vector{id});
  EXPECT_TRUE(watchers(4, JobId(6)).empty());
}

TEST_F(DeskTest, WhoWatchesEverybodyIsToldOnceOfEachJobAndOfNoneOnceItIsForgotten) {
  const ConnId id = connect("a");
  const ConnId other = connect("b", 1);
  desk.watch_everyone(id);
  desk.watch_everyone(id);
  desk.find(id)->watches_everyone = true;
  EXPECT_TRUE(desk.is_watched(9, JobId(1)));
  EXPECT_EQ(watchers(9, JobId(1)), std::vector{id});
  Conn& conn = *desk.find(id);
  conn.client = 3;
  conn.watches_all = true;
  desk.watch_client(id, 3);
  conn.ids.insert(5);
  desk.watch_job(id, JobId(5));
  desk.watch_job(other, JobId(5));
  EXPECT_EQ(watchers(3, JobId(5)), (std::vector{id, other}));
  EXPECT_TRUE(conn.watches_closely(3, JobId(6)));
  EXPECT_TRUE(conn.watches_closely(4, JobId(5)));
  EXPECT_FALSE(conn.watches_closely(4, JobId(6)));
  conn.replaying = true;
  EXPECT_EQ(watchers(3, JobId(5)), std::vector{other});
  for (std::size_t n = 0; n < limits::connections; ++n) connect("c" + std::to_string(n), 2);
  EXPECT_EQ(desk.find(id), nullptr);
  EXPECT_FALSE(desk.is_watched(9, JobId(1)));
}

TEST_F(DeskTest, AnEndThatComesWhileEarlierOnesAreReadBackIsStillWatchedFor) {
  const ConnId reading = connect("a");
  const ConnId live = connect("b");
  for (const ConnId id : {reading, live}) {
    desk.find(id)->ids.insert(5);
    desk.watch_job(id, JobId(5));
  }
  desk.find(reading)->replaying = true;
  EXPECT_EQ(watchers(0, JobId(5)), std::vector{live});
  desk.unwatch_job(JobId(5));
  EXPECT_FALSE(desk.is_watched(0, JobId(5)));
  EXPECT_FALSE(desk.find(live)->ids.contains(5));
  // The end is found when the reading has come to it.
  EXPECT_TRUE(desk.find(reading)->ids.contains(5));
}

// A client that reads when it is told to. Its pipe holds few messages.
class SlowClientTest : public DeskTest {
 protected:
  SlowClientTest() {
    for (zmq::socket_t* socket : {&router, &client}) {
      socket->set(zmq::sockopt::sndhwm, 1);
      socket->set(zmq::sockopt::rcvhwm, 2);
      socket->set(zmq::sockopt::linger, 0);
    }
    router.set(zmq::sockopt::router_mandatory, true);
    client.set(zmq::sockopt::routing_id, "slow");
    router.bind("inproc://desk");
    client.connect("inproc://desk");
    id = greet(client);
    desk.find(id)->watch = 7;
  }

  // The desk's connection of this peer, which says something first.
  ConnId greet(zmq::socket_t& peer) {
    bus::Packer hello;
    hello.add(bus::Verb::ping, bus::Ask{.request = 1});
    EXPECT_TRUE(bus::send(peer, hello.take()));
    bus::Route from;
    bus::Frames frames;
    look(router);
    EXPECT_TRUE(bus::receive(router, from, frames));
    return desk.conn_of(from, at(0));
  }

  // A socket looks only now and then at what happened to it, unless it is asked.
  static void look(zmq::socket_t& socket) { (void)socket.get(zmq::sockopt::events); }

  void end(std::int64_t seq) {
    bus::Event event;
    event.job = seq;
    event.seq = seq;
    event.what = "done";
    EXPECT_TRUE(desk.send_end(id, event, {}, {}));
    desk.flush();
  }

  // What came, in order: the number of each end, and "from-to" of each gap.
  std::vector<std::string> read() {
    std::vector<std::string> told;
    bus::Frames frames;
    look(client);
    while (bus::receive(client, frames)) {
      const auto envelope = bus::Envelope::decode(std::move(frames));
      EXPECT_TRUE(envelope);
      for (const bus::Item& item : envelope->items()) {
        if (item.verb == bus::Verb::event) {
          told.push_back(std::to_string(bus::read<bus::Event>(item)->seq));
        } else if (item.verb == bus::Verb::gap) {
          const auto gap = bus::read<bus::Gap>(item);
          EXPECT_EQ(gap->request, 7);
          told.push_back(std::to_string(gap->from) + "-" + std::to_string(gap->to));
        }
      }
    }
    return told;
  }

  zmq::socket_t client{context, ZMQ_DEALER};
  ConnId id = 0;
};

TEST_F(SlowClientTest, EndsThatItsPipeDoesNotTakeAreToldAsOneGapBeforeAnythingElse) {
  constexpr std::int64_t last = 20;
  for (std::int64_t seq = 1; seq <= last; ++seq) end(seq);
  EXPECT_GT(desk.dropped(), 0);
  EXPECT_EQ(desk.behind(), 1U);
  desk.tell_gaps();  // there is no room for it yet
  EXPECT_EQ(desk.behind(), 1U);
  const std::vector<std::string> first = read();
  ASSERT_FALSE(first.empty());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i], std::to_string(i + 1));
  end(last + 1);  // still behind: this one joins the gap
  desk.tell_gaps();
  EXPECT_EQ(desk.behind(), 0U);
  end(last + 2);
  EXPECT_EQ(read(), (std::vector<std::string>{
                        std::to_string(first.size() + 1) + "-" + std::to_string(last + 1),
                        std::to_string(last + 2)}));
}

TEST_F(SlowClientTest, AnAnswerIsPrecededByTheGap) {
  for (std::int64_t seq = 1; seq <= 9; ++seq) end(seq);
  const std::vector<std::string> first = read();
  desk.send(id, bus::Reply{3, {}});
  desk.flush();
  EXPECT_EQ(read(), std::vector{std::to_string(first.size() + 1) + "-9"});
  EXPECT_EQ(desk.behind(), 0U);
}

TEST_F(SlowClientTest, OneThatWasGivenAllTheBytesItMayHoldIsRefusedMoreUntilItReads) {
  const std::string piece(static_cast<std::size_t>(limits::frame_bytes.raw()), 'x');
  const auto outgoing = [&] { return desk.outgoing().raw(); };
  desk.send(id, bus::Reply{1, {}}, {}, {{piece}});
  desk.flush();
  EXPECT_EQ(outgoing(), limits::frame_bytes.raw());
  const Bytes rest = limits::client_out_bytes - limits::frame_bytes;
  EXPECT_TRUE(desk.has_room(id, rest));
  EXPECT_FALSE(desk.has_room(id, rest + Bytes(1)));
  bus::Event event;
  event.seq = 5;
  event.what = "done";
  EXPECT_TRUE(desk.send_end(id, event, {}, {{piece}}));
  desk.flush();  // its header is too much
  EXPECT_EQ(outgoing(), limits::frame_bytes.raw());
  EXPECT_EQ(desk.behind(), 1U);
  EXPECT_EQ(read(), std::vector<std::string>{});
  EXPECT_EQ(outgoing(), 0);
  look(router);
  desk.tell_gaps();
  EXPECT_EQ(read(), std::vector<std::string>{"5-5"});
}

TEST_F(SlowClientTest, AGapThatItsPipeDoesNotTakeIsToldWithWhatFollowsIt) {
  for (std::int64_t request = 0; desk.dropped() == 0; ++request) {
    desk.send(id, bus::Reply{request, {}});
    desk.flush();
  }
  EXPECT_EQ(desk.behind(), 0U);  // it lost an answer, which it asks for again
  desk.send_gap(id, {1, 500});
  end(501);
  EXPECT_EQ(desk.behind(), 1U);
  EXPECT_EQ(read(), std::vector<std::string>{});
  desk.send_gap(id, {502, 510});
  look(router);
  desk.tell_gaps();
  EXPECT_EQ(read(), std::vector<std::string>{"1-510"});
}

TEST_F(SlowClientTest, ManySmallFramesOfOneMessageCountAsLargeOnes) {
  const std::string small(3000, 'x');
  desk.send(id, bus::Reply{1, {}}, {}, {{small}});
  desk.flush();
  EXPECT_EQ(desk.outgoing(), Bytes(0));
  desk.send(id, bus::Reply{2, {}}, {}, {{small, small}});
  desk.flush();
  EXPECT_GE(desk.outgoing(), Bytes(6000));
  EXPECT_LT(desk.outgoing(), Bytes(6200));
  (void)read();
  EXPECT_EQ(desk.outgoing(), Bytes(0));
}

TEST_F(SlowClientTest, OthersThatDoNotReadLeaveEachItsShare) {
  std::vector<zmq::socket_t> others;
  const std::string piece(static_cast<std::size_t>(limits::frame_bytes.raw()), 'x');
  while (desk.outgoing() < limits::clients_out_bytes) {
    zmq::socket_t& other = others.emplace_back(context, ZMQ_DEALER);
    other.set(zmq::sockopt::linger, 0);
    other.connect("inproc://desk");
    desk.send(greet(other), bus::Reply{1, {}}, {}, {{piece}});
    desk.flush();
    ASSERT_EQ(desk.dropped(), 0);
  }
  EXPECT_TRUE(desk.has_room(id, limits::client_out_bytes));  // it has nothing yet
  const std::string_view some = std::string_view(piece).substr(0, 5000);
  desk.send(id, bus::Reply{2, {}}, {}, {{some}});
  desk.flush();
  EXPECT_TRUE(desk.has_room(id, limits::client_out_share - Bytes(5000)));
  EXPECT_FALSE(desk.has_room(id, limits::client_out_share));
  (void)read();
  EXPECT_TRUE(desk.has_room(id, limits::client_out_share));
}

TEST_F(SlowClientTest, OneThatLeftIsForgottenWithWhatItWatched) {
  desk.watch_job(id, JobId(5));
  desk.find(id)->ids.insert(5);
  client.close();
  // libzmq ends the pipe on a thread of its own.
  for (std::int64_t seq = 1; desk.find(id) != nullptr && seq < 10'000'000; ++seq) {
    look(router);
    end(seq);
    desk.tell_gaps();
  }
  EXPECT_EQ(desk.find(id), nullptr);
  EXPECT_EQ(desk.connections(), 0U);
  EXPECT_EQ(desk.behind(), 0U);
  EXPECT_FALSE(desk.is_watched(0, JobId(5)));
}

}  // namespace
}  // namespace tallymill::front
