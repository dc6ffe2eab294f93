// A client over links of its maker's. Goal: it makes another when one breaks, and tells why there
// is none; what nobody will change his mind about ends its tries, and its calls. Method: real links
// to a fake front, and links that only fail.
#include "bus/link.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "bus/client.h"
#include "tests/fakes/front_desk.h"

namespace tallymill::bus {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using What = Link::Change::What;

const SystemClock system_clock;

// Goes through these changes, one each millisecond, the last again and again.
class Failing final : public Link {
 public:
  Failing(Loop& loop, LinkCalls calls, std::vector<Change> changes)
      : loop_(loop), calls_(std::move(calls)), changes_(std::move(changes)) {
    arm();
  }
  ~Failing() override { loop_.cancel(timer_); }
  Failing(const Failing&) = delete;
  Failing& operator=(const Failing&) = delete;

  bool next(Change& change) override {
    if (!std::exchange(due_, false)) return false;
    change = changes_.at(std::min(at_++, changes_.size() - 1));
    arm();
    return true;
  }
  bool receive(Frames&) override { return false; }
  Status send(Frames&&) override { return {}; }

 private:
  void arm() {
    timer_ = loop_.once(milliseconds(1), [this, changed = calls_.changed] {
      due_ = true;
      changed();
    });
  }
  Loop& loop_;
  const LinkCalls calls_;
  const std::vector<Change> changes_;
  std::size_t at_ = 0;
  bool due_ = false;
  Loop::TimerId timer_ = 0;
};

class LinkTest : public ::testing::Test {
 protected:
  Dial failing(const std::vector<Link::Change>& changes) {
    return [this, changes](Loop& on, LinkCalls calls) -> Result<std::unique_ptr<Link>> {
      ++dialled;
      return std::make_unique<Failing>(on, std::move(calls), changes);
    };
  }
  // The first is to the front, what follows is `then`'s.
  Dial working_once(const Dial& then) {
    return [this, then](Loop& on, LinkCalls calls) -> Result<std::unique_ptr<Link>> {
      if (dialled++ > 0) return then(on, std::move(calls));
      return open_zmq_link(context, on, {.endpoint = front.endpoint()}, std::move(calls));
    };
  }
  Status connect(Dial dial, Duration timeout = seconds(20)) {
    Client client(loop, {.fail_fast = true, .dial = std::move(dial)});
    return client.connect("http://mill", timeout);
  }

  zmq::context_t context;
  Loop loop{system_clock};
  fakes::FrontDesk front{loop};
  int dialled = 0;
};

TEST_F(LinkTest, ItsReasonIsTheErrorOfConnect) {
  const auto away = connect(failing({{What::failed, Error{Errc::away, "no route"}}}));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, Errc::away);
  EXPECT_EQ(away.error().message, "no route");
  // Without one the endpoint stands there.
  const auto silent = connect(failing({{What::failed}}));
  EXPECT_NE(silent.error().message.find("http://mill"), std::string::npos);
}

TEST_F(LinkTest, WhatIsNotWorthARetryIsTriedOnce) {
  const auto told = connect(failing({{What::failed, Error{Errc::unauthenticated, "no token"}}}));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, Errc::unauthenticated);
  EXPECT_EQ(dialled, 1);
}

TEST_F(LinkTest, OneThatBreaksBeforeTheWelcomeIsMadeAgain) {
  const auto told =
      connect(failing({{What::connected}, {What::disconnected, Error{Errc::busy, "come later"}}}),
              milliseconds(200));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().code, Errc::busy);
  EXPECT_GT(dialled, 1);
}

TEST_F(LinkTest, AWaitEndsWhenTheFrontWillNotHaveItsClientAnyMore) {
  Client client(loop, {.dial = working_once(failing(
                           {{What::failed, Error{Errc::away, "restarting"}},
                            {What::failed, Error{Errc::unauthenticated, "token withdrawn"}}}))});
  ASSERT_TRUE(client.connect("http://mill", seconds(20)));
  const auto job = client.submit({.kind = "synthetic"}, seconds(20));
  ASSERT_TRUE(job);
  front.stop();
  const auto end = client.wait(*job, std::chrono::hours(24));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::unauthenticated);
  const auto another = client.submit({.kind = "synthetic"}, std::chrono::hours(24));
  EXPECT_EQ(another.error().code, Errc::unauthenticated);
  EXPECT_EQ(client.ping(std::chrono::hours(24)).error().code, Errc::unauthenticated);
}

TEST_F(LinkTest, AWaitGoesOnOverTheNextLink) {
  const Dial again = [this](Loop& on, LinkCalls calls) -> Result<std::unique_ptr<Link>> {
    return open_zmq_link(context, on, {.endpoint = front.endpoint()}, std::move(calls));
  };
  Client client(loop, {.dial = working_once(again)});
  ASSERT_TRUE(client.connect("http://mill", seconds(20)));
  const auto job = client.submit({.kind = "synthetic"}, seconds(20));
  ASSERT_TRUE(job);
  front.stop();
  front.start();
  front.end(job->raw());
  const auto end = client.wait(*job, seconds(20));
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_TRUE(end->done());
  EXPECT_EQ(client.reconnects(), 1);
}

}  // namespace
}  // namespace tallymill::bus
