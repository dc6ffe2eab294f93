// Errands beside a loop. Goal: each is run once, in order, on another thread, its answer on the
// loop; one above the bound is refused; it ends after the one that runs. Method: a real
// loop and thread; the first errand is held back until the test lets it go.
#include "bus/errands.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "bus/loop.h"

namespace tallymill::bus {
namespace {

class ErrandsTest : public ::testing::Test {
 protected:
  ErrandsTest() {
    loop_.once(std::chrono::seconds(30), [this] {
      ADD_FAILURE() << "no answer in 30 s";
      loop_.stop();
    });
  }
  SystemClock clock_;
  Loop loop_{clock_};
};

TEST_F(ErrandsTest, EachIsRunOnceInOrderAndItsAnswerComesToTheLoop) {
  Errands errands(loop_, 1000, "errands");
  const auto loop_thread = std::this_thread::get_id();
  std::vector<int> answered;
  for (int n = 0; n < 600; ++n)
    ASSERT_TRUE(errands.put([&, n]() -> Errands::Answer {
      EXPECT_NE(std::this_thread::get_id(), loop_thread);
      return [&, n] {
        EXPECT_EQ(std::this_thread::get_id(), loop_thread);
        answered.push_back(n);
        if (n == 599) loop_.stop();
      };
    }));
  loop_.run();
  ASSERT_EQ(answered.size(), 600U);
  for (int n = 0; n < 600; ++n) EXPECT_EQ(answered[static_cast<std::size_t>(n)], n);
  EXPECT_EQ(errands.waiting(), 0U);
}

TEST_F(ErrandsTest, OneAboveTheBoundIsRefusedAndTakenAgainAfterAnAnswer) {
  std::promise<void> begun, go;
  Errands errands(loop_, 2, "errands");
  ASSERT_TRUE(errands.put([&]() -> Errands::Answer {
    begun.set_value();
    go.get_future().wait();
    return {};
  }));
  begun.get_future().wait();  // it runs: it does not wait any more
  const auto nothing = []() -> Errands::Answer { return {}; };
  EXPECT_TRUE(errands.put(nothing));
  EXPECT_TRUE(errands.put([this]() -> Errands::Answer { return [this] { loop_.stop(); }; }));
  EXPECT_FALSE(errands.put(nothing));
  EXPECT_EQ(errands.waiting(), 2U);
  go.set_value();
  loop_.run();
  EXPECT_TRUE(errands.put(nothing));
}

TEST_F(ErrandsTest, NothingOfAnErrandIsHeldAfterItsAnswer) {
  Errands errands(loop_, 10, "errands");
  auto held = std::make_shared<int>(7);
  const std::weak_ptr<int> watched = held;
  ASSERT_TRUE(errands.put([this, held = std::move(held)]() mutable -> Errands::Answer {
    return [this, held = std::move(held)] {
      loop_.once(std::chrono::milliseconds(1), [this] { loop_.stop(); });
    };
  }));
  loop_.run();
  EXPECT_TRUE(watched.expired());
}

TEST_F(ErrandsTest, ItEndsOnlyAfterTheOneThatRuns) {
  std::promise<void> begun, go;
  bool ended = false;
  auto errands = std::make_unique<Errands>(loop_, 10, "errands");
  ASSERT_TRUE(errands->put([&]() -> Errands::Answer {
    begun.set_value();
    go.get_future().wait();
    ended = true;
    return {};
  }));
  begun.get_future().wait();
  std::thread releaser([&] { go.set_value(); });
  errands.reset();
  EXPECT_TRUE(ended);
  releaser.join();
}

}  // namespace
}  // namespace tallymill::bus
