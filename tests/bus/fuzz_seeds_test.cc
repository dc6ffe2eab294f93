// The fuzzer's seeds. Goal: what it starts from stands at the limits of size and one above, so that
// its changes cross them both ways. Method: tests/fuzz/corpus/envelope_limits/{at,above}_LIMIT,
// which tests/wire/write_fuzz_corpus.py writes, through the one door.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/limits.h"
#include "tests/fuzz/envelope_input.h"

namespace tallymill::bus {
namespace {

class FuzzSeeds : public ::testing::TestWithParam<const char*> {
 protected:
  static Frames frames(const std::string& name) {
    std::ifstream in(TALLYMILL_SOURCE_DIR "/tests/fuzz/corpus/envelope_limits/" + name,
                     std::ios::binary);
    EXPECT_TRUE(in) << name;
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    EXPECT_LT(bytes.size(), 8'192u) << "a seed is small";
    return EnvelopeInput(bytes).frames();
  }
};

TEST_P(FuzzSeeds, StandAtTheirLimitAndOneAbove) {
  const auto at = Envelope::decode(frames(std::string("at_") + GetParam()));
  EXPECT_TRUE(at) << at.error().message;
  const auto above = Envelope::decode(frames(std::string("above_") + GetParam()));
  ASSERT_FALSE(above);
  EXPECT_EQ(above.error().code, Errc::too_big) << above.error().message;
}

INSTANTIATE_TEST_SUITE_P(Of, FuzzSeeds,
                         ::testing::Values("header_bytes", "params_bytes", "header_frame_bytes",
                                           "frame_bytes", "batch_blobs", "envelope_bytes"),
                         [](const auto& which) { return std::string(which.param); });

TEST(EnvelopeInput, GrowsAndRepeatsFramesWithinItsBounds) {
  using namespace std::string_literals;
  const auto texts = [](const std::string& input) {
    std::string all;
    for (const zmq::message_t& frame : EnvelopeInput(input).frames())
      all += frame.to_string() + "|";
    return all;
  };
  EXPECT_EQ(texts("\x02\0T1\0\0\x01\0x"s), "T1||x|");
  EXPECT_EQ(texts("\x01\0a\xf1\xff\x03\0\x02\0bc\x01\0d"s), "abcbcbc|d|");
  EXPECT_EQ(texts("\x01\0a\xf2\xff\x02\0\x01\0d"s), "a|a|a|d|");
  EXPECT_EQ(texts("\xf2\xff\x02\0\x05\0cut"s), "cut|");
  EXPECT_EQ(EnvelopeInput("\0\0\xf2\xff\xff\xff"s).frames().size(), EnvelopeInput::most_frames);
  EXPECT_LE(
      EnvelopeInput("\0\0\xf1\xff\xff\xff\0\xf0"s + std::string(0xf000, 'x')).frames()[0].size(),
      EnvelopeInput::most_bytes);
}

}  // namespace
}  // namespace tallymill::bus
