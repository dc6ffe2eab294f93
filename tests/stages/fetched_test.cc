// What a worker keeps of the blobs that it fetched. Goal: the bound holds, and what was used last
// stays.
#include "stages/fetched.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tallymill::stages
