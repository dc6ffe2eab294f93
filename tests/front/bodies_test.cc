// Bodies kept in memory. Goal: the bound holds to the byte, and what leaves makes room.
#include "front/bodies.h"

#include <gtest/gtest.h>

#include <string>

namespace tallymill::front {
namespace {

TEST(Bodies, WhatReachesItsBoundIsKeptAndAByteMoreIsNot) {
  Bodies bodies(Bytes(100));
  bodies.keep(JobId(1), std::string(60, 'a'));
  bodies.keep(JobId(2), std::string(41, 'b'));
  EXPECT_EQ(bodies.find(JobId(2)), nullptr);
  bodies.keep(JobId(3), std::string(40, 'c'));
  ASSERT_NE(bodies.find(JobId(3)), nullptr);
  EXPECT_EQ(*bodies.find(JobId(3)), std::string(40, 'c'));
  EXPECT_EQ(bodies.bytes(), Bytes(100));
}

TEST(Bodies, OneThatLeavesMakesRoom) {
  Bodies bodies(Bytes(100));
  bodies.keep(JobId(1), std::string(100, 'a'));
  bodies.drop(JobId(7));  // never kept
  EXPECT_EQ(bodies.bytes(), Bytes(100));
  bodies.drop(JobId(1));
  EXPECT_EQ(bodies.find(JobId(1)), nullptr);
  EXPECT_EQ(bodies.bytes(), Bytes(0));
  bodies.keep(JobId(2), std::string(100, 'b'));
  EXPECT_NE(bodies.find(JobId(2)), nullptr);
}

}  // namespace
}  // namespace tallymill::front
