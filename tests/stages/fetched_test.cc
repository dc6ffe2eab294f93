// What a worker keeps of the blobs that it fetched. Goal: the bound holds, and what was used last
// stays.
#include "stages/fetched.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace tallymill::stages {
namespace {

Fetch of(std::size_t bytes) { return std::make_shared<const std::string>(bytes, 'x'); }

TEST(Fetched, KeepsUpToItsBoundAndForgetsTheLongestUnused) {
  Fetched fetched(Bytes(100));
  fetched.keep("a", of(50));
  fetched.keep("b", of(50));
  EXPECT_EQ(fetched.bytes(), Bytes(100));
  EXPECT_NE(fetched.find("a"), nullptr);
  fetched.keep("c", of(1));
  EXPECT_EQ(fetched.find("b"), nullptr);
  EXPECT_NE(fetched.find("a"), nullptr);
  EXPECT_NE(fetched.find("c"), nullptr);
  EXPECT_EQ(fetched.bytes(), Bytes(51));
}

TEST(Fetched, OneAsLargeAsTheBoundIsKeptAndALargerOneIsNot) {
  Fetched fetched(Bytes(100));
  fetched.keep("small", of(10));
  fetched.keep("larger", of(101));
  EXPECT_EQ(fetched.find("larger"), nullptr);
  EXPECT_NE(fetched.find("small"), nullptr);
  fetched.keep("whole", of(100));
  EXPECT_NE(fetched.find("whole"), nullptr);
  EXPECT_EQ(fetched.bytes(), Bytes(100));
}

TEST(Fetched, WhatIsForgottenStaysWithWhoHasIt) {
  Fetched fetched(Bytes(10));
  fetched.keep("a", of(10));
  const Fetch held = fetched.find("a");
  fetched.keep("b", of(10));
  EXPECT_EQ(fetched.find("a"), nullptr);
  EXPECT_EQ(held->size(), 10U);
}

TEST(Fetched, ManyThreadsThatAskAtATimeFetchOnceAndAllHaveIt) {
  // The second one is too large to be kept.
  for (const std::size_t size : {std::size_t{10}, std::size_t{1000}}) {
    Fetched fetched(Bytes(100));
    std::atomic<int> asking = 0;
    std::atomic<int> fetches = 0;
    std::atomic<int> have = 0;
    constexpr int threads = 8;
    {
      std::vector<std::jthread> all;
      for (int n = 0; n < threads; ++n)
        all.emplace_back([&] {
          const auto found = fetched.find_or_claim("a", [&, said = false]() mutable {
            asking += std::exchange(said, true) ? 0 : 1;
            return true;
          });
          ASSERT_TRUE(found);
          if (*found == nullptr) {
            ++fetches;
            // Until each of the others waits for this one.
            while (asking < threads - 1) std::this_thread::yield();
            fetched.land("a", of(size));
          } else {
            have += (*found)->size() == size ? 1 : 0;
          }
        });
    }
    EXPECT_EQ(fetches, 1) << size;
    EXPECT_EQ(have, threads - 1) << size;
  }
}

TEST(Fetched, WhenAFetchFailsTheNextOneTriesAndWhoIsToldToStopDoesNotWait) {
  Fetched fetched(Bytes(100));
  const auto never = [] { return false; };
  ASSERT_EQ(fetched.find_or_claim("a", never), Fetch{});
  EXPECT_EQ(fetched.find_or_claim("a", never), std::nullopt);
  EXPECT_EQ(fetched.find_or_claim("b", never), Fetch{});  // another one
  fetched.land("a", nullptr);
  EXPECT_EQ(fetched.find_or_claim("a", never), Fetch{});
  fetched.land("a", of(5));
  EXPECT_NE(fetched.find_or_claim("a", never).value(), nullptr);
}

}  // namespace
}  // namespace tallymill::stages
