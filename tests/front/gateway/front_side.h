// Front side: a real server with a line, and a ROUTER in the front's place, whose answers are the
// test's.
//
// Threads: the test's.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "bus/codec_json.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "front/gateway/line.h"
#include "tests/front/gateway/front_address.h"

namespace tallymill::gateway {

// The ROUTER alone.
class FrontAlone : public ::testing::Test {
 protected:
  FrontAlone() : front_(*bus::open_socket(context_, bus::Role::front_jobs, front_address())) {}

  // The number of the next question of this verb at the front; `after` is what it asks for.
  std::int64_t next_of(bus::Verb verb, std::int64_t* after = nullptr) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      bus::Frames frames;
      bus::Route from;
      if (!bus::receive(front_, from, frames)) {
        std::this_thread::yield();
        continue;
      }
      const auto envelope = bus::Envelope::decode(std::move(frames));
      for (const bus::Item& item : envelope->items()) {
        if (item.verb != verb) continue;
        from_ = from;
        if (verb == bus::Verb::watch) return bus::read<bus::Watch>(item)->request;
        if (verb == bus::Verb::submit) return bus::read<bus::Submit>(item)->request;
        const auto ask = bus::read<bus::Ask>(item);
        if (after != nullptr) *after = ask->after;
        return ask->request;
      }
    }
    ADD_FAILURE() << "no " << name_of(verb) << " in 20 s";
    return 0;
  }
  // To who asked last.
  template <class Message>
  void answer(const Message& message, std::string_view params = {}) {
    bus::Packer packer;
    packer.add(message, params);
    EXPECT_TRUE(bus::send(front_, from_, packer.take()));
  }
  void page(std::int64_t request, const nlohmann::json& said) {
    answer(bus::Reply{.request = request}, *bus::msgpack_of_json(said));
  }

  zmq::context_t context_;
  zmq::socket_t front_;
  bus::Route from_;
};

class FrontSide : public FrontAlone {
 protected:
  FrontSide() {
    EXPECT_TRUE(server_.open());
    line_ = *Line::open(server_, context_, front_address(), "test");
  }

  template <class Question>
  auto on_thread(Question question) {
    std::promise<decltype(question())> said;
    server_.post([&] { said.set_value(question()); });
    return said.get_future().get();
  }
  template <class Condition>
  void becomes(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!on_thread(condition) && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    EXPECT_TRUE(on_thread(condition));
  }

  http::Server server_{{}, {}};
  std::unique_ptr<Line> line_;
};

}  // namespace tallymill::gateway
