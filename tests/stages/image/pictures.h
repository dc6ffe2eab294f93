// Pictures for the tests of this folder, all made here; and a Context that remembers what it is
// told.
//
// Threads: as the tests'.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "stages/handler.h"
#include "stages/image/codec.h"

namespace tallymill::stages::image::testing {

// Soft shapes with fine detail and noise: near to a photo in what it asks of codecs and filters.
inline Raster photo(Size size, int channels, unsigned seed = 7) {
  Raster picture(size, channels);
  std::mt19937 rng(seed);
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x)
      for (int c = 0; c < channels; ++c) {
        const int soft = (x * (3 + c) / 5 + y * 2 / (1 + c)) & 0x1ff;
        const int triangle = soft < 256 ? soft : 511 - soft;
        const int detail = ((x / 9 + y / 7) & 1) != 0 ? 24 : 0;
        const int value = triangle * 3 / 4 + detail + static_cast<int>(rng() % 16);
        picture.row(y)[x * channels + c] = static_cast<std::uint8_t>(std::min(value, 255));
      }
  return picture;
}

inline Raster flat(Size size, std::vector<std::uint8_t> colour) {
  Raster picture(size, static_cast<int>(colour.size()));
  for (std::size_t i = 0; i < picture.byte_count(); ++i)
    picture.bytes()[i] = colour[i % colour.size()];
  return picture;
}

// A JPEG with an EXIF block right behind its first marker.
inline std::string with_exif(const std::string& jpeg, int orientation, bool little = false) {
  using namespace std::string_literals;
  const char o = static_cast<char>(orientation);
  const std::string tiff =
      little ? "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"s + o + "\0\0\0\0\0\0\0"s
             : "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"s + o + "\0\0\0\0\0\0"s;
  const std::string body = "Exif\0\0"s + tiff;
  const std::size_t length = body.size() + 2;
  return jpeg.substr(0, 2) + "\xff\xe1" + static_cast<char>(length >> 8) +
         static_cast<char>(length & 0xff) + body + jpeg.substr(2);
}

class RecordingContext final : public Context {
 public:
  void progress(double fraction) override {
    falling = falling || fraction < reached;
    reached = fraction;
    ++progress_calls;
  }
  void preview(File file) override { previews.push_back(std::move(file)); }
  [[nodiscard]] bool cancelled() const override { return ++asked > cancel_after; }
  void span_begin(std::string_view name) override {
    ++open_spans;
    spans.emplace_back(name);
  }
  void span_end() override { --open_spans; }

  double reached = 0;
  bool falling = false;
  int progress_calls = 0;
  std::vector<File> previews;
  std::vector<std::string> spans;
  int open_spans = 0;
  mutable int asked = 0;
  int cancel_after = 1 << 30;
};

}  // namespace tallymill::stages::image::testing
