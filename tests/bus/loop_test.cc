// The loop. Goal: everything that becomes ready is run, once, and nothing waits for what is not.
// Method: real sockets and fds on this thread; time is a clock that the test moves.
#include "bus/loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "bus/mailbox.h"

namespace tallymill::bus {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TestClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return now_; }
  [[nodiscard]] WallTime wall() const override { return WallTime(now_.time_since_epoch()); }
  void advance(Duration by) { now_ += by; }

 private:
  Instant now_{seconds(1000)};
};

constexpr Duration at_once{0};
constexpr Duration patience = seconds(20);

struct Pair {
  Pair() {
    in.bind("inproc://pair");
    out.connect("inproc://pair");
  }
  void send(const std::string& text) { out.send(zmq::buffer(text), zmq::send_flags::none); }
  bool receive(std::string& text) {
    zmq::message_t m;
    if (!in.recv(m, zmq::recv_flags::dontwait)) return false;
    text = m.to_string();
    return true;
  }
  zmq::context_t context;
  zmq::socket_t in{context, zmq::socket_type::pair};
  zmq::socket_t out{context, zmq::socket_type::pair};
};

TEST(Loop, RunsACallbackWhileItsSocketHasMessagesAlsoWhenItTakesOneATurn) {
  const TestClock clock;
  Loop loop(clock);
  Pair pair;
  std::vector<std::string> got;
  loop.watch(pair.in, [&] {
    std::string text;
    if (pair.receive(text)) got.push_back(text);
  });
  for (const char* text : {"a", "b", "c"}) pair.send(text);
  while (got.size() < 3) ASSERT_TRUE(loop.turn(patience));
  EXPECT_EQ(got, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_FALSE(loop.turn(at_once));
}

TEST(Loop, SeesInputWhoseEdgeWasSwallowedByASendOnTheSameSocket) {
  const TestClock clock;
  Loop loop(clock);
  Pair pair;
  int got = 0;
  loop.watch(pair.in, [&] {
    std::string text;
    while (pair.receive(text)) ++got;
  });
  // The turn end touches the socket after its message came: the fd's edge is gone when it sleeps.
  const int kick = eventfd(1, EFD_NONBLOCK);
  loop.watch(kick, [&] {
    std::uint64_t n = 0;
    (void)!::read(kick, &n, sizeof n);
  });
  loop.at_turn_end([&, sent = false]() mutable {
    if (std::exchange(sent, true)) return;
    pair.send("late");
    pair.in.send(zmq::str_buffer("touch"), zmq::send_flags::none);
    (void)pair.in.get(zmq::sockopt::events);
  });
  ASSERT_TRUE(loop.turn(patience));
  ASSERT_TRUE(loop.turn(patience));
  EXPECT_EQ(got, 1);
  loop.unwatch(kick);
  ::close(kick);
}

TEST(Loop, RunsTimersWhenTheClockSaysSoInOrderAndLateOnesOnce) {
  TestClock clock;
  Loop loop(clock);
  std::string order;
  loop.once(milliseconds(20), [&] { order += 'b'; });
  loop.once(milliseconds(10), [&] { order += 'a'; });
  loop.every(milliseconds(30), [&] { order += 'p'; });
  EXPECT_FALSE(loop.turn(at_once));
  clock.advance(milliseconds(25));
  EXPECT_TRUE(loop.turn(at_once));
  EXPECT_EQ(order, "ab");
  clock.advance(milliseconds(1000));
  EXPECT_TRUE(loop.turn(at_once));
  EXPECT_FALSE(loop.turn(at_once));
  EXPECT_EQ(order, "abp");
  clock.advance(milliseconds(30));
  EXPECT_TRUE(loop.turn(at_once));
  EXPECT_EQ(order, "abpp");
}

TEST(Loop, ATimerMayCancelItselfAndOthersAndAChainOfThemLeavesTheSocketsTheirTurn) {
  TestClock clock;
  Loop loop(clock);
  int ticks = 0;
  int links = 0;
  Loop::TimerId self = 0;
  self = loop.every(milliseconds(1), [&] {
    ++ticks;
    loop.cancel(self);
  });
  const auto other = loop.once(milliseconds(1), [&] { ticks += 100; });
  loop.cancel(other);
  std::function<void()> link = [&] {
    ++links;
    loop.once(Duration(0), link);
  };
  loop.once(Duration(0), link);
  for (int i = 0; i < 5; ++i) {
    clock.advance(milliseconds(2));
    EXPECT_TRUE(loop.turn(at_once));
  }
  EXPECT_EQ(ticks, 1);
  EXPECT_EQ(links, 5);
}

TEST(Loop, ACallbackMayUnwatchItselfAndOthersAndWatchNewOnes) {
  const TestClock clock;
  Loop loop(clock);
  const int a = eventfd(1, EFD_NONBLOCK);
  const int b = eventfd(1, EFD_NONBLOCK);
  const int c = eventfd(1, EFD_NONBLOCK);
  std::string ran;
  loop.watch(a, [&] {
    ran += 'a';
    loop.unwatch(a);
    loop.unwatch(b);
    loop.watch(c, [&] {
      ran += 'c';
      loop.unwatch(c);
    });
  });
  loop.watch(b, [&] { ran += 'b'; });
  EXPECT_TRUE(loop.turn(at_once));
  EXPECT_TRUE(loop.turn(at_once));
  EXPECT_FALSE(loop.turn(at_once));
  EXPECT_EQ(ran, "ac");
  for (const int fd : {a, b, c}) ::close(fd);
}

TEST(Loop, FlushesAtTheEndOfTheTurnThatGathered) {
  const TestClock clock;
  Loop loop(clock);
  Pair pair;
  int gathered = 0;
  std::vector<int> flushed;
  loop.watch(pair.in, [&] {
    std::string text;
    while (pair.receive(text)) ++gathered;
  });
  loop.at_turn_end([&] {
    if (gathered > 0) flushed.push_back(std::exchange(gathered, 0));
  });
  for (int i = 0; i < 7; ++i) pair.send("x");
  ASSERT_TRUE(loop.turn(patience));
  EXPECT_EQ(flushed, std::vector<int>{7});
}

TEST(Loop, TakesEverythingThatManyThreadsPutAndStopsFromAnother) {
  const SystemClock clock;
  Loop loop(clock);
  constexpr int writers = 4;
  constexpr int each = 5'000;
  Mailbox<int> box(128);
  std::vector<int> taken;
  std::vector<int> batch;
  loop.watch(box.fd(), [&] {
    box.take(batch);
    taken.insert(taken.end(), batch.begin(), batch.end());
    if (taken.size() == writers * each) loop.stop();
  });
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < each; ++i) {
        while (!box.put(w * each + i)) std::this_thread::yield();
      }
    });
  }
  loop.run();
  for (auto& t : threads) t.join();
  std::ranges::sort(taken);
  for (int i = 0; i < writers * each; ++i) ASSERT_EQ(taken[static_cast<std::size_t>(i)], i);

  std::thread stopper([&] { loop.stop(); });
  loop.run();
  stopper.join();
}

}  // namespace
}  // namespace tallymill::bus
