// The feed while its front starts. Goal: nobody follows what is not known yet, and a watch that was
// refused is asked again. Method: a real server and line, and a ROUTER in the front's place.
#include "front/gateway/feed.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "bus/codec_json.h"
#include "bus/endpoints.h"
#include "bus/frames.h"

namespace tallymill::gateway {
namespace {

class FeedTest : public ::testing::Test {
 protected:
  FeedTest() {
    front_ = *bus::open_socket(context_, bus::Role::front_jobs, "inproc://jobs");
    EXPECT_TRUE(server_.open());
    line_ = *Line::open(server_, context_, "inproc://jobs", "test");
    feed_ = std::make_unique<Feed>(*line_, server_);
    server_.start();
  }
  ~FeedTest() override {
    server_.stop();
    feed_.reset();  // before its line, which then gives up what was asked
  }

  // The number of the next watch at the front.
  std::int64_t next_watch() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      bus::Frames frames;
      if (!bus::receive(front_, from_, frames)) {
        std::this_thread::yield();
        continue;
      }
      const auto envelope = bus::Envelope::decode(std::move(frames));
      for (const bus::Item& item : envelope->items())
        if (item.verb == bus::Verb::watch) return bus::read<bus::Watch>(item)->request;
    }
    ADD_FAILURE() << "no watch in 20 s";
    return 0;
  }
  template <class Message>
  void answer(const Message& message, std::string_view params = {}) {
    bus::Packer packer;
    packer.add(message, params);
    EXPECT_TRUE(bus::send(front_, from_, packer.take()));
  }
  template <class Question>
  auto on_thread(Question question) {
    std::promise<decltype(question())> said;
    server_.post([&] { said.set_value(question()); });
    return said.get_future().get();
  }

  zmq::context_t context_;
  zmq::socket_t front_;
  bus::Route from_;
  http::Server server_{{}, {}};
  std::unique_ptr<Line> line_;
  std::unique_ptr<Feed> feed_;
};

TEST_F(FeedTest, IsReadyWhenTheFrontHasSaidWhereItIs) {
  const std::int64_t first = next_watch();
  EXPECT_FALSE(on_thread([this] { return feed_->ready(); }));
  answer(bus::Failure{.request = first, .code = "E_BUSY", .message = "starting"});
  const std::int64_t second = next_watch();
  EXPECT_NE(second, first);
  EXPECT_FALSE(on_thread([this] { return feed_->ready(); }));
  answer(bus::Reply{.request = second}, *bus::msgpack_of_json({{"ledger", "a1"}, {"seq", 7}}));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!on_thread([this] { return feed_->ready(); }) && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_TRUE(on_thread([this] { return feed_->ready(); }));
  EXPECT_EQ(on_thread([this] { return feed_->ledger(); }), "a1");
  EXPECT_EQ(on_thread([this] { return feed_->head(); }), 7);
}

}  // namespace
}  // namespace tallymill::gateway
