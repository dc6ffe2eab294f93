// The bus through a WebSocket. Goal: what a client may say reaches the front as it was, what it may
// not is answered and does not, and nobody holds more than the bounds. Method: judge() on
// envelopes; then a real server with real clients, and a ROUTER in the front's place.
#include "front/gateway/wire.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "base/limits.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "bus/packed_frames.h"
#include "http/client.h"
#include "tests/front/gateway/front_address.h"

namespace tallymill::gateway {
namespace {

using bus::Verb;
using http::Role;
using Kind = http::Socket::Kind;

http::Caller caller(Role role, std::string name = "ci") { return {std::move(name), role}; }

std::string packed(bus::Packer& packer) { return bus::pack_frames(packer.take()); }

bus::Envelope read(bus::Frames&& frames) {
  auto envelope = bus::Envelope::decode(std::move(frames));
  EXPECT_TRUE(envelope) << envelope.error().message;
  return std::move(*envelope);
}

std::vector<Verb> verbs_of(const bus::Envelope& envelope) {
  std::vector<Verb> verbs;
  for (const bus::Item& item : envelope.items()) verbs.push_back(item.verb);
  return verbs;
}

// ---- who may ask what ----

TEST(WireRoles, AreThoseOfTheSameQuestionsOverHttp) {
  for (const Verb verb : {Verb::hello, Verb::watch, Verb::status, Verb::result, Verb::jobs,
                          Verb::ends, Verb::waterfalls, Verb::timeline, Verb::workers,
                          Verb::topology, Verb::kinds, Verb::snapshot, Verb::get, Verb::ping})
    EXPECT_EQ(role_of(verb), Role::read) << name_of(verb);
  for (const Verb verb : {Verb::submit, Verb::put, Verb::cancel})
    EXPECT_EQ(role_of(verb), Role::submit) << name_of(verb);
  EXPECT_EQ(role_of(Verb::retry), Role::operate);
  // Not a client's: nobody who may only ask reaches the front with it.
  for (const Verb verb : {Verb::done, Verb::beat, Verb::worker_hello, Verb::work, Verb::welcome})
    EXPECT_EQ(role_of(verb), Role::operate) << name_of(verb);
}

TEST(WireRoles, WhatIsAllowedGoesOnAsItCame) {
  bus::Packer packer;
  packer.add(bus::Submit{.request = 3, .kind = "box", .inputs = {{.name = "a", .blob = 0}}},
             "\x80");
  packer.add_blob(zmq::message_t("abc", 3));
  packer.add(Verb::ping, bus::Ask{.request = 5});
  const std::string before = packed(packer);
  Judged judged = judge(*bus::unpack_frames(before), caller(Role::submit));
  EXPECT_EQ(bus::pack_frames(judged.passed), before);
  EXPECT_TRUE(judged.answer.empty());
}

TEST(WireRoles, WhatIsDeniedIsAnsweredAndTheRestGoesOn) {
  bus::Packer packer;
  packer.add(Verb::kinds, bus::Ask{.request = 1});
  packer.add(bus::Submit{.request = 3, .kind = "box", .inputs = {{.name = "a", .blob = 0}}});
  packer.add_blob(zmq::message_t("abc", 3));
  packer.add(bus::Put{.request = 5, .digest = "d", .bytes = 2});
  packer.add_blob(zmq::message_t("de", 2));
  packer.add(Verb::retry, bus::Ask{.request = 7, .job = 9});
  packer.add(bus::Watch{.request = 11, .ids = {4, 5}});
  const std::string bytes = packed(packer);

  Judged judged = judge(*bus::unpack_frames(bytes), caller(Role::read));
  EXPECT_EQ(judged.denied, 3U);
  const bus::Envelope passed = read(std::move(judged.passed));
  EXPECT_EQ(verbs_of(passed), (std::vector{Verb::kinds, Verb::watch}));
  EXPECT_EQ(bus::read<bus::Watch>(passed.items()[1])->ids, (std::vector<std::int64_t>{4, 5}));
  const bus::Envelope answer = read(std::move(judged.answer));
  std::vector<std::int64_t> refused;
  for (const bus::Item& item : answer.items()) {
    const auto failure = bus::read<bus::Failure>(item);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, "E_DENIED");
    EXPECT_NE(failure->message.find("role"), std::string::npos);
    refused.push_back(failure->request);
  }
  EXPECT_EQ(refused, (std::vector<std::int64_t>{3, 5, 7}));

  judged = judge(*bus::unpack_frames(bytes), caller(Role::submit));
  EXPECT_EQ(judged.denied, 1U);
  const bus::Envelope more = read(std::move(judged.passed));
  EXPECT_EQ(verbs_of(more), (std::vector{Verb::kinds, Verb::submit, Verb::put, Verb::watch}));
  EXPECT_EQ(more.items()[1].blobs[0].to_string_view(), "abc");
  EXPECT_EQ(more.items()[2].blobs[0].to_string_view(), "de");
}

TEST(WireRoles, WithATokenAClientHasItsName) {
  bus::Packer packer;
  const auto name_after = [&](const http::Caller& who) {
    packer.add(bus::Hello{.request = 1, .client = "somebody else"});
    const bus::Envelope passed = read(judge(packer.take(), who).passed);
    return std::string(bus::read<bus::Hello>(passed.items()[0])->client);
  };
  EXPECT_EQ(name_after(caller(Role::read, "grafana")), "grafana");
  EXPECT_EQ(name_after(caller(Role::operate, "")), "somebody else");
}

TEST(WireRoles, WhatCannotBeReadIsLeftToTheFront) {
  for (const std::string_view text : {"T1", "T2", "nonsense"}) {
    bus::Frames frames;
    frames.emplace_back(text.data(), text.size());
    EXPECT_EQ(judge(std::move(frames), caller(Role::read)).passed.size(), 1U);
  }
  bus::Packer packer;  // a field of another type, beside something that is denied
  packer.add(Verb::hello, bus::Event{.job = 1, .client = "x"});
  packer.add(bus::Submit{.request = 3, .kind = "box"});
  Judged judged = judge(packer.take(), caller(Role::read));
  EXPECT_EQ(judged.denied, 1U);
  EXPECT_FALSE(judged.passed.empty());
}

// ---- on a server ----

class Speaker {
 public:
  Speaker(http::Client& client, const std::string& url) : client_(client) {
    client.open_socket(url, {"tallymill.v1"}, [this](auto opened) {
      if (!opened) return put("refused");
      socket_ = *opened;
      socket_->on_message([this](Kind, std::string_view bytes) { hear(bytes); });
      socket_->on_drained([this] { put("drained"); });
      socket_->on_closed([this](int code) { put("closed " + std::to_string(code)); });
      put("open");
    });
    EXPECT_EQ(next(), "open");
  }
  // Nothing is told to it any more.
  ~Speaker() {
    std::promise<void> gone;
    client_.post([&] {
      socket_->on_message(nullptr);
      socket_->on_drained(nullptr);
      socket_->close(1000, "");
      gone.set_value();
    });
    gone.get_future().get();
  }
  Speaker(const Speaker&) = delete;
  Speaker& operator=(const Speaker&) = delete;
  // Returns when it has left.
  void say(Kind kind, const std::string& bytes) {
    client_.post([this, kind, bytes] { EXPECT_TRUE(socket_->send(kind, bytes)); });
    EXPECT_EQ(next(), "drained");
  }
  void say(const std::string& bytes) { say(Kind::binary, bytes); }
  // It may be hung up on before it has said all of it.
  void try_to_say(const std::string& bytes) {
    client_.post([this, bytes] { (void)socket_->send(Kind::binary, bytes); });
  }
  std::string next_but_drained() {
    std::string what = next();
    while (what == "drained") what = next();
    return what;
  }
  void leave() {
    client_.post([this] { socket_->close(1000, ""); });
  }
  // What it is told is not read until it goes on.
  void hold() { held_.emplace(reading_); }
  void go_on() { held_.reset(); }
  std::string next() {
    std::unique_lock lock(mutex_);
    if (!came_.wait_for(lock, std::chrono::seconds(20), [&] { return !told_.empty(); }))
      return "nothing";
    std::string first = std::move(told_.front());
    told_.pop_front();
    return first;
  }

 private:
  void hear(std::string_view bytes) {
    const std::lock_guard until_it_reads(reading_);
    put(std::string(bytes));
  }
  void put(std::string what) {
    const std::lock_guard lock(mutex_);
    told_.push_back(std::move(what));
    came_.notify_one();
  }

  http::Client& client_;
  std::shared_ptr<http::Socket> socket_;
  std::mutex reading_;
  std::optional<std::unique_lock<std::mutex>> held_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::string> told_;
};

class WireTest : public ::testing::Test {
 protected:
  WireTest() {
    front_ = *bus::open_socket(context_, bus::Role::front_jobs, front_address());
    EXPECT_TRUE(server_.open());
    server_.start();
    EXPECT_TRUE(client_.start());
  }
  ~WireTest() override {
    client_.stop();
    server_.stop();
    wires_.reset();
  }

  http::Router routes() {
    http::Router router;
    router.add({http::Method::get,
                "/wire",
                Role::none,
                {.socket =
                     [this](http::Request&& request, const std::shared_ptr<http::Socket>& socket) {
                       const bool reads = http::find(request.query, "role") == "read";
                       wires_->open(caller(reads ? Role::read : Role::operate, ""), socket);
                     }},
                {},
                limits::wire_message_bytes});
    return router;
  }
  Speaker speaker(const std::string& query = "") {
    return {client_, "http://127.0.0.1:" + std::to_string(server_.port()) + "/wire" + query};
  }
  // The next message of a client, at the front; its frames packed.
  std::string next_at_front() {
    bus::Frames frames;
    EXPECT_TRUE(becomes([&] { return bus::receive(front_, from_, frames); }));
    return bus::pack_frames(frames);
  }
  void answer(std::string_view bytes) {
    EXPECT_TRUE(bus::send(front_, from_, *bus::unpack_frames(bytes)));
  }
  double value_of(std::string_view name) {
    for (const auto& family : registry_.snapshot().families)
      if (family.name == name) return family.samples.at(0).value;
    return -1;
  }
  template <class Condition>
  bool becomes(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) return true;
      std::this_thread::yield();
    }
    return false;
  }
  static std::string message(std::size_t packed_bytes) {
    bus::Frames frames;
    while (packed_bytes > 0) {
      const std::size_t size = std::min<std::size_t>(packed_bytes, 8 << 20);
      frames.emplace_back(size - 4);
      std::memset(frames.back().data(), 'x', size - 4);
      packed_bytes -= size;
    }
    return bus::pack_frames(frames);
  }

  zmq::context_t context_;
  zmq::socket_t front_;
  bus::Route from_;
  metrics::Registry registry_;
  Probe probe_{registry_};
  http::Server server_{routes(), {}};
  std::unique_ptr<Wires> wires_ =
      std::make_unique<Wires>(server_, context_, front_address(), probe_);
  http::Client client_{{.message_bytes = Bytes(bus::most_packed_bytes)}};
};

constexpr auto most = static_cast<std::size_t>(limits::wire_message_bytes.raw());
constexpr auto most_waiting = static_cast<std::size_t>(limits::wire_waiting_bytes.raw());

TEST_F(WireTest, MessagesGoBothWaysAsTheyAre) {
  Speaker speaker = this->speaker();
  bus::Packer packer;
  packer.add(Verb::ping, bus::Ask{.request = 5});
  const std::string ping = packed(packer);
  speaker.say(ping);
  EXPECT_EQ(next_at_front(), ping);
  answer(message(2 << 20));
  EXPECT_EQ(speaker.next(), message(2 << 20));
  EXPECT_EQ(value_of("tallymill_wire_sockets"), 1);
  speaker.leave();
  EXPECT_TRUE(becomes([&] { return value_of("tallymill_wire_sockets") == 0; }));
}

TEST_F(WireTest, WhatIsDeniedIsAnsweredAndCounted) {
  Speaker speaker = this->speaker("?role=read");
  bus::Packer packer;
  packer.add(bus::Submit{.request = 3, .kind = "box"});
  speaker.say(packed(packer));
  auto frames = bus::unpack_frames(speaker.next());
  ASSERT_TRUE(frames);
  const bus::Envelope told = read(std::move(*frames));
  EXPECT_EQ(bus::read<bus::Failure>(told.items()[0])->request, 3);
  EXPECT_EQ(value_of("tallymill_wire_denied_total"), 1);
  packer.add(Verb::ping, bus::Ask{.request = 5});
  const std::string ping = packed(packer);
  speaker.say(ping);
  EXPECT_EQ(next_at_front(), ping) << "nothing came before it";
}

TEST_F(WireTest, WhoDoesNotSpeakItIsHungUpOn) {
  Speaker text = speaker();
  text.say(Kind::text, "hello");
  EXPECT_EQ(text.next(), "closed 1003");
  Speaker lies = speaker();
  lies.say(std::string("\0\0\0\7T1", 6));
  EXPECT_EQ(lies.next(), "closed 1007");
  EXPECT_TRUE(becomes([&] { return value_of("tallymill_wire_sockets") == 0; }));
  EXPECT_TRUE(becomes([&] { return value_of("tallymill_wire_refused_total") == 2; }));
}

TEST_F(WireTest, AMessageMayBeAsLargeAsItMayAndNoLarger) {
  Speaker large = speaker();
  large.say(message(most));
  EXPECT_EQ(next_at_front().size(), most);
  Speaker larger = speaker();
  larger.try_to_say(message(most + 8));
  // Why it is closed is lost when the rest of the message meets a connection that is gone.
  const std::string told = larger.next_but_drained();
  EXPECT_TRUE(told == "closed 1009" || told == "closed 1006") << told;
}

TEST_F(WireTest, AsManySpeakAsMayAndOneMoreIsToldToComeLater) {
  std::deque<Speaker> all;
  const std::string url = "http://127.0.0.1:" + std::to_string(server_.port()) + "/wire";
  for (std::size_t i = 0; i < limits::wire_sockets; ++i) all.emplace_back(client_, url);
  EXPECT_TRUE(becomes([&] { return value_of("tallymill_wire_sockets") == limits::wire_sockets; }));
  Speaker more = speaker();
  EXPECT_EQ(more.next(), "closed 1013");
  all.front().leave();
  EXPECT_TRUE(
      becomes([&] { return value_of("tallymill_wire_sockets") == limits::wire_sockets - 1; }));
  Speaker again = speaker();
  again.say(message(100));
  EXPECT_EQ(next_at_front(), message(100));
}

TEST_F(WireTest, WhatTheFrontDoesNotTakeWaitsUpToABound) {
  Speaker speaker = this->speaker("?role=read");
  // What was said before has arrived when this, which is denied, was answered.
  const auto say = [&](const std::string& bytes) {
    speaker.say(bytes);
    bus::Packer packer;
    packer.add(bus::Submit{.request = 3, .kind = "box"});
    speaker.try_to_say(packed(packer));
    const std::string first = speaker.next();
    const std::string second = speaker.next();
    EXPECT_NE(first == "drained", second == "drained") << first << second;
  };
  const auto waiting = [&] {
    return static_cast<std::size_t>(value_of("tallymill_wire_waiting_bytes"));
  };
  for (int said = 0; waiting() == 0; ++said) {
    ASSERT_LT(said, 1000);
    say(message(1000));
  }
  const std::size_t half = (most_waiting - waiting()) / 2;
  say(message(half));
  say(message(most_waiting - waiting()));
  EXPECT_EQ(waiting(), most_waiting);
  speaker.try_to_say(message(5));
  EXPECT_EQ(speaker.next_but_drained(), "closed 1008");
  EXPECT_TRUE(becomes([&] { return waiting() == 0; }));
}

TEST_F(WireTest, AClientThatDoesNotReadIsHeldUpAndMissesNothing) {
  Speaker speaker = this->speaker();
  speaker.say(message(10));
  (void)next_at_front();
  speaker.hold();
  const std::string large = message(1 << 20);
  constexpr int many = 40;  // more than the system's buffers hold
  for (int i = 0; i < many; ++i) {
    answer(large);
    ASSERT_LE(value_of("tallymill_wire_waiting_bytes"), double(large.size()));
  }
  EXPECT_TRUE(
      becomes([&] { return value_of("tallymill_wire_waiting_bytes") == double(large.size()); }));
  speaker.go_on();
  for (int i = 0; i < many; ++i) ASSERT_EQ(speaker.next(), large) << i;
  EXPECT_TRUE(becomes([&] { return value_of("tallymill_wire_waiting_bytes") == 0; }));
}

}  // namespace
}  // namespace tallymill::gateway
