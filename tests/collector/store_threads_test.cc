// The store's threads. Goal: while one writes and others seal, merge, thin and expire, readers see
// each of their series whole, a selection is of that moment, and nothing is lost when series die
// beside them; and no writer waits for a disk that is slow to sync. Method: all of them on threads
// of their own, for a number of rounds; a disk that holds each sync; under ThreadSanitizer too.
#include <atomic>
#include <chrono>
#include <future>
#include <set>
#include <string>
#include <thread>

#include "tests/collector/store_fixture.h"
#include "tests/fakes/held_sync.h"

namespace tallymill::collector {
namespace {

// Moves while others look.
class MovingClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return Instant(time()); }
  [[nodiscard]] WallTime wall() const override { return WallTime(time()); }
  void set_ms(std::int64_t ms) { ms_.store(ms, std::memory_order_relaxed); }

 private:
  [[nodiscard]] std::chrono::milliseconds time() const {
    return std::chrono::milliseconds(ms_.load(std::memory_order_relaxed));
  }
  std::atomic<std::int64_t> ms_{0};
};

TEST_F(StoreTest, ReadersSeeWholeSeriesWhilePartsAreSealedMergedThinnedAndDropped) {
  constexpr std::size_t staying = 20;
  constexpr std::int64_t least_rounds = 60;
  constexpr std::int64_t most_rounds = 1400;  // below the retention
  constexpr std::int64_t minute = 60'000;
  constexpr std::int64_t begin = 1'700'000'040'000;
  MovingClock clock;
  clock.set_ms(begin);
  options_.clock = &clock;
  options_.retention = std::chrono::hours(24);
  auto store = open();
  std::vector<SeriesId> ids;
  for (std::size_t i = 0; i < staying; ++i)
    ids.push_back(*store->series(labels(i), i % 2 == 0 ? Origin::own_bus : Origin::other));
  std::atomic<std::int64_t> done = -1;
  std::atomic<bool> ended = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::size_t reader = 0; reader < 2; ++reader)
    threads.emplace_back([&, at = reader * 7]() mutable {
      Column column;
      while (!ended) {
        const std::size_t i = at++ % staying;
        const std::int64_t last = done;
        if (!store->read(ids[i], begin, begin + most_rounds * minute, column)) ++wrong;
        // A minute each: no two share a bucket of 15 s, so that thinning takes none.
        bool good = static_cast<std::int64_t>(column.size()) > last;
        for (std::size_t n = 0; n < column.size(); ++n)
          good = good && column.t_ms[n] == begin + static_cast<std::int64_t>(n) * minute &&
                 column.value[n] == static_cast<double>(n + i);
        if (!good) ++wrong;
        const auto found = store->select({}, begin, begin);
        if (!found || found->size() < staying) ++wrong;
      }
    });
  threads.emplace_back([&] {
    while (!ended)
      if (!store->seal()) ++wrong;
  });
  threads.emplace_back([&] {
    while (!ended) {
      if (!store->merge() || !store->thin()) ++wrong;
      store->expire();
      (void)store->stats();
    }
  });
  std::int64_t rounds = 0;
  const auto all_happened = [&] {
    return store->stats().merges > 0 && store->stats().dropped_series > 0;
  };
  for (; rounds < least_rounds || (rounds < most_rounds && !all_happened()); ++rounds) {
    const std::int64_t round = rounds;
    clock.set_ms(begin + round * minute);
    std::vector<Point> points;
    for (std::size_t i = 0; i < staying; ++i)
      points.push_back({ids[i], begin + round * minute,
                        static_cast<double>(static_cast<std::size_t>(round) + i)});
    // One that never comes again, beside one that nobody appends to.
    points.push_back({*store->series(labels(1000 + 2 * static_cast<std::size_t>(round))), 0, 1});
    (void)*store->series(labels(1001 + 2 * static_cast<std::size_t>(round)));
    ASSERT_TRUE(store->append(points).has_value());
    done = round;
    // The other threads take part in most rounds, however fast this one is.
    const std::uint64_t seals = store->stats().seals;
    for (int i = 0; i < 1000 && store->stats().seals == seals; ++i) std::this_thread::yield();
  }
  ended = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(store->stats().merges, 0U);
  EXPECT_GT(store->stats().dropped_series, 0U);
  ASSERT_TRUE(store->seal().has_value());
  store.reset();
  const Model model = model_of(*open());
  for (const SeriesId id : ids) EXPECT_EQ(std::ssize(model.at(id.raw())), rounds);
  EXPECT_EQ(std::ssize(model), std::ssize(ids) + rounds);
}

// Killed at any of these moments it has all that was acknowledged, too.
TEST_F(StoreTest, NoWriterWaitsForASyncOfASeal) {
  auto store = open();
  const auto ids = make_series(*store, 2);
  Model wanted;
  std::int64_t t = 0;
  const auto append = [&] {
    const Point points[] = {{ids[0], t, 1.0},
                            {*store->series(labels(100 + static_cast<std::size_t>(t))), t, 2.0}};
    ++t;
    add(wanted, points);
    return store->append(points).has_value();
  };
  ASSERT_TRUE(append());
  fakes::HeldSync disk;
  bool sealed = false;
  std::thread sealing([&] { disk.attend([&] { sealed = store->seal().has_value(); }); });
  std::set<std::string> held;
  std::future<bool> late;
  for (std::string at = disk.next(); !at.empty(); at = disk.next()) {
    held.insert(fs::relative(at, folder_).string());
    if (!late.valid()) {
      auto appended = std::async(std::launch::async, append);
      if (appended.wait_for(std::chrono::seconds(20)) == std::future_status::ready) {
        EXPECT_TRUE(appended.get()) << at;
        EXPECT_EQ(model_of(*store), wanted) << at;
        EXPECT_EQ(model_of(*open(killed())), wanted) << at;
      } else {
        ADD_FAILURE() << "a writer waits for " << at;
        late = std::move(appended);
      }
    }
    disk.pass();
  }
  sealing.join();
  if (late.valid()) late.wait();
  EXPECT_TRUE(sealed);
  for (const char* path :
       {"log", "log/series", "log/0000000002.log", "parts", "parts/0000000001.part.new"})
    EXPECT_TRUE(held.contains(path)) << path;
  EXPECT_EQ(model_of(*store), wanted);
}

}  // namespace
}  // namespace tallymill::collector
