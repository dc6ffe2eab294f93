// The list of held tokens. Goal: what a worker says that it holds is what the front hears, or is
// refused. Method: lists made by another msgpack library.
#include "bus/held.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/limits.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;

std::string packed(const json& value) {
  const auto bytes = json::to_msgpack(value);
  return {bytes.begin(), bytes.end()};
}

bool reads(const json& value) {
  std::vector<Held> held;
  return read_held(packed(value), held);
}

json one(std::int64_t attempt, std::int64_t phase) { return {{"held", {{7, 3, attempt, phase}}}}; }

TEST(Held, IsReadAsItWasWrittenWhateverStandsBesideIt) {
  std::vector<Held> held{{{1, 1, 1}, 1}};
  const json value = {{"a", {1, 2}}, {"held", {{7, 3, 2, 1}, {8, 3, 1, 0}}}, {"kinds", "none"}};
  ASSERT_TRUE(read_held(packed(value), held));
  EXPECT_EQ(held, (std::vector<Held>{{{7, 3, 2}, 1}, {{8, 3, 1}, 0}}));
  ASSERT_TRUE(read_held(packed({{"kinds", 1}}), held));
  EXPECT_TRUE(held.empty());
}

TEST(Held, ANumberThatDoesNotFitIsRefusedAndNotCut) {
  const std::int64_t most = 0x7fff'ffff;
  EXPECT_TRUE(reads(one(most, most)));
  EXPECT_FALSE(reads(one(most + 1, 0)));
  EXPECT_FALSE(reads(one((std::int64_t{1} << 32) + 1, 0))) << "attempt 1 when cut";
  EXPECT_FALSE(reads(one(1, (std::int64_t{1} << 32) + 1)));
  EXPECT_FALSE(reads(one(-most - 2, 0)));
}

TEST(Held, AnotherShapeIsRefused) {
  for (const json& wrong :
       {json::array(), json{{"held", 1}}, json{{"held", {1}}}, json{{"held", {{1, 1, 1}}}},
        json{{"held", {{1, 1, 1, 1, 1}}}}, json{{"held", {{1, 1, "1", 1}}}}})
    EXPECT_FALSE(reads(wrong)) << wrong;
  std::vector<Held> held;
  EXPECT_FALSE(read_held("", held));
  EXPECT_FALSE(read_held(packed(one(1, 1)).substr(0, 10), held));
}

TEST(Held, HasItsLimit) {
  json tokens = json::array();
  for (std::size_t i = 0; i < limits::held_tokens; ++i) tokens.push_back({1, 1, 1, 1});
  EXPECT_TRUE(reads({{"held", tokens}}));
  tokens.push_back({1, 1, 1, 1});
  EXPECT_FALSE(reads({{"held", tokens}}));
}

}  // namespace
}  // namespace tallymill::bus
