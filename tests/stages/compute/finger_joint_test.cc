// Fingers share an edge without gap or overlap. Goal: for any edge, caps and finger the intervals
// partition it, and the two borders leave exactly the play between them. Method: cases by hand,
// then random edges.
#include "stages/compute/finger_joint.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/stages/compute/seed.h"

namespace tallymill::stages::compute {
namespace {

TEST(FingerJoint, WhatIsLeftGoesToTheTwoOutermostFingers) {
  const auto intervals = finger_intervals(106, {3, Owner::other}, {3, Owner::other}, 18);
  ASSERT_EQ(intervals.size(), 7U);  // 100 hold 5 fingers of 18 and 10 more
  const Ticks ends[] = {3, 26, 44, 62, 80, 103, 106};
  for (std::size_t i = 0; i < intervals.size(); ++i) EXPECT_EQ(intervals[i].end, ends[i]) << i;
  EXPECT_EQ(intervals[0].owner, Owner::other);
  EXPECT_EQ(intervals[1].owner, Owner::a);
  EXPECT_EQ(intervals[2].owner, Owner::b);
  EXPECT_EQ(intervals[6].owner, Owner::other);
}

TEST(FingerJoint, ACapOfItsOwnLengthensTheEndFinger) {
  const auto intervals = finger_intervals(96, {3, Owner::a}, {}, 31);
  ASSERT_EQ(intervals.size(), 3U);
  EXPECT_EQ(intervals[0].end, 34);
  EXPECT_EQ(intervals[0].owner, Owner::a);
  EXPECT_EQ(intervals[2].begin, 65);
  EXPECT_EQ(intervals[2].end, 96);
}

TEST(FingerJoint, AnEdgeOfExactlyThreeFingersIsTheShortest) {
  EXPECT_EQ(widest_finger(30), 10);
  EXPECT_EQ(finger_intervals(30, {}, {}, 10).size(), 3U);
  EXPECT_DEATH((void)finger_intervals(29, {}, {}, 10), "invariant broken");
  EXPECT_DEATH((void)finger_intervals(30, {}, {}, 0), "invariant broken");
}

TEST(FingerJoint, OnlyBGivesWayAndOnlyToA) {
  const auto intervals = finger_intervals(106, {3, Owner::other}, {3, Owner::other}, 18);
  const auto a = edge_steps(intervals, Owner::a, 3, 1);
  const auto b = edge_steps(intervals, Owner::b, 3, 1);
  const Ticks a_at[] = {0, 3, 26, 44, 62, 80, 103};
  const Ticks b_at[] = {0, 27, 43, 63, 79};
  ASSERT_EQ(a.size(), std::size(a_at));
  ASSERT_EQ(b.size(), std::size(b_at));
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].at, a_at[i]);
    EXPECT_EQ(a[i].depth, i % 2 ? 0 : 3);
  }
  for (std::size_t i = 0; i < b.size(); ++i) {
    EXPECT_EQ(b[i].at, b_at[i]);
    EXPECT_EQ(b[i].depth, i % 2 ? 0 : 3);
  }
}

TEST(FingerJoint, RandomEdgesArePartitionedInFingersOfTheAskedWidth) {
  std::mt19937 rng(test_seed());
  const auto below = [&](Ticks n) { return static_cast<Ticks>(rng() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 2'000; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    const Cap start{below(100), below(2) ? Owner::a : Owner::other};
    const Cap end{below(100), below(2) ? Owner::a : Owner::other};
    const Ticks finger = 1 + below(200);
    const Ticks length = start.length + end.length + 3 * finger + below(10'000);
    const auto intervals = finger_intervals(length, start, end, finger);
    ASSERT_EQ(intervals.front().begin, 0);
    ASSERT_EQ(intervals.back().end, length);
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      ASSERT_LT(intervals[i].begin, intervals[i].end);
      if (i > 0) {
        ASSERT_EQ(intervals[i].begin, intervals[i - 1].end);
        ASSERT_NE(intervals[i].owner, intervals[i - 1].owner);
      }
      const Ticks width = intervals[i].end - intervals[i].begin;
      if (intervals[i].owner == Owner::b) {
        ASSERT_EQ(width, finger);
      }
      if (intervals[i].owner == Owner::a) {
        ASSERT_GE(width, finger);
      }
    }
  }
}

}  // namespace
}  // namespace tallymill::stages::compute
