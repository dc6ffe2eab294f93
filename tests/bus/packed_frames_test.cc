// Packed frames. Goal: what was packed comes back frame by frame, and bytes that lie about their
// lengths are refused before room is made for what they claim.
#include "bus/packed_frames.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace tallymill::bus {
namespace {

Frames frames_of(const std::vector<std::string>& texts) {
  Frames frames;
  for (const std::string& text : texts) frames.emplace_back(text.data(), text.size());
  return frames;
}

std::vector<std::string> texts_of(const Frames& frames) {
  std::vector<std::string> texts;
  for (const zmq::message_t& frame : frames) texts.push_back(frame.to_string());
  return texts;
}

std::string length(std::size_t bytes) {
  std::string prefix;
  for (int shift = 24; shift >= 0; shift -= 8) prefix += static_cast<char>(bytes >> shift);
  return prefix;
}

Errc refusal_of(std::string_view bytes) {
  const auto frames = unpack_frames(bytes);
  EXPECT_FALSE(frames);
  return frames ? Errc::corrupt : frames.error().code;
}

TEST(PackedFrames, AreTheSameFramesAgain) {
  for (const std::vector<std::string>& texts :
       {std::vector<std::string>{"T1"},
        {"T1", "header", "params", "a blob"},
        {"", ""},
        {"T1", std::string(100'000, 'x'), "", std::string("\0\0\0\1", 4)}}) {
    const auto back = unpack_frames(pack_frames(frames_of(texts)));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(texts_of(*back), texts);
  }
  EXPECT_EQ(pack_frames(frames_of({"T1", ""})), std::string("\0\0\0\2T1\0\0\0\0", 10));
}

TEST(PackedFrames, AnEnvelopeGoesThroughAsItIs) {
  Packer packer;
  packer.add(Put{.request = 7, .digest = "d", .bytes = 3});
  packer.add_blob(zmq::message_t("abc", 3));
  auto frames = unpack_frames(pack_frames(packer.take()));
  ASSERT_TRUE(frames);
  const auto envelope = Envelope::decode(std::move(*frames));
  ASSERT_TRUE(envelope) << envelope.error().message;
  EXPECT_EQ(read<Put>(envelope->items()[0])->request, 7);
  EXPECT_EQ(envelope->items()[0].blobs[0].to_string_view(), "abc");
}

TEST(PackedFrames, WhatEndsTooEarlyIsRefusedWhereverItIsCut) {
  const std::string whole = pack_frames(frames_of({"T1", "header", "params"}));
  EXPECT_EQ(refusal_of(""), Errc::bad_frame);
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    const bool between = cut == 6 || cut == 16;  // a shorter message
    EXPECT_EQ(unpack_frames(whole.substr(0, cut)).has_value(), between) << cut;
  }
}

TEST(PackedFrames, ALengthThatLiesIsRefused) {
  EXPECT_EQ(refusal_of(length(3) + "T1"), Errc::bad_frame);
  EXPECT_EQ(refusal_of(length(2) + "T1x"), Errc::bad_frame);
  EXPECT_EQ(refusal_of(length(0xffffffff) + "T1"), Errc::too_big);
}

TEST(PackedFrames, AFrameMayBeAsLargeAsLibzmqTakesAndNoLarger) {
  const auto most = static_cast<std::size_t>(limits::max_zmq_frame_bytes.raw());
  const auto largest = unpack_frames(length(most) + std::string(most, 'x'));
  ASSERT_TRUE(largest) << largest.error().message;
  EXPECT_EQ((*largest)[0].size(), most);
  EXPECT_EQ(refusal_of(length(most + 1) + std::string(most + 1, 'x')), Errc::too_big);
}

TEST(PackedFrames, AreAsManyAsAnEnvelopeMayHaveAndOneThatTellsThatThereWereMore) {
  std::string bytes;
  for (std::size_t i = 0; i < most_frames; ++i) bytes += length(0);
  const auto frames = unpack_frames(bytes);
  ASSERT_TRUE(frames) << frames.error().message;
  EXPECT_EQ(frames->size(), most_frames);
  EXPECT_EQ(refusal_of(bytes + length(0)), Errc::too_big);
}

}  // namespace
}  // namespace tallymill::bus
