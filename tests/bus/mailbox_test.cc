// Mailboxes. Goal: every value that was put is taken once, in its writer's order, the bound holds,
// and no reader sleeps through a value. Method: writers on threads, the reader waiting by wait()
// and by poll() on the fd.
#include "bus/mailbox.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <thread>
#include <vector>

namespace tallymill::bus {
namespace {

struct Value {
  int writer = 0;
  int number = 0;
};

constexpr int writers = 3;
constexpr int each = 20'000;
constexpr std::size_t bound = 64;

// Reads by `next` until all came; checks order and bound.
template <class Next>
void read_all(Mailbox<Value>& box, Next&& next) {
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&box, w] {
      for (int i = 0; i < each; ++i) {
        while (!box.put({w, i})) std::this_thread::yield();
      }
    });
  }
  std::vector<int> expected(writers, 0);
  std::vector<Value> batch;
  for (int got = 0; got < writers * each; got += static_cast<int>(batch.size())) {
    next(batch);
    EXPECT_LE(batch.size(), bound);
    for (const Value& v : batch)
      EXPECT_EQ(v.number, expected[static_cast<std::size_t>(v.writer)]++);
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(box.size(), 0u);
}

TEST(Mailbox, AWaitingReaderGetsEverythingOnceAndInOrder) {
  Mailbox<Value> box(bound);
  read_all(box, [&](std::vector<Value>& batch) { box.wait(batch); });
}

TEST(Mailbox, APollingReaderGetsEverythingOnceAndInOrder) {
  Mailbox<Value> box(bound);
  read_all(box, [&](std::vector<Value>& batch) {
    pollfd ready{box.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, 30'000), 1);
    box.take(batch);
  });
}

TEST(Mailbox, IsBoundedAndGivesTheRefusedValueBack) {
  Mailbox<std::unique_ptr<int>> box(2);
  EXPECT_TRUE(box.put(std::make_unique<int>(1)));
  EXPECT_TRUE(box.put(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(box.put(std::move(third)));
  ASSERT_TRUE(third);
  std::vector<std::unique_ptr<int>> out;
  EXPECT_TRUE(box.take(out));
  EXPECT_EQ(out.size(), 2u);
  EXPECT_FALSE(box.take(out));
  EXPECT_TRUE(out.empty());
}

TEST(Mailbox, ANudgeWakesAReaderOfAnEmptyBox) {
  Mailbox<int> box(1);
  std::vector<int> out;
  std::thread reader([&] { EXPECT_FALSE(box.wait(out)); });
  box.nudge();
  reader.join();
  box.nudge();
  pollfd ready{box.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&ready, 1, 0), 1);
  EXPECT_FALSE(box.take(out));
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
}

}  // namespace
}  // namespace tallymill::bus
