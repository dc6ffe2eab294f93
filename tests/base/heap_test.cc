// Goal: memory that is free goes back to the system, of an idle process, and once. Method: IdleTrim
// on made-up times; a real heap with a hole under a block that stays, in the C library's allocator.
#include "base/heap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/proc.h"

namespace tallymill {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(Duration since) { return Instant(since); }

TEST(IdleTrim, AProcessIsIdleWhenItHasUsedLittleForSoLong) {
  IdleTrim trim;
  Duration cpu = seconds(1);
  std::vector<int> idle;
  for (int second = 0; second < 30; ++second) {
    if (second < 10 || (second >= 20 && second < 23)) cpu += milliseconds(500);
    cpu += milliseconds(20);  // what idling takes
    if (trim.is_idle(at(seconds(second)), cpu)) idle.push_back(second);
  }
  const int after = static_cast<int>(limits::heap_idle.count());
  std::vector<int> expected;
  for (int second = 9 + after; second < 20; ++second) expected.push_back(second);
  for (int second = 22 + after; second < 30; ++second) expected.push_back(second);
  EXPECT_EQ(idle, expected);
}

TEST(IdleTrim, AProcessIsNeverIdleBetweenBursts) {
  IdleTrim trim;
  Duration cpu{0};
  for (int second = 0; second < 100; ++second) {
    cpu += milliseconds(second % 3 == 0 ? 400 : 10);  // with less than heap_idle between
    EXPECT_FALSE(trim.is_idle(at(seconds(second)), cpu));
  }
}

TEST(IdleTrim, IsDueOnceForWhatBecameSpareAndNotForWhatATrimLeaves) {
  constexpr std::uint64_t mib = 1 << 20;
  IdleTrim trim;
  EXPECT_TRUE(trim.due(50 * mib));
  trim.trimmed(20 * mib);
  EXPECT_FALSE(trim.due(20 * mib));
  EXPECT_FALSE(trim.due(21 * mib - 1));
  EXPECT_TRUE(trim.due(21 * mib)) << "freed since";
  trim.trimmed(21 * mib);
  EXPECT_FALSE(trim.due(21 * mib)) << "nothing of it could be given back";
  EXPECT_FALSE(trim.due(5 * mib)) << "it is in use again";
  EXPECT_TRUE(trim.due(20 * mib));
}

TEST(IdleTrim, IsDueOnceMoreWhenItHasBeenIdleForLong) {
  IdleTrim trim;
  const auto looks = [&](int from, int until, Duration cpu) {
    std::vector<int> due;
    for (int second = from; second < until; ++second)
      if (trim.is_idle(at(seconds(second)), cpu) && trim.due(100)) due.push_back(second);
    return due;
  };
  EXPECT_EQ(looks(0, 100, Duration(0)), std::vector<int>()) << "it never did anything";
  EXPECT_EQ(looks(100, 200, seconds(1)), std::vector<int>{120});
  EXPECT_EQ(looks(200, 300, seconds(2)), std::vector<int>{220});
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
std::uint64_t resident() {
  return process_stat(read_proc("/proc/self/stat"))->resident_pages *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

TEST(Heap, FreeMemoryBelowABlockThatStaysGoesBackWhenTrimmed) {
  const std::uint64_t before = resident();
  const Heap heap_before = read_heap();
  constexpr std::size_t pieces = 20'000;
  constexpr std::size_t piece = 4'000;
  std::vector<std::unique_ptr<char[]>> blocks;
  for (std::size_t i = 0; i < pieces; ++i) {
    blocks.push_back(std::make_unique<char[]>(piece));
    std::memset(blocks.back().get(), 1, piece);
  }
  auto stays = std::make_unique<char[]>(piece);
  EXPECT_GE(read_heap().allocated_bytes, heap_before.allocated_bytes + pieces * piece);
  EXPECT_GE(read_heap().held_bytes, read_heap().allocated_bytes);
  EXPECT_GT(resident(), before + pieces * piece * 9 / 10);
  blocks.clear();
  EXPECT_GT(resident(), before + pieces * piece * 9 / 10) << "there is nothing to trim";
  trim_heap();
  EXPECT_LT(resident(), before + pieces * piece / 10);
  EXPECT_LT(read_heap().allocated_bytes, heap_before.allocated_bytes + pieces * piece / 10);
}
#endif

}  // namespace
}  // namespace tallymill
