// Prober. Goal: whatever an endpoint answers, its try ends in time with 1 or 0, and its neighbours
// are asked all the while. Method: real sockets; servers that answer, refuse, say nothing, trickle,
// and speak another language. A real redis and PostgreSQL: e2e/prober_test.py.
#include "alerting/prober.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>

#include "alerting/prober_redis.h"
#include "base/clock.h"
#include "tests/http/raw_server.h"

namespace tallymill::alerting {
namespace {

using http::RawPeer;
using http::RawServer;
using std::chrono::milliseconds;
using Kind = ProbeConfig::Kind;

// What came last of each probe, and how often.
class Heard final : public SampleSink {
 public:
  Status append(std::span<const Sample> samples) override {
    const std::lock_guard hold(mutex_);
    for (const Sample& one : samples) {
      auto& heard = heard_[std::string(one.labels.get("probe"))];
      if (one.labels.metric() == "tallymill_probe_up")
        heard.up = one.value;
      else
        heard.seconds = one.value, ++heard.tries;
    }
    changed_.notify_all();
    return {};
  }
  struct One {
    double up = -1;
    double seconds = -1;
    int tries = 0;
  };
  // After so many tries.
  One of(const std::string& probe, int tries = 1) {
    std::unique_lock hold(mutex_);
    EXPECT_TRUE(changed_.wait_for(hold, std::chrono::seconds(30),
                                  [&] { return heard_[probe].tries >= tries; }));
    return heard_[probe];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, One> heard_;
};

class ProberTest : public ::testing::Test {
 protected:
  static ProbeConfig probe(const std::string& name, Kind kind, const RawServer& server,
                           milliseconds timeout = milliseconds(5000)) {
    ProbeConfig made{.name = name, .kind = kind, .target = server.url()};
    made.host = "127.0.0.1";
    made.port = static_cast<std::uint16_t>(std::stoi(server.url("").substr(17)));
    made.url = server.url();
    made.interval = timeout;
    made.timeout = timeout;
    return made;
  }
  void add(ProbeConfig made) { probes_.push_back(std::move(made)); }
  void start() {
    prober_ = std::make_unique<Prober>(std::move(probes_), heard_, registry_, clock_);
    ASSERT_TRUE(prober_->start());
  }
  // What a redis that answers so makes of it.
  double redis(const std::string& answer, const std::string& password = "") {
    RawServer server([&](RawPeer& peer, int) {
      peer.take(1);
      peer.send(answer);
      peer.wait_for_end();
    });
    Heard heard;
    std::vector<ProbeConfig> probes;
    probes.push_back(probe("r", Kind::redis, server, milliseconds(500)));
    probes.back().secret = Secret(std::string(password));
    Prober prober(std::move(probes), heard, registry_, clock_);
    EXPECT_TRUE(prober.start());
    return heard.of("r").up;
  }

  SystemClock clock_;
  metrics::Registry registry_;
  Heard heard_;
  std::vector<ProbeConfig> probes_;
  std::unique_ptr<Prober> prober_;
};

TEST_F(ProberTest, ARedisAnswersPong) {
  EXPECT_EQ(redis("+PONG\r\n"), 1);
  EXPECT_EQ(redis("+OK\r\n+PONG\r\n", "password"), 1);
}

TEST_F(ProberTest, WhatIsNoPongIsDown) {
  for (const std::string& answer :
       {std::string("-NOAUTH Authentication required.\r\n"), std::string("-\r\n"),
        std::string("+OK\r\n"), std::string(":1\r\n"), std::string("$4\r\nPONG\r\n"),
        std::string("*1000000000\r\n"), std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
        std::string("+PON"), std::string(1, '\0'), "+" + std::string(1 << 20, 'P'),
        std::string("+PONG\n")})
    EXPECT_EQ(redis(answer), 0) << answer.substr(0, 40);
}

// What a redis with one line of so many bytes is taken for.
Errc line_of(std::size_t size) {
  RawServer server([&](RawPeer& peer, int) {
    peer.send("-ERR " + std::string(size - 7, 'x') + "\r\n");
    peer.wait_for_end();
  });
  const SystemClock clock;
  const store::File never(::eventfd(0, EFD_CLOEXEC));
  ProbeConfig probe{.name = "r", .kind = Kind::redis, .host = "127.0.0.1"};
  probe.port = static_cast<std::uint16_t>(std::stoi(server.url("").substr(17)));
  const auto asked =
      ping_redis(probe, ProberWait(never.fd(), clock.now() + std::chrono::seconds(20), clock));
  return asked ? Errc::busy : asked.error().code;
}

TEST_F(ProberTest, AnAnswerOfARedisIsSoLongAndNoLonger) {
  EXPECT_EQ(line_of(limits::probe_line_bytes), Errc::away);
  EXPECT_EQ(line_of(limits::probe_line_bytes + 1), Errc::bad_frame);
  EXPECT_EQ(line_of(limits::probe_line_bytes + 2), Errc::bad_frame);
}

TEST_F(ProberTest, APasswordThatIsNotTakenIsDown) {
  EXPECT_EQ(redis("-WRONGPASS no\r\n+PONG\r\n", "password"), 0);
  EXPECT_EQ(redis("+PONG\r\n+PONG\r\n", "password"), 0);
}

TEST_F(ProberTest, OneThatTricklesIsOverInItsTime) {
  const auto trickling = [](const std::string& text) {
    return [text](RawPeer& peer, int) {
      for (const char c : text) {
        if (!peer.send(std::string(1, c))) return;
        timeval wait{.tv_sec = 0, .tv_usec = 20'000};
        ::select(0, nullptr, nullptr, nullptr, &wait);
      }
    };
  };
  RawServer web(
      trickling("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + std::string(500, 'x')));
  RawServer cache(trickling("+" + std::string(500, 'P')));
  add(probe("h", Kind::http, web, milliseconds(400)));
  add(probe("r", Kind::redis, cache, milliseconds(400)));
  start();
  for (const char* name : {"h", "r"}) {
    const auto heard = heard_.of(name);
    EXPECT_EQ(heard.up, 0) << name;
    EXPECT_GE(heard.seconds, 0.39) << name;  // a timer may be early by its grain
    EXPECT_LT(heard.seconds, 3) << name;
  }
  prober_->stop();
}

TEST_F(ProberTest, OneThatSaysNothingHoldsUpNoOther) {
  RawServer silent([](RawPeer& peer, int) { peer.wait_for_end(); });
  RawServer answers([](RawPeer& peer, int) {
    while (!peer.head().empty()) peer.answer("ok");
  });
  add(probe("silent", Kind::redis, silent, milliseconds(60'000)));
  ProbeConfig web = probe("web", Kind::http, answers, milliseconds(100));
  web.timeout = milliseconds(20'000);
  add(std::move(web));
  start();
  EXPECT_EQ(heard_.of("web", 5).up, 1);
  // Nor does it hold up the end.
  const Instant begin = clock_.now();
  prober_->stop();
  EXPECT_LT(clock_.now() - begin, std::chrono::seconds(10));
}

TEST_F(ProberTest, ABodyThatIsTooLargeIsDown) {
  RawServer server([](RawPeer& peer, int) {
    const std::string body(static_cast<std::size_t>(limits::probe_body_bytes) + 1, 'x');
    while (!peer.head().empty()) peer.answer(body);
  });
  add(probe("w", Kind::http, server));
  start();
  EXPECT_EQ(heard_.of("w").up, 0);
}

TEST_F(ProberTest, ABodyOfTheLargestSizeIsUp) {
  RawServer server([](RawPeer& peer, int) {
    const std::string body(static_cast<std::size_t>(limits::probe_body_bytes), 'x');
    while (!peer.head().empty()) peer.answer(body);
  });
  add(probe("w", Kind::http, server));
  start();
  EXPECT_EQ(heard_.of("w").up, 1);
}

TEST_F(ProberTest, ACaFileThatIsNotThereIsToldAtTheStart) {
  RawServer server([](RawPeer&, int) {});
  ProbeConfig web = probe("w", Kind::http, server);
  web.ca_file = "/nowhere/ca.pem";
  add(std::move(web));
  prober_ = std::make_unique<Prober>(std::move(probes_), heard_, registry_, clock_);
  EXPECT_FALSE(prober_->start());
}

}  // namespace
}  // namespace tallymill::alerting
