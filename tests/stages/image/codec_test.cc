// The codec stands between files from anywhere and our memory. Goal: every supported file decodes
// to the right pixels; every damaged, lying or oversized one is a named error before it costs
// memory; encoders write what they say, the same bytes each time. Method: round trips, files of
// each colour type made with the libraries, and the same files cut and patched.
#include "stages/image/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/limits.h"
#include "stages/image/dither.h"
#include "tests/stages/image/files.h"
#include "tests/stages/image/pictures.h"

namespace tallymill::stages::image {
namespace {

using testing::JpegShape;
using testing::PngShape;
using namespace std::string_literals;

double mean_difference(const Raster& a, const Raster& b) {
  EXPECT_EQ(a.size(), b.size());
  EXPECT_EQ(a.channels(), b.channels());
  if (a.byte_count() != b.byte_count()) return 255;
  double sum = 0;
  for (std::size_t i = 0; i < a.byte_count(); ++i) sum += std::abs(a.bytes()[i] - b.bytes()[i]);
  return sum / static_cast<double>(a.byte_count());
}

// Fails the test when `bytes` is not refused with this code at /inputs/0.
void expect_refused(std::string_view bytes, Errc code, const std::string& what) {
  const auto decoded = decode(bytes);
  ASSERT_FALSE(decoded) << what;
  EXPECT_EQ(decoded.error().code, code) << what << ": " << decoded.error().message;
  EXPECT_EQ(decoded.error().field, "/inputs/0") << what;
  EXPECT_FALSE(decoded.error().message.empty()) << what;
}

std::vector<std::uint8_t> samples(Size size, int components) {
  std::vector<std::uint8_t> out;
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x)
      for (int c = 0; c < components; ++c)
        out.push_back(static_cast<std::uint8_t>((x * 2 + y * 3 + c * 40) % 256));
  return out;
}

// One good file of each format and of JPEG's two orders.
std::vector<std::pair<std::string, std::string>> good_files() {
  const Raster picture = testing::photo({96, 64}, 3);
  const std::vector<std::uint8_t> rgb(picture.bytes().begin(), picture.bytes().end());
  return {{"JPEG", *encode_jpeg(picture, 85)},
          {"progressive JPEG", testing::write_jpeg({96, 64}, rgb, {.progressive = true})},
          {"PNG", *encode_png(picture)},
          {"WebP", *encode_webp(picture, 80)}};
}

TEST(Codec, PngGivesBackEveryPixelOfGrayAndColour) {
  for (const int channels : {1, 3}) {
    const Raster picture = testing::photo({53, 31}, channels);
    const auto back = decode(*encode_png(picture));
    ASSERT_TRUE(back);
    EXPECT_EQ(mean_difference(*back, picture), 0);
  }
}

TEST(Codec, JpegAndWebpComeBackNearToWhatWentIn) {
  const Raster colour = testing::photo({120, 90}, 3);
  const Raster gray = testing::photo({120, 90}, 1);
  EXPECT_LT(mean_difference(*decode(*encode_jpeg(colour, 95)), colour), 8);
  EXPECT_LT(mean_difference(*decode(*encode_jpeg(gray, 95)), gray), 4);
  EXPECT_LT(mean_difference(*decode(*encode_webp(colour, 95)), colour), 8);
  EXPECT_LT(mean_difference(*decode(*encode_webp(gray, 95), {.gray = true}), gray), 6);
}

TEST(Codec, TheProbeSaysWhatADecodeThenGives) {
  for (const auto& [name, bytes] : good_files()) {
    const auto info = probe(bytes);
    ASSERT_TRUE(info) << name;
    EXPECT_EQ(info->size, (Size{96, 64})) << name;
    EXPECT_EQ(info->channels, decode(bytes)->channels()) << name;
    EXPECT_EQ(info->orientation, 1) << name;
    EXPECT_EQ(std::string(extension(info->format)).substr(0, 1),
              std::string(media_type(info->format)).substr(6, 1));
  }
}

TEST(Codec, EncodersGiveTheSameBytesTwice) {
  const Raster picture = testing::photo({300, 200}, 3);
  EXPECT_EQ(*encode_jpeg(picture, 80), *encode_jpeg(picture, 80));
  EXPECT_EQ(*encode_webp(picture, 80), *encode_webp(picture, 80));
  EXPECT_EQ(*encode_png(picture), *encode_png(picture));
}

TEST(Codec, MoreQualityIsMoreBytes) {
  const Raster picture = testing::photo({200, 200}, 3);
  EXPECT_LT(encode_jpeg(picture, 30)->size(), encode_jpeg(picture, 90)->size());
  EXPECT_LT(encode_webp(picture, 30)->size(), encode_webp(picture, 90)->size());
}

TEST(Codec, AJpegOfGrayHasOneChannelAndAColourOneCanBeReadAsGray) {
  const Raster gray = testing::photo({40, 40}, 1);
  EXPECT_EQ(decode(*encode_jpeg(gray, 90))->channels(), 1);
  const Raster colour = testing::flat({40, 40}, {200, 100, 50});
  const auto luma = decode(*encode_jpeg(colour, 95), {.gray = true});
  ASSERT_TRUE(luma);
  EXPECT_EQ(luma->channels(), 1);
  EXPECT_NEAR(luma->row(20)[20], 0.299 * 200 + 0.587 * 100 + 0.114 * 50, 2);
}

TEST(Codec, AJpegIsDecodedSmallerOnlyAsFarAsBothSidesAllow) {
  const std::string bytes = *encode_jpeg(testing::photo({800, 400}, 3), 85);
  const std::pair<Size, Size> cases[] = {{{100, 50}, {100, 50}},  {{101, 50}, {200, 100}},
                                         {{100, 51}, {200, 100}}, {{400, 200}, {400, 200}},
                                         {{401, 1}, {800, 400}},  {{2000, 2000}, {800, 400}},
                                         {{0, 0}, {800, 400}}};
  for (const auto& [wanted, given] : cases) {
    ReadOptions options;
    options.at_least = wanted;
    const auto reader = open(bytes, *probe(bytes), options);
    ASSERT_TRUE(reader);
    EXPECT_EQ((*reader)->size(), given) << wanted.width << "x" << wanted.height;
  }
}

TEST(Codec, RowsMayBeReadInPiecesFromEveryFormat) {
  for (const auto& [name, bytes] : good_files()) {
    const auto whole = decode(bytes);
    const auto reader = open(bytes, *probe(bytes), {});
    ASSERT_TRUE(whole && reader) << name;
    Raster pieces(whole->size(), whole->channels());
    for (int y = 0; y < 64; y += 10)
      ASSERT_TRUE((*reader)->read(pieces.row(y), std::min(10, 64 - y))) << name;
    EXPECT_EQ(mean_difference(pieces, *whole), 0) << name;
  }
}

TEST(Codec, AProgressiveJpegIsTheSamePictureAsItsSequentialTwin) {
  const auto rgb = samples({64, 48}, 3);
  EXPECT_EQ(mean_difference(*decode(testing::write_jpeg({64, 48}, rgb, {.progressive = true})),
                            *decode(testing::write_jpeg({64, 48}, rgb, {}))),
            0);
}

TEST(Codec, CmykBecomesRgbWithTheInkEitherWayUp) {
  // Pure yellow ink: light in red and green, none in blue.
  const std::vector<std::uint8_t> ink(16 * 16 * 4, 0);
  for (const bool adobe : {true, false}) {
    std::vector<std::uint8_t> yellow = ink;
    for (std::size_t i = 0; i < yellow.size(); ++i)
      yellow[i] = static_cast<std::uint8_t>((i % 4 == 2) != adobe ? 255 : 0);
    const std::string bytes =
        testing::write_jpeg({16, 16}, yellow, {.components = 4, .adobe = adobe});
    const auto rgb = decode(bytes);
    ASSERT_TRUE(rgb);
    ASSERT_EQ(rgb->channels(), 3);
    EXPECT_NEAR(rgb->row(8)[8 * 3 + 0], 255, 3);
    EXPECT_NEAR(rgb->row(8)[8 * 3 + 1], 255, 3);
    EXPECT_NEAR(rgb->row(8)[8 * 3 + 2], 0, 3);
    const auto gray = decode(bytes, {.gray = true});
    ASSERT_TRUE(gray);
    EXPECT_EQ(gray->channels(), 1);
    EXPECT_NEAR(gray->row(8)[8], 226, 3);
  }
}

TEST(Codec, EveryColourTypeOfPngIsReadAsItLooksOnWhite) {
  const struct {
    const char* name;
    std::string row;  // two pixels
    PngShape shape;
    std::vector<std::uint8_t> shown;
  } cases[] = {
      {"1 bit gray", "\x40"s, {PNG_COLOR_TYPE_GRAY, 1}, {0, 255}},
      {"4 bit gray", "\x0f"s, {PNG_COLOR_TYPE_GRAY, 4}, {0, 255}},
      {"16 bit gray", "\x80\x00\xff\xff"s, {PNG_COLOR_TYPE_GRAY, 16}, {128, 255}},
      {"gray and alpha", "\x00\x80\x64\x00"s, {PNG_COLOR_TYPE_GRAY_ALPHA, 8}, {127, 255}},
      {"16 bit RGB",
       "\x10\x00\x20\x00\x30\x00\xff\xff\x00\x00\x80\x00"s,
       {PNG_COLOR_TYPE_RGB, 16},
       {16, 32, 48, 255, 0, 128}},
      {"RGB and alpha",
       "\x0a\x14\x1e\xff\x0a\x14\x1e\x00"s,
       {PNG_COLOR_TYPE_RGB_ALPHA, 8},
       {10, 20, 30, 255, 255, 255}},
      {"palette",
       "\x40"s,
       {PNG_COLOR_TYPE_PALETTE, 1, false, {{1, 2, 3}, {4, 5, 6}}},
       {1, 2, 3, 4, 5, 6}},
      {"palette with alpha",
       "\x40"s,
       {PNG_COLOR_TYPE_PALETTE, 1, false, {{1, 2, 3}, {4, 5, 6}}, {255, 0}},
       {1, 2, 3, 255, 255, 255}},
  };
  for (const auto& one : cases) {
    const auto picture = decode(testing::write_png({2, 1}, {one.row}, one.shape));
    ASSERT_TRUE(picture) << one.name;
    EXPECT_TRUE(std::ranges::equal(picture->bytes(), one.shown)) << one.name;
    const auto gray = decode(testing::write_png({2, 1}, {one.row}, one.shape), {.gray = true});
    ASSERT_TRUE(gray) << one.name;
    EXPECT_EQ(gray->channels(), 1) << one.name;
  }
}

TEST(Codec, AnInterlacedPngIsTheSamePictureAsAPlainOne) {
  std::vector<std::string> rows;
  const auto rgb = samples({37, 23}, 3);
  for (std::size_t y = 0; y < 23; ++y)
    rows.emplace_back(reinterpret_cast<const char*>(rgb.data()) + y * 37 * 3, 37 * 3);
  PngShape interlaced;
  interlaced.interlaced = true;
  const auto a = decode(testing::write_png({37, 23}, rows, interlaced));
  const auto b = decode(testing::write_png({37, 23}, rows, {}));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(mean_difference(*a, *b), 0);
}

TEST(Codec, WebpWithAlphaIsFlattenedOnWhite) {
  const auto picture = decode(testing::webp_with_alpha());
  ASSERT_TRUE(picture);
  EXPECT_TRUE(
      std::ranges::equal(picture->bytes(), std::vector<std::uint8_t>{10, 20, 30, 255, 255, 255}));
}

TEST(Codec, TheEngravingPngHasOneBitAPixelAndKnowsItsMillimetres) {
  const BitRaster dots = dither(testing::photo({203, 57}, 1));
  const auto bytes = encode_png(dots, 10);
  ASSERT_TRUE(bytes);
  EXPECT_EQ((*bytes)[24], 1) << "bit depth";
  EXPECT_EQ((*bytes)[25], 0) << "gray";
  EXPECT_NE(bytes->find("pHYs\x00\x00\x27\x10\x00\x00\x27\x10\x01"s), std::string::npos);
  const auto back = decode(*bytes);
  ASSERT_TRUE(back);
  ASSERT_EQ(back->size(), dots.size);
  for (int y = 0; y < 57; ++y)
    for (int x = 0; x < 203; ++x) {
      const bool burnt = (dots.row(y)[x / 8] >> (7 - x % 8) & 1) != 0;
      ASSERT_EQ(back->row(y)[x], burnt ? 0 : 255) << x << ", " << y;
    }
  EXPECT_EQ(*bytes, *encode_png(dots, 10));
}

TEST(CodecRefuses, AFileCutAnywhere) {
  for (const auto& [name, bytes] : good_files()) {
    std::vector<std::size_t> lengths = {1, 2, 3, 4, 11, 12, 20, 32, 33};
    for (std::size_t part = 1; part < 60; ++part) lengths.push_back(bytes.size() * part / 60);
    for (std::size_t less = 1; less <= 3; ++less) lengths.push_back(bytes.size() - less);
    for (const std::size_t length : lengths) {
      // PNG ends with an empty chunk: what is cut off there holds no pixel.
      if (name == "PNG" && length + 16 > bytes.size()) continue;
      expect_refused(bytes.substr(0, length), Errc::bad_params,
                     name + " cut to " + std::to_string(length));
    }
  }
}

TEST(CodecRefuses, WhatIsNoPictureWhateverItsFirstBytesSay) {
  expect_refused("", Errc::bad_params, "empty");
  expect_refused("GIF89a\x01\x00\x01\x00", Errc::bad_params, "GIF");
  expect_refused("<svg xmlns='http://www.w3.org/2000/svg'/>", Errc::bad_params, "SVG");
  std::mt19937 rng(11);
  for (const std::string& magic :
       {"\xff\xd8\xff"s, "\xff\xd8\xff\xe0"s, "\x89PNG\r\n\x1a\n"s, "RIFF\x10\0\0\0WEBP"s,
        "RIFF\x10\0\0\0WEBPVP8 "s, "RIFF\x20\0\0\0WEBPVP8X"s}) {
    expect_refused(magic, Errc::bad_params, "magic alone");
    for (int round = 0; round < 20; ++round) {
      std::string noise = magic;
      for (int i = 0; i < 400; ++i) noise.push_back(static_cast<char>(rng()));
      expect_refused(noise, Errc::bad_params, "noise behind the magic");
    }
  }
}

TEST(CodecRefuses, APictureWithoutPixels) {
  const std::string jpeg = *encode_jpeg(testing::photo({16, 16}, 3), 80);
  expect_refused(testing::jpeg_claiming(jpeg, 0, 16), Errc::bad_params, "JPEG of no width");
  expect_refused(testing::jpeg_claiming(jpeg, 16, 0), Errc::bad_params, "JPEG of no height");
  expect_refused(testing::png_header(0, 16), Errc::bad_params, "PNG of no width");
  expect_refused(testing::png_header(16, 0), Errc::bad_params, "PNG of no height");
}

TEST(CodecRefuses, ABombByItsHeaderAlone) {
  const std::string jpeg = *encode_jpeg(testing::photo({16, 16}, 3), 80);
  expect_refused(testing::jpeg_claiming(jpeg, 65'000, 65'000), Errc::too_big, "JPEG");
  expect_refused(testing::png_header(65'000, 65'000), Errc::too_big, "PNG");
  expect_refused(testing::png_header(30'000, 30'000, 1, 0), Errc::too_big, "1-bit PNG");
  expect_refused(testing::png_header(0x7fffffff, 1), Errc::too_big, "the widest PNG there can be");
  expect_refused(testing::png_header(0xffffffff, 1), Errc::bad_params, "wider than PNG allows");
}

TEST(CodecRefuses, SizesOnePixelBeyondTheLimitButNotThoseAtIt) {
  const auto verdict = [](std::uint32_t width, std::uint32_t height) {
    const auto info = probe(testing::png_header(width, height));
    return info ? "fine"s : std::string(tallymill::info(info.error().code).name);
  };
  EXPECT_EQ(verdict(limits::max_image_side, 3'333), "fine");
  EXPECT_EQ(verdict(limits::max_image_side + 1, 1), "E_TOO_BIG");
  EXPECT_EQ(verdict(10'000, 10'000), "fine");
  EXPECT_EQ(verdict(10'000, 10'001), "E_TOO_BIG");
}

TEST(CodecRefuses, AFileOneByteOverTheLimit) {
  std::string bytes = *encode_jpeg(testing::photo({16, 16}, 3), 80);
  bytes.resize(static_cast<std::size_t>(limits::max_image_bytes.raw()), '\0');
  EXPECT_TRUE(probe(bytes));
  bytes.push_back('\0');
  expect_refused(bytes, Errc::too_big, "one byte more");
}

TEST(CodecRefuses, AnEndlessProgressionOfScans) {
  const std::string bytes = testing::write_jpeg({64, 48}, samples({64, 48}, 3),
                                                {.progressive = true, .many_scans = true});
  expect_refused(bytes, Errc::too_big, "192 scans");
}

TEST(CodecRefuses, AProgressiveJpegWhoseCoefficientsNeedMoreMemoryThanItMayHave) {
  const std::string small =
      testing::write_jpeg({16, 16}, samples({16, 16}, 4), {.components = 4, .progressive = true});
  expect_refused(testing::jpeg_claiming(small, 10'000, 10'000), Errc::memory, "CMYK, 800 MB");
}

TEST(CodecRefuses, AHeaderThatFailsItsChecksum) {
  std::string png = *encode_png(testing::photo({16, 16}, 3));
  png[18] = static_cast<char>(png[18] ^ 1);
  expect_refused(png, Errc::bad_params, "PNG");
}

TEST(CodecRefuses, AnAnimation) {
  const std::string header =
      "RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0ANIM\0\0\0\0"s;
  const auto refused = decode(header);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::bad_params);
}

// Flipping bits may leave a picture that decodes; it must never do anything but that or an error.
TEST(CodecRefuses, OrReadsAnyFileWithFlippedBitsWithoutHarm) {
  std::mt19937 rng(5);
  int refused = 0, read = 0;
  for (const auto& [name, good] : good_files())
    for (int round = 0; round < 300; ++round) {
      std::string bytes = good;
      for (unsigned flips = 1 + rng() % 4; flips > 0; --flips) {
        char& byte = bytes[rng() % bytes.size()];
        byte = static_cast<char>(byte ^ (1 << rng() % 8));
      }
      const auto info = probe(bytes);
      if (info && info->size.pixels() > 1'000'000) continue;  // legal, but slow here
      decode(bytes) ? ++read : ++refused;
    }
  EXPECT_GT(refused, 100);
  EXPECT_GT(read, 100);
}

TEST(Codec, WorkStopsWhenToldToInEveryFormat) {
  PngShape interlaced;
  interlaced.interlaced = true;
  const std::string line(512 * 3, 'x');
  auto files = good_files();
  files.emplace_back("interlaced PNG",
                     testing::write_png({512, 512}, std::vector(512, line), interlaced));
  files.emplace_back(
      "large progressive JPEG",
      testing::write_jpeg({512, 512}, samples({512, 512}, 3), {.progressive = true}));
  for (const auto& [name, bytes] : files) {
    if (name == "JPEG" || name == "progressive JPEG") continue;  // over before it is asked
    const auto stopped = decode(bytes, {.keep_going = [] { return false; }});
    ASSERT_FALSE(stopped) << name;
    EXPECT_EQ(stopped.error().code, Errc::cancelled) << name;
  }
}

TEST(Exif, TheOrientationOfAJpegIsFoundInBothByteOrders) {
  const std::string jpeg = *encode_jpeg(testing::photo({16, 8}, 3), 80);
  for (int value = 1; value <= 8; ++value)
    for (const bool little : {true, false})
      EXPECT_EQ(probe(testing::with_exif(jpeg, value, little))->orientation, value);
}

TEST(Exif, AValueThatIsNoneOfTheEightCountsAsUpright) {
  const std::string jpeg = *encode_jpeg(testing::photo({16, 8}, 3), 80);
  EXPECT_EQ(probe(testing::with_exif(jpeg, 0))->orientation, 1);
  EXPECT_EQ(probe(testing::with_exif(jpeg, 9))->orientation, 1);
}

TEST(Exif, ADamagedBlockNeverSpoilsAGoodPicture) {
  const std::string jpeg = testing::with_exif(*encode_jpeg(testing::photo({16, 8}, 3), 80), 6);
  for (std::size_t at = 6; at < 38; ++at)
    for (const char byte : {'\0', '\x7f', '\xff'}) {
      std::string damaged = jpeg;
      damaged[at] = byte;
      const auto info = probe(damaged);
      ASSERT_TRUE(info) << at;
      EXPECT_TRUE(info->orientation >= 1 && info->orientation <= 8) << at;
    }
}

TEST(Exif, PngAndWebpCarryItInChunksOfTheirOwn) {
  const std::string tiff = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"s;
  std::string png = *encode_png(testing::photo({16, 8}, 3));
  png.insert(33, testing::png_chunk("eXIf", tiff));
  EXPECT_EQ(probe(png)->orientation, 6);
  EXPECT_TRUE(decode(png));

  std::string webp = *encode_webp(testing::photo({16, 8}, 3), 80);
  webp += "EXIF"s + static_cast<char>(tiff.size()) + "\0\0\0"s + tiff;
  EXPECT_EQ(probe(webp)->orientation, 6);
}

}  // namespace
}  // namespace tallymill::stages::image
