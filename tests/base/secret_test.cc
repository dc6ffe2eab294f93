// Text that must reach no log. Goal: whatever prints a Secret prints ***, it turns into no string
// by itself, and neither a move nor its end leaves its bytes behind. Method: fmt, streams and
// googletest print it; the bytes are looked for in memory that outlives it.
#include "base/secret.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <sstream>
#include <type_traits>

namespace tallymill {
namespace {

constexpr const char* key = "tm_0123";  // fits a string's own bytes: those are left by a move

TEST(Secret, IsStarsForWhoeverPrintsIt) {
  const Secret secret{std::string(key)};
  std::ostringstream stream;
  stream << secret;
  EXPECT_EQ(stream.str(), "***");
  EXPECT_EQ(fmt::format("{} {:>5}", secret, secret), "***   ***");
  EXPECT_EQ(fmt::format("{}", Secret()), "***");  // nor is told whether there is one
  EXPECT_EQ(testing::PrintToString(secret), "***");
  EXPECT_EQ(secret.reveal(), key);
}

static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<std::string, Secret>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);

TEST(Secret, LeavesNothingOfTheTextWhereItWas) {
  for (const std::size_t length : {std::size_t{7}, std::size_t{500}}) {
    std::string text(length, 'k');
    const Secret secret(std::move(text));
    text.resize(text.capacity());  // NOLINT(bugprone-use-after-move): what is left is the question
    EXPECT_EQ(text.find('k'), std::string::npos);
    EXPECT_EQ(secret.reveal(), std::string(length, 'k'));
  }
}

TEST(Secret, LeavesNothingBehindWhenItMoves) {
  Secret first{std::string(key)};
  const char* const bytes = first.reveal().data();
  Secret second(std::move(first));
  EXPECT_EQ(std::string_view(bytes, 7), std::string(7, '\0'));
  EXPECT_EQ(second.reveal(), key);
  Secret third{std::string("another")};
  third = std::move(second);
  EXPECT_EQ(third.reveal(), key);
  EXPECT_TRUE(second.empty());  // NOLINT(bugprone-use-after-move): it is said what is left
  Secret& self = third;
  third = std::move(self);
  EXPECT_EQ(third.reveal(), key);
}

TEST(Secret, IsWipedWhenItEnds) {
  alignas(Secret) std::array<char, sizeof(Secret)> place{};
  auto* const secret = new (place.data()) Secret(std::string(key));
  EXPECT_NE(std::string_view(place.data(), place.size()).find(key), std::string_view::npos);
  std::destroy_at(secret);
  EXPECT_EQ(std::string_view(place.data(), place.size()).find("0123"), std::string_view::npos);
}

}  // namespace
}  // namespace tallymill
