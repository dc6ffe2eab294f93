// The numbers on a worker's lane. Goal: as many senders are followed as may be, and no more.
// Method: a real lane, and one socket that speaks for all senders.
#include "stages/lane_in.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "bus/endpoints.h"
#include "bus/frames.h"

namespace tallymill::stages {
namespace {

class LaneInTest : public testing::Test {
 protected:
  void SetUp() override {
    shared_.stage = "image";
    shared_.incarnation = "image-1";
    ASSERT_TRUE(lane_.bind_next());
    auto sender = bus::open_socket(context_, bus::Role::lane_out, lane_.endpoint());
    ASSERT_TRUE(sender);
    sender_ = std::move(*sender);
  }
  void send(int source, std::int64_t number) {
    const std::string from = "compute-" + std::to_string(source);
    bus::Packer packer;
    packer.add(bus::Work{.token = {++sent_, 1, 1}, .kind = "echo", .from = from, .number = number});
    bus::Frames frames = packer.take();
    const Instant until = clock_.now() + std::chrono::seconds(20);
    // Until the lane is connected there is no room.
    // NOLINTNEXTLINE(bugprone-use-after-move): send() moves only what it takes
    while (!bus::send(sender_, std::move(frames)) && clock_.now() < until) turn();
    while (came_ < sent_ && clock_.now() < until) turn();
    ASSERT_EQ(came_, sent_);
  }
  void turn() { loop_.turn(std::chrono::milliseconds(5)); }

  SystemClock clock_;
  bus::Loop loop_{clock_};
  Shared shared_{clock_, 1, 10};
  zmq::context_t context_;
  zmq::socket_t sender_;
  std::int64_t sent_ = 0;
  std::int64_t came_ = 0;
  LaneIn lane_{shared_, loop_, "tcp://127.0.0.1", false, [this](std::vector<HeldPtr>& jobs) {
                 came_ += static_cast<std::int64_t>(jobs.size());
               }};
};

TEST_F(LaneInTest, FollowsTheNumbersOfAsManySendersAsItMayAndTakesTheJobsOfAll) {
  constexpr int most = limits::lane_sources;
  for (int source = 1; source <= most + 1; ++source) ASSERT_NO_FATAL_FAILURE(send(source, 1));
  EXPECT_EQ(lane_.missing(), 0);
  ASSERT_NO_FATAL_FAILURE(send(most, 5));
  EXPECT_EQ(lane_.missing(), 3);
  ASSERT_NO_FATAL_FAILURE(send(most + 1, 9));  // not followed, and not lost
  EXPECT_EQ(lane_.missing(), 3);
  ASSERT_NO_FATAL_FAILURE(send(1, 3));
  EXPECT_EQ(lane_.missing(), 4);
}

}  // namespace
}  // namespace tallymill::stages
