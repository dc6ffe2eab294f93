// Frames that a server writes. Goal: each says its kind and its length in the shortest form, and
// ends where its message does. Method: sizes around each form, against RFC 6455, 5.2 by hand.
#include "http/frame.h"

#include <gtest/gtest.h>

namespace tallymill::http {
namespace {

using namespace std::string_literals;

std::string head_of(bool binary, std::size_t size) {
  std::string out = "before";
  append_frame(out, binary, std::string(size, 'x'));
  EXPECT_TRUE(out.starts_with("before"));
  EXPECT_TRUE(out.ends_with(std::string(size, 'x')));
  return out.substr(6, out.size() - 6 - size);
}

TEST(Frame, SaysItsLengthInTheShortestForm) {
  EXPECT_EQ(head_of(false, 0), "\x81\x00"s);
  EXPECT_EQ(head_of(true, 125), "\x82\x7d"s);
  EXPECT_EQ(head_of(false, 126), "\x81\x7e\x00\x7e"s);
  EXPECT_EQ(head_of(false, 65'535), "\x81\x7e\xff\xff"s);
  EXPECT_EQ(head_of(true, 65'536), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s);
}

}  // namespace
}  // namespace tallymill::http
