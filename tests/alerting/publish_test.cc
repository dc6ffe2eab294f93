// Publish. Goal: who listens hears what alerts do, by topic, and finds gaps by the sequence.
// Method: a real SUB socket.
#include "alerting/publish.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bus/endpoints.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

TEST(Publish, ListenerHearsByTopicWithASequence) {
  zmq::context_t context = bus::make_context();
  const SystemClock clock;
  auto publish = Publish::open(context, "tcp://127.0.0.1:*", false, clock);
  ASSERT_TRUE(publish) << publish.error().message;
  zmq::socket_t listener(context, zmq::socket_type::sub);
  listener.set(zmq::sockopt::subscribe, "alert.");
  listener.set(zmq::sockopt::rcvtimeo, 10);
  listener.set(zmq::sockopt::linger, 0);
  listener.connect(publish->endpoint());
  zmq::message_t topic, body;
  // Until it has subscribed.
  ASSERT_TRUE(eventually([&] {
    publish->publish(notice_of(alert_of("First", "image", 1), 1));
    return listener.recv(topic).has_value() && listener.recv(body).has_value();
  }));
  while (listener.recv(topic)) (void)listener.recv(body);
  const auto last = nlohmann::json::parse(body.to_string());
  Alert pending = alert_of("Wait", "image", 0);
  pending.state = AlertState::pending;
  publish->publish(notice_of(pending, 1));
  publish->publish(notice_of(alert_of("Wait", "image", 5, 9), 1));
  listener.set(zmq::sockopt::rcvtimeo, 5000);
  std::uint64_t sequence = last["sequence"];
  for (const char* wanted : {"alert.pending.Wait", "alert.resolved.Wait"}) {
    ASSERT_TRUE(listener.recv(topic));
    ASSERT_TRUE(listener.recv(body));
    EXPECT_EQ(topic.to_string(), wanted);
    const auto said = nlohmann::json::parse(body.to_string());
    EXPECT_EQ(said["sequence"], ++sequence);
    EXPECT_EQ(said["epoch"], last["epoch"]);
  }
}

TEST(Publish, AddressThatOthersReachIsRefused) {
  zmq::context_t context = bus::make_context();
  const SystemClock clock;
  const auto publish = Publish::open(context, "tcp://0.0.0.0:*", false, clock);
  ASSERT_FALSE(publish);
  EXPECT_EQ(publish.error().code, Errc::denied);
}

}  // namespace
}  // namespace tallymill::alerting
