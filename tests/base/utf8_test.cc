// UTF-8. Goal: what is text is text in every JSON parser, and a character's length is right.
// Method: every character, the neighbours of each bound, and another library's judgement.
#include "base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace tallymill {
namespace {

std::string encoded(std::uint32_t c) {
  const auto byte = [](std::uint32_t b) { return std::string(1, static_cast<char>(b)); };
  const auto more = [&](int shift) { return byte(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) return byte(0xc0 | (c >> 6)) + more(0);
  if (c < 0x10000) return byte(0xe0 | (c >> 12)) + more(6) + more(0);
  return byte(0xf0 | (c >> 18)) + more(12) + more(6) + more(0);
}

bool dumps(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

TEST(Utf8, EveryCharacterIsTextButHalvesOfPairsAndWhatIsBeyondTheLast) {
  for (std::uint32_t c = 0; c < 0x110400; ++c) {
    const std::string text = encoded(c);
    const bool is_text = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
    ASSERT_EQ(is_utf8(text), is_text) << std::hex << c;
    ASSERT_EQ(utf8_length(text + "x"), is_text ? text.size() : 0u) << std::hex << c;
    ASSERT_FALSE(text.size() > 1 && is_utf8(text.substr(0, text.size() - 1))) << std::hex << c;
  }
}

TEST(Utf8, AFormLongerThanItNeedsToBeIsNone) {
  for (const char* text : {"\xc0\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf",
                           "\xf0\x80\x80\xaf", "\xf0\x8f\xbf\xbf"})
    EXPECT_FALSE(is_utf8(text));
}

TEST(Utf8, JudgesAnyBytesAsAJsonLibraryDoes) {
  const std::uint32_t seed = std::random_device{}();
  std::mt19937 random(seed);
  for (int i = 0; i < 100'000; ++i) {
    std::string text(random() % 12, 'a');
    // Mostly bytes that a sequence may hold, so that many are whole.
    for (char& c : text) c = "a\x80\xbf\xc2\xe0\xa0\xed\x9f\xf0\x90\xf4\x8f"[random() % 12];
    ASSERT_EQ(is_utf8(text), dumps(text)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tallymill
