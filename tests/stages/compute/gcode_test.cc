// A raster becomes G-code that burns exactly its pixels. Goal: no bitmap, size, pitch or setting
// loses or adds a dot, and no beam is on where nothing burns. Method: every program is run on the
// paper machine and compared bit for bit, over random rasters; small programs are read as text;
// hostile text is thrown at the paper machine.
#include "stages/compute/gcode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/limits.h"
#include "tests/stages/compute/seed.h"

namespace tallymill::stages::compute {
namespace {

struct Raster {
  int width;
  int height;
  int stride;
  std::vector<std::uint8_t> bits;

  Raster(int w, int h, int spare_bytes = 0)
      : width(w),
        height(h),
        stride((w + 7) / 8 + spare_bytes),
        bits(static_cast<std::size_t>(stride) * static_cast<std::size_t>(h)) {}
  void set(int x, int y) {
    auto& byte = bits[static_cast<std::size_t>(y * stride + x / 8)];
    byte = static_cast<std::uint8_t>(byte | (0x80 >> (x % 8)));
  }
  [[nodiscard]] bool get(int x, int y) const {
    return (bits[static_cast<std::size_t>(y * stride + x / 8)] & (0x80 >> (x % 8))) != 0;
  }
  [[nodiscard]] RasterView view() const { return {bits, width, height, stride}; }
  // The bits as rasterize_gcode gives them: no spare bytes, spare bits 0.
  [[nodiscard]] std::vector<std::uint8_t> packed() const {
    Raster out(width, height);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        if (get(x, y)) out.set(x, y);
    return out.bits;
  }
};

LaserSettings plain() {
  return {.feed_mm_per_min = 1500,
          .power_s = 500,
          .passes = 1,
          .travel_mm_per_min = 6000,
          .mode = "M4",
          .line_interval_mm = 0.1,
          .overscan_mm = 2};
}

void expect_round_trip(const Raster& raster, double pixel_mm, const LaserSettings& settings) {
  const auto gcode = raster_gcode(raster.view(), pixel_mm, settings);
  ASSERT_TRUE(gcode) << gcode.error().message;
  const auto burnt = rasterize_gcode(*gcode, raster.width, raster.height, pixel_mm);
  ASSERT_TRUE(burnt) << burnt.error().message;
  ASSERT_EQ(*burnt, raster.packed());
}

TEST(RasterGcode, TheWholeProgramOfASmallRasterReadsAsDocumented) {
  Raster raster(4, 3);
  raster.set(0, 0);
  raster.set(1, 0);
  raster.set(3, 0);  // the middle row stays white
  raster.set(1, 2);
  const auto gcode = raster_gcode(raster.view(), 0.1, plain());
  ASSERT_TRUE(gcode);
  EXPECT_EQ(*gcode,
            "; raster 4 x 3 pixels of 0.1000 mm: 0.400 x 0.300 mm, origin lower left\n"
            "; 1 pass(es), 1 line(s) a pixel; moves from X-2.000 to X2.400\n"
            "; needs laser mode ($32=1) and $30=1000\n"
            "G21\n"
            "G90\n"
            "M4S0\n"
            "G90G0X-2Y0.25S0F6000\n"
            "G91G1X2S0F1500\n"
            "X0.2S500\n"
            "X0.1S0\n"
            "X0.1S500\n"
            "X2S0\n"
            "G90G0X2.2Y0.05S0F6000\n"
            "G91G1X-2S0F1500\n"
            "X-0.1S500\n"
            "X-2S0\n"
            "M5S0\n"
            "G90G0X0Y0\n");
}

TEST(RasterGcode, LongWhiteInsideARowIsCrossedByARapidBetweenRunOutAndRunIn) {
  Raster raster(200, 1);
  raster.set(0, 0);
  raster.set(199, 0);
  const auto gcode = raster_gcode(raster.view(), 0.1, plain());
  ASSERT_TRUE(gcode);
  EXPECT_NE(gcode->find("X0.1S500\nX2S0\nG0X15.8S0F6000\nG1X2S0F1500\nX0.1S500\n"),
            std::string::npos)
      << *gcode;
}

TEST(RasterGcode, WhiteTooShortForRunOutRapidAndRunInIsCrossedAtFeed) {
  for (const bool rapid : {false, true}) {
    const int white = rapid ? 90 : 89;  // 2 + 2 mm of overscan and 5 mm of rapid: 9 mm
    Raster raster(white + 2, 1);
    raster.set(0, 0);
    raster.set(white + 1, 0);
    const auto gcode = raster_gcode(raster.view(), 0.1, plain());
    ASSERT_TRUE(gcode);
    EXPECT_EQ(gcode->find("X8.9S0\n") != std::string::npos, !rapid) << *gcode;
    EXPECT_EQ(gcode->find("G0X5S0F6000\n") != std::string::npos, rapid) << *gcode;
  }
}

TEST(RasterGcode, AWhiteRasterMovesNothingButHome) {
  const Raster raster(1000, 1000);
  const auto gcode = raster_gcode(raster.view(), 0.1, plain());
  ASSERT_TRUE(gcode);
  EXPECT_EQ(gcode->find('X', gcode->find("M4S0")), gcode->find("X0Y0"));
}

TEST(RasterGcode, WithoutOverscanTheFirstBurnSaysMotionAndFeed) {
  Raster raster(1, 1);
  raster.set(0, 0);
  auto settings = plain();
  settings.overscan_mm = 0;
  const auto gcode = raster_gcode(raster.view(), 0.1, settings);
  ASSERT_TRUE(gcode);
  EXPECT_NE(gcode->find("G91G1X0.1S500F1500\nM5S0"), std::string::npos) << *gcode;
}

TEST(RasterGcode, SpareBitsAndBytesOfARowAreNotBurnt) {
  Raster raster(5, 2, 3);
  for (auto& byte : raster.bits) byte = 0xff;
  expect_round_trip(raster, 0.1, plain());
}

TEST(RasterGcode, TheLastRowNeedsNoPaddingToItsStride) {
  Raster raster(8, 2, 7);
  raster.set(7, 1);
  raster.bits.resize(static_cast<std::size_t>(raster.stride) + 1);
  const auto gcode = raster_gcode(raster.view(), 0.1, plain());
  ASSERT_TRUE(gcode) << gcode.error().message;
}

TEST(RasterGcode, RandomRastersComeBackBitForBit) {
  std::mt19937 rng(test_seed());
  const auto uniform = [&](double a, double b) {
    return std::uniform_real_distribution<double>(a, b)(rng);
  };
  for (int round = 0; round < 400; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    Raster raster(1 + static_cast<int>(rng() % 300), 1 + static_cast<int>(rng() % 20),
                  static_cast<int>(rng() % 4));
    // Dithers, solids, lone dots; garbage in the padding.
    const double density = round % 3 == 0 ? 0.5 : round % 3 == 1 ? 0.01 : 0.97;
    for (auto& byte : raster.bits) byte = static_cast<std::uint8_t>(rng());
    for (int y = 0; y < raster.height; ++y)
      for (int x = 0; x < raster.width; ++x) {
        auto& byte = raster.bits[static_cast<std::size_t>(y * raster.stride + x / 8)];
        const auto mask = static_cast<std::uint8_t>(0x80 >> (x % 8));
        byte = static_cast<std::uint8_t>(uniform(0, 1) < density ? byte | mask : byte & ~mask);
      }
    auto settings = plain();
    settings.mode = rng() % 2 ? "M3" : "M4";
    settings.power_s = 1 + static_cast<int>(rng() % 1000);
    settings.passes = 1 + static_cast<int>(rng() % 3);
    settings.overscan_mm = rng() % 3 ? uniform(0, 10) : 0;
    settings.line_interval_mm = uniform(0.02, 0.3);
    settings.feed_mm_per_min = uniform(1, 20'000);
    const double pixel_mm =
        rng() % 2 ? 25.4 / (72 + static_cast<int>(rng() % 1200)) : uniform(0.01, 5);
    expect_round_trip(raster, pixel_mm, settings);
    if (HasFatalFailure()) return;
  }
}

TEST(RasterGcode, TheWidestRowDoesNotDrift) {
  Raster raster(limits::max_raster_side_pixels, 2);
  for (int x = 0; x < raster.width; x += 2) raster.set(x, 0);
  for (int x = 1; x < raster.width; x += 3) raster.set(x, 1);
  expect_round_trip(raster, 25.4 / 300, plain());
}

TEST(RasterGcode, APixelTallerThanTheLineIntervalIsFilledBySeveralLines) {
  Raster raster(1, 1);
  raster.set(0, 0);
  auto settings = plain();
  settings.line_interval_mm = 0.1;
  const auto gcode = raster_gcode(raster.view(), 0.3, settings);
  ASSERT_TRUE(gcode);
  for (const char* y : {"Y0.25S", "Y0.15S", "Y0.05S"})
    EXPECT_NE(gcode->find(y), std::string::npos) << y;
  expect_round_trip(raster, 0.3, settings);
}

TEST(RasterGcode, EachPassBurnsTheWholeRasterAgain) {
  Raster raster(1, 1);
  raster.set(0, 0);
  auto settings = plain();
  settings.passes = 3;
  const auto gcode = raster_gcode(raster.view(), 0.1, settings);
  ASSERT_TRUE(gcode);
  std::size_t burns = 0;
  for (auto at = gcode->find("S500"); at != std::string::npos; at = gcode->find("S500", at + 1))
    ++burns;
  EXPECT_EQ(burns, 3U);
}

TEST(RasterGcode, AProgramOverTheLimitIsRefusedNotCut) {
  Raster raster(8'000, 8'000);
  for (auto& byte : raster.bits) byte = 0x55;
  auto settings = plain();
  settings.passes = limits::max_laser_passes;
  const auto gcode = raster_gcode(raster.view(), 0.1, settings);
  ASSERT_FALSE(gcode);
  EXPECT_EQ(gcode.error().code, Errc::too_big);
}

TEST(RasterGcode, EachImpossibleSettingIsNamed) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const Raster raster(1, 1);
  const auto refused = [&](auto change) -> std::string {
    auto settings = plain();
    change(settings);
    const auto gcode = raster_gcode(raster.view(), 0.1, settings);
    if (gcode) return "accepted";
    EXPECT_EQ(gcode.error().code, Errc::bad_params);
    return gcode.error().field;
  };
  EXPECT_EQ(refused([](auto& s) { s.feed_mm_per_min = 0; }), "/feed_mm_per_min");
  EXPECT_EQ(refused([&](auto& s) { s.feed_mm_per_min = nan; }), "/feed_mm_per_min");
  EXPECT_EQ(refused([](auto& s) { s.power_s = 1001; }), "/power_s");
  EXPECT_EQ(refused([](auto& s) { s.power_s = -1; }), "/power_s");
  EXPECT_EQ(refused([](auto& s) { s.passes = 0; }), "/passes");
  EXPECT_EQ(refused([](auto& s) { s.passes = limits::max_laser_passes + 1; }), "/passes");
  EXPECT_EQ(refused([](auto& s) { s.travel_mm_per_min = 1e9; }), "/travel_mm_per_min");
  EXPECT_EQ(refused([](auto& s) { s.mode = "M5"; }), "/mode");
  EXPECT_EQ(refused([](auto& s) { s.line_interval_mm = 0; }), "/line_interval_mm");
  EXPECT_EQ(refused([](auto& s) { s.overscan_mm = -1; }), "/overscan_mm");
  EXPECT_EQ(refused([](auto& s) { s.passes = limits::max_laser_passes; }), "accepted");
}

TEST(RasterGcode, EachImpossibleRasterIsRefused) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::uint8_t> bits(100);
  const auto code = [&](int width, int height, int stride, double pixel_mm) {
    const auto gcode = raster_gcode({bits, width, height, stride}, pixel_mm, plain());
    return gcode ? std::string("accepted") : std::string(info(gcode.error().code).name);
  };
  EXPECT_EQ(code(8, 100, 1, 0.1), "accepted");
  EXPECT_EQ(code(8, 101, 1, 0.1), "E_PARAMS");
  EXPECT_EQ(code(9, 10, 1, 0.1), "E_PARAMS");
  EXPECT_EQ(code(8, 10, -1, 0.1), "E_PARAMS");
  EXPECT_EQ(code(0, 10, 1, 0.1), "E_PARAMS");
  EXPECT_EQ(code(8, -1, 1, 0.1), "E_PARAMS");
  EXPECT_EQ(code(8, 1, 1, 0.009), "E_PARAMS");
  EXPECT_EQ(code(8, 1, 1, nan), "E_PARAMS");
  EXPECT_EQ(code(limits::max_raster_side_pixels + 1, 1, 1 << 20, 0.1), "E_TOO_BIG");
  EXPECT_EQ(code(65'000, 65'000, 1 << 20, 0.1), "E_TOO_BIG");
}

std::string why_refused(std::string_view gcode) {
  const auto burnt = rasterize_gcode(gcode, 10, 10, 0.1);
  return burnt ? "accepted" : burnt.error().message;
}

TEST(RasterizeGcode, UnsafeMovesAreRefusedWithTheirLine) {
  const std::string on = "G21G90\nM3S100F1000\n";
  EXPECT_EQ(why_refused(on + "G0X1"), "G-code line 3: a rapid with the beam on");
  EXPECT_EQ(why_refused(on + "G0S0X0Y.05\nG1X1Y.15S1"),
            "G-code line 4: a burn that is not along a row");
  EXPECT_EQ(why_refused(on + "G0S0X0Y1.05\nG1X1S1"),
            "G-code line 4: a burn above or below the image");
  EXPECT_EQ(why_refused(on + "G0S0X0Y-.05\nG1X1S1"),
            "G-code line 4: a burn above or below the image");
  EXPECT_EQ(why_refused(on + "G0S0X0.03Y.05\nG1X1S1"),
            "G-code line 4: a burn that does not go from pixel edge to pixel edge");
  EXPECT_EQ(why_refused(on + "G0S0X0Y.05\nG1X1.1S1"),
            "G-code line 4: a burn that does not go from pixel edge to pixel edge");
  EXPECT_EQ(why_refused("M3S1\nG1X1"), "G-code line 2: G1 before any feed was set");
  EXPECT_EQ(why_refused("G91\nG0X999999\nX999999"), "G-code line 3: the move leaves any machine");
}

TEST(RasterizeGcode, WhatItDoesNotKnowIsRefusedNotSkipped) {
  EXPECT_EQ(why_refused("G2X1Y1"), "G-code line 1: G2 is not understood");
  EXPECT_EQ(why_refused("G20"), "G-code line 1: G20 is not understood");
  EXPECT_EQ(why_refused("G38.2"), "G-code line 1: G38.2 is not understood");
  EXPECT_EQ(why_refused("M6"), "G-code line 1: M6 is not understood");
  EXPECT_EQ(why_refused("Z1"), "G-code line 1: Z1 is not understood");
  EXPECT_EQ(why_refused("S-1"), "G-code line 1: S-1 is not understood");
  EXPECT_EQ(why_refused("G1F0"), "G-code line 1: F0 is not understood");
  EXPECT_EQ(why_refused("X"), "G-code line 1: 'X' at column 1 has no number after it");
  EXPECT_EQ(why_refused("X-."), "G-code line 1: 'X' at column 1 has no number after it");
  EXPECT_EQ(why_refused("X99999999999999999999"),
            "G-code line 1: 'X' at column 1 has no number after it");
  EXPECT_EQ(why_refused("\x80"), "G-code line 1: '?' at column 1 has no number after it");
}

TEST(RasterizeGcode, CommentsCaseLineNumbersCarriageReturnsAndEndAreRead) {
  const auto burnt = rasterize_gcode(
      "(head) n10 g21 G17 G94 ; x\r\nM8\r\nm4 s0 f+600\r\ng0 x0 y0.05\r\ng1 x.2 (unclosed\r\n"
      "S5 X.3000\r\nM9\nM2\nnot read any more",
      8, 1, 0.1);
  ASSERT_TRUE(burnt) << burnt.error().message;
  EXPECT_EQ(*burnt, std::vector<std::uint8_t>{0b00100000});
}

TEST(RasterizeGcode, ABeamThatIsOffBurnsNothing) {
  const auto burnt = rasterize_gcode("G21G90\nF1S9\nG0X0Y.05\nG1X.4\nM3\nM5\nX.8", 8, 1, 0.1);
  ASSERT_TRUE(burnt) << burnt.error().message;
  EXPECT_EQ(*burnt, std::vector<std::uint8_t>{0});
}

TEST(RasterizeGcode, BurningTheSamePixelsForEverIsStopped) {
  const int width = limits::max_raster_side_pixels;
  std::string gcode = "M3S1F1G1Y.05S0\n";
  for (int i = 0; i < 70'000; ++i) gcode += "X6553.6S1\nX0\n";
  const auto burnt = rasterize_gcode(gcode, width, 1, 0.1);
  ASSERT_FALSE(burnt);
  EXPECT_EQ(burnt.error().code, Errc::too_big);
}

TEST(RasterizeGcode, ATextOverTheLimitIsNotRead) {
  const std::string gcode(static_cast<std::size_t>(limits::max_gcode_bytes.raw()) + 1, '\n');
  const auto burnt = rasterize_gcode(gcode, 1, 1, 0.1);
  ASSERT_FALSE(burnt);
  EXPECT_EQ(burnt.error().code, Errc::too_big);
}

// Words that parse, in any order, with hostile numbers between; and a real program with bytes
// changed. No crash, and any answer has the size that was asked for.
TEST(RasterizeGcode, HostileTextNeverBreaksIt) {
  std::mt19937 rng(test_seed());
  const std::vector<std::string> tokens = {"G0",
                                           "G1",
                                           "G90",
                                           "G91",
                                           "M3",
                                           "M4",
                                           "M5",
                                           "S0",
                                           "S1000",
                                           "F1",
                                           "X0.1",
                                           "X-0.1",
                                           "Y.1",
                                           "X",
                                           "-",
                                           ".",
                                           "\n",
                                           "\n",
                                           "\n",
                                           "X1e9",
                                           "Y-0",
                                           "(",
                                           ")",
                                           ";",
                                           "N1",
                                           std::string(1, '\0'),
                                           "\r",
                                           "G",
                                           "999",
                                           "Y.05",
                                           "X.5",
                                           "X1.0",
                                           "M30",
                                           "S1",
                                           "G21",
                                           "\xff",
                                           "X99999999",
                                           "X-99999999",
                                           "Y9999999.9999999999",
                                           "F-1",
                                           "X0",
                                           "Y0.05"};
  Raster raster(40, 4);
  for (auto& byte : raster.bits) byte = static_cast<std::uint8_t>(rng());
  const auto real = raster_gcode(raster.view(), 0.1, plain());
  ASSERT_TRUE(real);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    if (round % 2) {
      const auto count = rng() % 40;
      for (unsigned i = 0; i < count; ++i) text += tokens[rng() % tokens.size()];
    } else {
      text = *real;
      for (unsigned i = 0; i <= rng() % 3; ++i)
        text[rng() % text.size()] = static_cast<char>(rng());
    }
    const auto burnt = rasterize_gcode(text, 40, 4, 0.1);
    if (burnt) {
      ++accepted;
      ASSERT_EQ(burnt->size(), 20U) << "round " << round;
    }
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace tallymill::stages::compute
