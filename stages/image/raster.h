// Raster: a picture in memory, and BitRaster: one of 1 bit a pixel.
//
// Raster is height x width x channels, uint8, rows packed without padding; one channel is gray
// (0 = black), three are red, green, blue (sRGB as decoded). BitRaster is height x width, the most
// significant bit first, rows padded to whole bytes with zeros; a set bit is a dark dot: the laser
// burns there.
//
// Threads: plain values; moved, never shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"

namespace tallymill::stages::image {

struct Size {
  int width = 0;
  int height = 0;
  [[nodiscard]] std::int64_t pixels() const { return std::int64_t{width} * height; }
  friend bool operator==(const Size&, const Size&) = default;
};

class Raster {
 public:
  Raster() = default;
  // Pixels are not set. REQUIRES: both sides >= 1; channels 1 or 3.
  Raster(Size size, int channels) : size_(size), channels_(channels) {
    TM_CHECK(size.width >= 1 && size.height >= 1 && (channels == 1 || channels == 3));
    pixels_ = std::make_unique_for_overwrite<std::uint8_t[]>(byte_count());
  }

  [[nodiscard]] Size size() const { return size_; }
  [[nodiscard]] int width() const { return size_.width; }
  [[nodiscard]] int height() const { return size_.height; }
  [[nodiscard]] int channels() const { return channels_; }
  [[nodiscard]] std::size_t stride() const {
    return static_cast<std::size_t>(size_.width) * static_cast<std::size_t>(channels_);
  }
  [[nodiscard]] std::size_t byte_count() const {
    return stride() * static_cast<std::size_t>(size_.height);
  }
  [[nodiscard]] std::uint8_t* row(int y) {
    return pixels_.get() + stride() * static_cast<std::size_t>(y);
  }
  [[nodiscard]] const std::uint8_t* row(int y) const {
    return pixels_.get() + stride() * static_cast<std::size_t>(y);
  }
  [[nodiscard]] std::span<std::uint8_t> bytes() { return {pixels_.get(), byte_count()}; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const {
    return {pixels_.get(), byte_count()};
  }

 private:
  Size size_;
  int channels_ = 0;
  std::unique_ptr<std::uint8_t[]> pixels_;
};

struct BitRaster {
  Size size;
  std::size_t stride = 0;  // bytes a row: (width + 7) / 8
  std::vector<std::uint8_t> bits;

  [[nodiscard]] const std::uint8_t* row(int y) const {
    return bits.data() + stride * static_cast<std::size_t>(y);
  }
};

}  // namespace tallymill::stages::image
