// Turns between clients. Goal: nobody waits for another's backlog, and the size that conservation
// counts by is right. Method: cases at the edges, then random use against plain lists.
#include "front/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace tallymill::front {
namespace {

FairQueue::Place place(std::int64_t job, Instant deadline = Instant::max()) {
  return {deadline, JobId(job)};
}

TEST(FairQueue, ASingleJobGoesSecondHoweverManyAnotherClientQueuedBefore) {
  FairQueue queue;
  for (std::int64_t job = 1; job <= 100'000; ++job) queue.push(1, place(job));
  queue.push(2, place(100'001));
  queue.pop();
  EXPECT_EQ(queue.front(), JobId(100'001));
}

TEST(FairQueue, InsideAClientTheNearestDeadlineGoesFirstAndThenTheOlderJob) {
  FairQueue queue;
  queue.push(1, place(1));
  queue.push(1, place(2));
  queue.push(1, place(3, Instant(std::chrono::seconds(20))));
  queue.push(1, place(4, Instant(std::chrono::seconds(10))));
  std::vector<std::int64_t> order;
  for (; !queue.empty(); queue.pop()) order.push_back(queue.front().raw());
  EXPECT_EQ(order, (std::vector<std::int64_t>{4, 3, 1, 2}));
}

TEST(FairQueue, AClientWhoseLastJobWasErasedHasNoTurnLeft) {
  FairQueue queue;
  queue.push(1, place(1));
  queue.push(2, place(2));
  queue.erase(1, place(1));
  EXPECT_EQ(queue.front(), JobId(2));
  queue.pop();
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, AClientThatComesBackIsLastInTurn) {
  FairQueue queue;
  queue.push(1, place(1));
  queue.push(2, place(2));
  queue.push(2, place(3));
  queue.pop();
  queue.push(1, place(4));
  EXPECT_EQ(queue.front(), JobId(2));
}

TEST(FairQueueDeathTest, AJobThatIsNotInItCannotBeErased) {
  FairQueue queue;
  queue.push(1, place(1));
  EXPECT_DEATH(queue.erase(1, place(2)), "erase");
  EXPECT_DEATH(queue.push(1, place(1)), "size");
}

TEST(FairQueue, GoesInTurnUnderRandomUse) {
  std::mt19937 rng(1);  // a failure names the step; the seed makes it come back
  FairQueue queue;
  struct Client {
    ClientId id;
    std::vector<FairQueue::Place> places;
  };
  std::vector<Client> turns;  // who is next first
  std::int64_t size = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto what = rng() % 8;
    if (what < 4) {
      const auto id = static_cast<ClientId>(rng() % 5);
      const auto added = place(step, Instant(std::chrono::seconds(rng() % 10)));
      queue.push(id, added);
      auto at = std::ranges::find(turns, id, &Client::id);
      if (at == turns.end()) at = turns.insert(turns.end(), {id, {}});
      at->places.push_back(added);
      ++size;
    } else if (size > 0 && what == 4) {
      auto at = turns.begin() + static_cast<std::ptrdiff_t>(rng() % turns.size());
      const auto gone = at->places.begin() + static_cast<std::ptrdiff_t>(rng() % at->places.size());
      queue.erase(at->id, *gone);
      at->places.erase(gone);
      if (at->places.empty()) turns.erase(at);
      --size;
    } else if (size > 0) {
      Client first = std::move(turns.front());
      turns.erase(turns.begin());
      const auto next = std::ranges::min_element(first.places);
      ASSERT_EQ(queue.front(), next->job) << "step " << step;
      queue.pop();
      first.places.erase(next);
      if (!first.places.empty()) turns.push_back(std::move(first));
      --size;
    }
    ASSERT_EQ(queue.size(), size) << "step " << step;
    ASSERT_EQ(queue.empty(), size == 0) << "step " << step;
  }
}

}  // namespace
}  // namespace tallymill::front
