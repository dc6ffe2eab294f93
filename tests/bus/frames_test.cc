// Frames over sockets. Goal: a message arrives whole or not at all, and the sender is told which.
// Method: real sockets in this process, of the kinds that a peer in any language may bring.
#include "bus/frames.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/limits.h"
#include "bus/endpoints.h"
#include "bus/loop.h"

namespace tallymill::bus {
namespace {

class FramesTest : public ::testing::Test {
 protected:
  FramesTest() {
    auto opened = open_socket(context_, Role::front_jobs, "tcp://127.0.0.1:*");
    router_ = std::move(*opened);
    loop_.every(std::chrono::seconds(30), [] { FAIL() << "nothing came for 30 s"; });
  }
  // Waits for the next message at the router.
  void next() {
    bool got = false;
    loop_.watch(router_, [&] { got = got || receive(router_, from_, frames_); });
    while (!got && !HasFailure()) loop_.turn(Duration::max());
    loop_.unwatch(router_);
  }
  static Frames ping() {
    Packer packer;
    packer.add(Verb::ping, Ask{.request = 5});
    return packer.take();
  }

  zmq::context_t context_;
  const SystemClock clock_;
  Loop loop_{clock_};
  zmq::socket_t router_;
  Route from_;
  Frames frames_;
};

TEST_F(FramesTest, AReqClientsDelimiterComesOffAndGoesBack) {
  zmq::socket_t req(context_, zmq::socket_type::req);
  req.connect(bound_endpoint(router_));
  Frames question = ping();
  for (std::size_t i = 0; i < question.size(); ++i)
    req.send(question[i],
             i + 1 < question.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  next();
  EXPECT_TRUE(from_.delimiter);
  const auto envelope = Envelope::decode(std::move(frames_));
  ASSERT_TRUE(envelope) << envelope.error().message;
  EXPECT_EQ(read<Ask>(envelope->items()[0])->request, 5);
  ASSERT_TRUE(send(router_, from_, ping()));
  zmq::message_t first;
  ASSERT_TRUE(req.recv(first));
  EXPECT_EQ(first.to_string_view(), protocol_v1);
}

TEST_F(FramesTest, ADealerHasNoDelimiterAndAnswersFindIt) {
  zmq::socket_t dealer(context_, zmq::socket_type::dealer);
  dealer.set(zmq::sockopt::routing_id, "a client of some name");
  dealer.connect(bound_endpoint(router_));
  Frames question = ping();
  for (std::size_t i = 0; i < question.size(); ++i)
    dealer.send(question[i],
                i + 1 < question.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  next();
  EXPECT_FALSE(from_.delimiter);
  EXPECT_EQ(from_.peer, "a client of some name");
  EXPECT_EQ(frames_.size(), 3u);
  ASSERT_TRUE(send(router_, from_, ping()));
  zmq::message_t first;
  ASSERT_TRUE(dealer.recv(first));
}

TEST_F(FramesTest, APeerThatIsNotThereIsAwayAndTheFramesStay) {
  Frames frames = ping();
  const auto sent = send(router_, {.peer = "nobody"}, std::move(frames));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::away);
  // NOLINTNEXTLINE(bugprone-use-after-move): this is what is tested
  EXPECT_TRUE(Envelope::decode(std::move(frames)));
}

TEST_F(FramesTest, AnUnconnectedSocketIsBusyAtOnceAndTheFramesStay) {
  auto push = open_socket(context_, Role::worker_results, "tcp://127.0.0.1:1");
  ASSERT_TRUE(push);
  Frames frames = ping();
  const auto sent = send(*push, std::move(frames));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::busy);
  // NOLINTNEXTLINE(bugprone-use-after-move): this is what is tested
  EXPECT_TRUE(Envelope::decode(std::move(frames)));
}

// The receiver goes just before a long message is written. A socket that has just sent looks for
// such news only after a millisecond, and so in the middle of it.
TEST_F(FramesTest, AMessageCutShortByItsConnectionIsAwayAndTheNextOneArrives) {
  const auto numbered = [](std::int64_t number) {
    Packer packer;
    packer.add(Verb::ping, Ask{.request = number});
    return packer.take();
  };
  zmq::socket_t push(context_, zmq::socket_type::push);
  push.bind("inproc://cut");
  zmq::socket_t pull;
  Errc code = Errc::busy;
  for (int tries = 0; code != Errc::away; ++tries) {
    ASSERT_LT(tries, 1'000) << "no message was cut short";
    Frames cut;
    for (int i = 0; i < 300'000; ++i) cut.emplace_back(std::size_t{1});
    pull = zmq::socket_t(context_, zmq::socket_type::pull);
    pull.connect("inproc://cut");
    ASSERT_TRUE(send(push, numbered(0)));
    pull.disconnect("inproc://cut");
    const auto sent = send(push, std::move(cut));
    code = sent ? Errc::busy : sent.error().code;
    // NOLINTNEXTLINE(bugprone-use-after-move): this is what is tested
    EXPECT_EQ(cut.empty(), code == Errc::away) << tries << ": half of a message is nobody's";
  }

  EXPECT_FALSE(send(push, numbered(1))) << "nobody is there, and it was told as sent";
  pull = zmq::socket_t(context_, zmq::socket_type::pull);
  pull.connect("inproc://cut");
  ASSERT_TRUE(send(push, numbered(2)));
  ASSERT_TRUE(send(push, numbered(3)));
  ASSERT_TRUE(receive(pull, frames_));
  EXPECT_EQ(read<Ask>(Envelope::decode(std::move(frames_))->items()[0])->request, 2);
}

TEST_F(FramesTest, FramesWithoutEndAreDroppedAndRefused) {
  zmq::socket_t dealer(context_, zmq::socket_type::dealer);
  dealer.connect(bound_endpoint(router_));
  for (std::size_t i = 0; i < 3 * limits::batch_blobs; ++i)
    dealer.send(zmq::str_buffer("T1"), zmq::send_flags::sndmore);
  dealer.send(zmq::str_buffer("end"), zmq::send_flags::none);
  Frames question = ping();
  for (std::size_t i = 0; i < question.size(); ++i)
    dealer.send(question[i],
                i + 1 < question.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  next();
  EXPECT_LE(frames_.size(), limits::batch_blobs + 4);
  const auto refused = Envelope::decode(std::move(frames_));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::too_big);
  next();
  EXPECT_TRUE(Envelope::decode(std::move(frames_)));
}

TEST_F(FramesTest, GarbageOnThePortReachesTheDoorAndNoFurther) {
  zmq::socket_t stream(context_, zmq::socket_type::stream);
  stream.connect(bound_endpoint(router_));
  zmq::message_t id;
  zmq::message_t hello;
  ASSERT_TRUE(stream.recv(id));
  ASSERT_TRUE(stream.recv(hello));
  // A ZMTP/1.0 greeting with an empty identity, then one frame of three bytes.
  stream.send(id, zmq::send_flags::sndmore);
  stream.send(zmq::buffer(std::string("\x01\x00\x04\x00\x41\x42\x43", 7)), zmq::send_flags::none);
  next();
  const auto refused = Envelope::decode(std::move(frames_));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::bad_frame);
}

TEST_F(FramesTest, AFrameFarOverTheLimitCostsThePeerItsConnectionAndNothingElse) {
  zmq::socket_t dealer(context_, zmq::socket_type::dealer);
  dealer.set(zmq::sockopt::linger, 0);
  dealer.connect(bound_endpoint(router_));
  const auto monitor = Monitor::of(context_, dealer);
  ASSERT_TRUE(monitor);
  dealer.send(zmq::message_t(static_cast<std::size_t>(limits::max_zmq_frame_bytes.raw()) + 1),
              zmq::send_flags::none);
  bool dropped = false;
  loop_.watch((*monitor)->socket(), [&] {
    Monitor::Event event{};
    while ((*monitor)->next(event)) dropped |= event == Monitor::Event::disconnected;
  });
  while (!dropped && !HasFailure()) loop_.turn(Duration::max());
  EXPECT_FALSE(receive(router_, from_, frames_));
  loop_.unwatch((*monitor)->socket());
}

}  // namespace
}  // namespace tallymill::bus
