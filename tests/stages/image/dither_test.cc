// Dithering is defined by integers, so every implementation must give the same bits. Goal: the
// reference is the arithmetic that its header states, and dither() equals it everywhere. Method: a
// case worked out by hand, then sizes around every boundary with random and extreme content.
#include "stages/image/dither.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "tests/stages/image/pictures.h"

namespace tallymill::stages::image {
namespace {

Raster gray_rows(int width, const std::vector<int>& values) {
  Raster picture({width, static_cast<int>(values.size()) / width}, 1);
  std::ranges::transform(values, picture.bytes().begin(),
                         [](int value) { return static_cast<std::uint8_t>(value); });
  return picture;
}

// Row 1: 100 <= 128 burns, e = 100; 100 + 700/16 = 143 is white, e = -112; 100 - 784/16 = 51 burns,
// e = 51. Row 2: 100 + (5*100 + 3*-112)/16 = 110 burns, e = 110;
// 100 + (7*110 + 100 + 5*-112 + 3*51)/16 = 100 + 463/16 = 128 is not above 128, burns, e = 128;
// 100 + (7*128 - 112 + 5*51)/16 = 100 + 1039/16 = 164 is white.
TEST(Dither, ACaseWorkedOutByHandComesOutBitForBit) {
  const BitRaster dots = dither_reference(gray_rows(3, {100, 100, 100, 100, 100, 100}));
  EXPECT_EQ(dots.stride, 1U);
  EXPECT_EQ(dots.bits, (std::vector<std::uint8_t>{0b1010'0000, 0b1100'0000}));
}

TEST(Dither, NegativeErrorsAreDividedTowardsZero) {
  // 130 is white, e = -125; 190 - 875/16 is 190 - 54 = 136 (rounding down would give 135), white,
  // e = -119; 181 - 833/16 = 181 - 52 = 129 is white; rounding down would give 128: burnt.
  const BitRaster dots = dither_reference(gray_rows(3, {130, 190, 181}));
  EXPECT_EQ(dots.bits, std::vector<std::uint8_t>{0});
}

TEST(Dither, EqualsTheReferenceAtEveryWidthAroundTheByteAndLaneBoundaries) {
  for (int width = 1; width <= 100; ++width)
    for (const int height : {1, 2, 3, 5, 15, 16, 17, 31, 33}) {
      const Raster picture =
          testing::photo({width, height}, 1, static_cast<unsigned>(width * 100 + height));
      const BitRaster expected = dither_reference(picture);
      ASSERT_EQ(dither(picture).bits, expected.bits) << width << " x " << height;
      ASSERT_EQ(dither_plain(picture).bits, expected.bits) << width << " x " << height;
    }
}

TEST(Dither, EqualsTheReferenceOnNoiseAndOnTheExtremes) {
  std::mt19937 rng(3);
  for (int round = 0; round < 20; ++round) {
    Raster picture({301, 97}, 1);
    const unsigned levels = round % 2 == 0 ? 256 : 2;  // 2: black and white only
    for (std::uint8_t& value : picture.bytes())
      value = static_cast<std::uint8_t>((rng() % levels) * (255 / (levels - 1)));
    const BitRaster expected = dither_reference(picture);
    ASSERT_EQ(dither(picture).bits, expected.bits) << "round " << round;
    ASSERT_EQ(dither_plain(picture).bits, expected.bits) << "round " << round;
  }
}

TEST(Dither, BlackBurnsEverywhereAndWhiteNowhere) {
  const BitRaster black = dither(testing::flat({13, 5}, {0}));
  for (int y = 0; y < 5; ++y) {
    EXPECT_EQ(black.row(y)[0], 0xff);
    EXPECT_EQ(black.row(y)[1], 0b1111'1000) << "bits beyond the width must stay clear";
  }
  const BitRaster white = dither(testing::flat({13, 5}, {255}));
  EXPECT_TRUE(std::ranges::all_of(white.bits, [](std::uint8_t byte) { return byte == 0; }));
}

TEST(Dither, AFlatGrayKeepsItsDarknessOnAverage) {
  for (const int level : {32, 64, 100, 128, 160, 200, 230}) {
    const BitRaster dots = dither(testing::flat({256, 256}, {static_cast<std::uint8_t>(level)}));
    int burnt = 0;
    for (const std::uint8_t byte : dots.bits) burnt += std::popcount(byte);
    EXPECT_NEAR(burnt / 65536.0, 1 - level / 255.0, 0.01) << "level " << level;
  }
}

}  // namespace
}  // namespace tallymill::stages::image
