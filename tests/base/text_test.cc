// Text from outside, made fit for a message, or refused.
#include "base/text.h"

#include <gtest/gtest.h>

namespace tallymill {
namespace {

TEST(CleanText, IsCutBetweenCharactersAndWhatIsNoneIsAQuestionMark) {
  std::string text = "a\xc3\xa9z";
  clean_text(text, 2);
  EXPECT_EQ(text, "a");
  text = "a\xff\xfez";
  clean_text(text, 10);
  EXPECT_EQ(text, "a??z");
}

TEST(IsCleanText, WhatDrivesATerminalOrTurnsTextRoundIsNot) {
  // Octal where a hexadecimal digit follows, which \x would take for its own.
  for (const char* good :
       {"", "photo.jpg", "Stra\303\237e \342\202\254", "\xe2\x80\x94", "\xe2\x81\xa5", "\xc2\xa0"})
    EXPECT_TRUE(is_clean_text(good)) << good;
  for (const char* bad : {"\x1b[31m", "\n", "\x7f", "\302\23331m", "\xff", "a\342\200\256b",
                          "\xe2\x80\x8e", "\xe2\x80\xa8", "\xe2\x81\xa6", "\xe2\x81\xa9"})
    EXPECT_FALSE(is_clean_text(bad)) << bad;
  EXPECT_FALSE(is_clean_text(std::string_view("a\0b", 3)));
}

TEST(PointerTo, EscapesAndIsShort) {
  EXPECT_EQ(pointer_to("x_mm"), "/x_mm");
  EXPECT_EQ(pointer_to("a/b~c"), "/a~1b~0c");
  EXPECT_EQ(pointer_to("a\n\xc3"), "/a??");
  EXPECT_EQ(pointer_to(std::string(100, 'x')).size(), 65u);
}

}  // namespace
}  // namespace tallymill
