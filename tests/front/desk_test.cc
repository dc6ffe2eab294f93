// The clients' desk. Goal: each question has one answer, the connections are bounded, and nobody
// misses the end of a job it watches. Method: the desk over a socket without peers; what it would
// send is lost, and is not looked at.
#include "front/desk.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

}  // namespace
}  // namespace tallymill::front
