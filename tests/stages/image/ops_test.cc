// Resizing, turning, tone and sharpening. Goal: resize is Lanczos3 to within rounding, at edges
// too; each EXIF value is turned as the standard draws it. Method: a slow resampler in double as
// oracle, and pictures small enough to write down.
#include "stages/image/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/stages/image/pictures.h"

namespace tallymill::stages::image {
namespace {

double kernel(double x) {
  x = std::abs(x);
  if (x < 1e-12) return 1;
  if (x >= 3) return 0;
  const double px = std::numbers::pi * x;
  return 3 * std::sin(px) * std::sin(px / 3) / (px * px);
}

// One axis of a plane of `lines` lines of `from` samples; the taps come straight from the kernel.
std::vector<double> resample(const std::vector<double>& in, int from, int to, int lines,
                             std::ptrdiff_t step, std::ptrdiff_t line_step_in,
                             std::ptrdiff_t line_step_out) {
  std::vector<double> out(static_cast<std::size_t>(to) * static_cast<std::size_t>(lines));
  const double scale = static_cast<double>(from) / to, stretch = std::max(scale, 1.0);
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    for (int line = 0; line < lines; ++line) {
      double sum = 0, weights = 0;
      for (int s = 0; s < from; ++s) {
        const double weight = kernel((s + 0.5 - centre) / stretch);
        if (weight == 0) continue;
        weights += weight;
        sum += weight * in[static_cast<std::size_t>(line * line_step_in + s * step)];
      }
      out[static_cast<std::size_t>(line * line_step_out + i * step)] = sum / weights;
    }
  }
  return out;
}

// A channel of `picture`, resized in double and clamped.
std::vector<double> oracle(const Raster& picture, int channel, Size to) {
  const Size from = picture.size();
  std::vector<double> plane;
  for (int y = 0; y < from.height; ++y)
    for (int x = 0; x < from.width; ++x)
      plane.push_back(picture.row(y)[x * picture.channels() + channel]);
  const auto tall = resample(plane, from.height, to.height, from.width, from.width, 1, 1);
  auto out = resample(tall, from.width, to.width, to.height, 1, from.width, to.width);
  for (double& value : out) value = std::clamp(value, 0.0, 255.0);
  return out;
}

double psnr(const Raster& got, const Raster& source) {
  double squares = 0;
  for (int c = 0; c < got.channels(); ++c) {
    const auto wanted = oracle(source, c, got.size());
    std::size_t i = 0;
    for (int y = 0; y < got.height(); ++y)
      for (int x = 0; x < got.width(); ++x, ++i) {
        const double off = got.row(y)[x * got.channels() + c] - wanted[i];
        squares += off * off;
      }
  }
  return 10 *
         std::log10(255.0 * 255 * static_cast<double>(got.byte_count()) / std::max(squares, 1e-9));
}

TEST(Resize, EqualsLanczos3InDoubleToWithinRounding) {
  const std::pair<Size, Size> cases[] = {
      {{200, 150}, {80, 60}}, {{201, 149}, {67, 50}}, {{64, 64}, {200, 130}},
      {{300, 40}, {40, 39}},  {{97, 211}, {96, 210}}, {{150, 20}, {20, 20}},
      {{5, 4}, {3, 2}},       {{160, 120}, {20, 15}}, {{130, 70}, {131, 69}},
  };
  for (const auto& [from, to] : cases)
    for (const int channels : {1, 3}) {
      const Raster source = testing::photo(from, channels);
      EXPECT_GT(psnr(resize(source, to), source), 57)
          << from.width << "x" << from.height << " -> " << to.width << "x" << to.height << " of "
          << channels;
    }
}

TEST(Resize, StaysNearLanczos3WhenItAveragesFirst) {
  const Raster source = testing::photo({900, 700}, 3);
  EXPECT_GT(psnr(resize(source, {60, 41}), source), 40);
  EXPECT_GT(psnr(resize(source, {20, 350}), source), 38);
}

TEST(Resize, TheSameSizeIsTheSamePicture) {
  const Raster source = testing::photo({61, 37}, 3);
  EXPECT_TRUE(std::ranges::equal(resize(source, source.size()).bytes(), source.bytes()));
}

TEST(Resize, AFlatPictureStaysFlatToTheLastBitAtEveryScale) {
  for (const Size to : {Size{1, 1}, {7, 3}, {50, 49}, {99, 100}, {101, 2}, {333, 250}})
    for (const int level : {0, 1, 127, 254, 255}) {
      const Raster out = resize(testing::flat({100, 100}, {static_cast<std::uint8_t>(level)}), to);
      EXPECT_TRUE(std::ranges::all_of(out.bytes(), [&](std::uint8_t v) { return v == level; }))
          << to.width << "x" << to.height << " of " << level;
    }
}

TEST(Resize, AHardEdgeOvershootsNowhereOutOfRange) {
  Raster source({64, 64}, 1);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      source.row(y)[x] = static_cast<std::uint8_t>(((x / 8 + y / 8) & 1) * 255);
  EXPECT_GT(psnr(resize(source, {150, 150}), source), 57);
  EXPECT_GT(psnr(resize(source, {23, 31}), source), 57);
}

TEST(Resize, ItDoesNotMatterInWhichStripsTheRowsCome) {
  const Raster source = testing::photo({83, 121}, 3);
  for (const Size to : {Size{40, 33}, {5, 6}}) {
    const Raster at_once = resize(source, to);
    for (const int strip : {1, 2, 7, 120}) {
      Resizer resizer(source.size(), 3, to);
      for (int y = 0; y < source.height(); y += strip)
        resizer.push(source.row(y), std::min(strip, source.height() - y));
      EXPECT_TRUE(std::ranges::equal(resizer.take().bytes(), at_once.bytes())) << strip;
    }
  }
}

TEST(Resize, OnePixelFillsAnySizeAndAnyPictureFitsOnePixel) {
  const Raster grown = resize(testing::flat({1, 1}, {9, 80, 200}), {5, 4});
  EXPECT_EQ(grown.row(3)[14], 200);
  const Raster shrunk = resize(testing::flat({3000, 1}, {9, 80, 200}), {1, 1});
  EXPECT_EQ(shrunk.row(0)[1], 80);
}

// As the EXIF standard draws it: what a viewer must show for each value, of the stored picture
//   1 2 3
//   4 5 6
TEST(Orient, EachOfTheEightValuesTurnsAsTheStandardDrawsIt) {
  const struct {
    int value;
    Size size;
    std::vector<std::uint8_t> shown;
  } cases[] = {
      {1, {3, 2}, {1, 2, 3, 4, 5, 6}}, {2, {3, 2}, {3, 2, 1, 6, 5, 4}},
      {3, {3, 2}, {6, 5, 4, 3, 2, 1}}, {4, {3, 2}, {4, 5, 6, 1, 2, 3}},
      {5, {2, 3}, {1, 4, 2, 5, 3, 6}}, {6, {2, 3}, {4, 1, 5, 2, 6, 3}},
      {7, {2, 3}, {6, 3, 5, 2, 4, 1}}, {8, {2, 3}, {3, 6, 2, 5, 1, 4}},
  };
  for (const auto& [value, size, shown] : cases) {
    Raster stored({3, 2}, 1);
    for (std::uint8_t i = 0; i < 6; ++i) stored.bytes()[i] = static_cast<std::uint8_t>(i + 1);
    const Raster upright = orient(std::move(stored), value);
    EXPECT_EQ(upright.size(), size) << value;
    EXPECT_TRUE(std::ranges::equal(upright.bytes(), shown)) << value;
    EXPECT_EQ(oriented({3, 2}, value), size) << value;
  }
}

TEST(Orient, ThePixelsOfAColourPictureStayWhole) {
  Raster stored({2, 1}, 3);
  std::ranges::copy(std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}, stored.bytes().begin());
  const Raster upright = orient(std::move(stored), 8);
  EXPECT_TRUE(std::ranges::equal(upright.bytes(), std::vector<std::uint8_t>{4, 5, 6, 1, 2, 3}));
}

TEST(Tone, NothingAskedIsNothingDone) {
  const Lut curve = tone_curve({});
  for (int i = 0; i < 256; ++i) EXPECT_EQ(curve[static_cast<std::size_t>(i)], i);
}

TEST(Tone, EachSettingMovesTheMiddleAsItsNameSays) {
  EXPECT_GT(tone_curve({.gamma = 2})[128], 170);
  EXPECT_LT(tone_curve({.gamma = 0.5})[128], 70);
  EXPECT_NEAR(tone_curve({.contrast = 2})[80], 32, 1);
  EXPECT_EQ(tone_curve({.contrast = 0})[3], 128);
  EXPECT_EQ(tone_curve({.brightness = 1})[0], 255);
  EXPECT_EQ(tone_curve({.brightness = -0.2})[51], 0);
  EXPECT_EQ(tone_curve({.invert = true})[10], 245);
}

TEST(Tone, ACurveMapsEveryPixel) {
  Raster picture = testing::flat({3, 2}, {7});
  map_tones(tone_curve({.invert = true}), picture);
  EXPECT_TRUE(std::ranges::all_of(picture.bytes(), [](std::uint8_t v) { return v == 248; }));
}

TEST(Grayscale, IsRec601AndLeavesGrayAlone) {
  EXPECT_EQ(grayscale(testing::flat({1, 1}, {255, 0, 0})).row(0)[0], 76);
  EXPECT_EQ(grayscale(testing::flat({1, 1}, {0, 255, 0})).row(0)[0], 150);
  EXPECT_EQ(grayscale(testing::flat({1, 1}, {0, 0, 255})).row(0)[0], 29);
  EXPECT_EQ(grayscale(testing::flat({1, 1}, {77, 77, 77})).row(0)[0], 77);
  EXPECT_EQ(grayscale(testing::flat({1, 1}, {42})).row(0)[0], 42);
}

TEST(Unsharp, ZeroAndAFlatPictureStayAsTheyAre) {
  Raster picture = testing::photo({20, 20}, 1);
  const std::vector<std::uint8_t> before(picture.bytes().begin(), picture.bytes().end());
  ASSERT_TRUE(unsharp(picture, 1, 0));
  EXPECT_TRUE(std::ranges::equal(picture.bytes(), before));
  Raster even = testing::flat({20, 20}, {90});
  ASSERT_TRUE(unsharp(even, 1, 3));
  EXPECT_TRUE(std::ranges::all_of(even.bytes(), [](std::uint8_t v) { return v == 90; }));
}

TEST(Unsharp, AnEdgeBecomesSteeperOnBothSides) {
  Raster picture({40, 9}, 1);
  for (int y = 0; y < 9; ++y)
    for (int x = 0; x < 40; ++x) picture.row(y)[x] = x < 20 ? 100 : 150;
  ASSERT_TRUE(unsharp(picture, 1.5, 1));
  EXPECT_LT(picture.row(4)[19], 95);
  EXPECT_GT(picture.row(4)[20], 155);
  EXPECT_EQ(picture.row(4)[2], 100);
}

TEST(Unsharp, ALibraryExceptionBecomesAnError) {
  Raster picture = testing::flat({4, 4}, {1});
  const Status refused = unsharp(picture, -1, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::stage_failed);
}

TEST(Fit, TheLongerSideFitsAndNothingIsEnlargedOrLost) {
  EXPECT_EQ(fit({6000, 4000}, 800), (Size{800, 533}));
  EXPECT_EQ(fit({4000, 6000}, 800), (Size{533, 800}));
  EXPECT_EQ(fit({300, 200}, 800), (Size{300, 200}));
  EXPECT_EQ(fit({30000, 1}, 100), (Size{100, 1}));
}

}  // namespace
}  // namespace tallymill::stages::image
