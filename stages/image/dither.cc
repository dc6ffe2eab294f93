#include "stages/image/dither.h"

#include <algorithm>

#include "stages/image/dither_wavefront.h"
#include "stages/image/kernels.h"

namespace tallymill::stages::image {
namespace {

BitRaster blank(Size size) {
  BitRaster out{size, static_cast<std::size_t>(size.width + 7) / 8, {}};
  out.bits.resize(out.stride * static_cast<std::size_t>(size.height));
  return out;
}

// One row. `below[x + 1]` holds what the row above left for pixel x, and is given what this row
// leaves for the next; below[0] is never read.
void dither_row(const std::uint8_t* gray, int width, int* below, std::uint8_t* out) {
  int carried = 0;      // 7 e(x-1)
  int one_left = 0;     // e(x-1)
  int left_below = 0;   // 5 e(x-1) + 1 e(x-2)
  unsigned packed = 0;  // the bits of the byte under way
  for (int x = 0; x < width; ++x) {
    const int value = std::clamp(gray[x] + (carried + below[x + 1]) / 16, 0, 255);
    const bool white = value > 128;
    const int error = value - (white ? 255 : 0);
    below[x] = left_below + 3 * error;
    left_below = 5 * error + one_left;
    one_left = error;
    carried = 7 * error;
    packed = packed << 1 | static_cast<unsigned>(!white);
    if ((x & 7) == 7) *out++ = static_cast<std::uint8_t>(packed);
  }
  below[width] = left_below;
  if (const int rest = width & 7; rest != 0) *out = static_cast<std::uint8_t>(packed << (8 - rest));
}

}  // namespace

BitRaster dither(const Raster& gray) {
  if (!has_avx2()) return dither_plain(gray);
  TM_CHECK(gray.channels() == 1);
  BitRaster out = blank(gray.size());
  dither_wavefront(gray, out);
  return out;
}

BitRaster dither_plain(const Raster& gray) {
  TM_CHECK(gray.channels() == 1);
  BitRaster out = blank(gray.size());
  std::vector<int> below(static_cast<std::size_t>(gray.width()) + 1, 0);
  for (int y = 0; y < gray.height(); ++y)
    dither_row(gray.row(y), gray.width(), below.data(),
               out.bits.data() + out.stride * static_cast<std::size_t>(y));
  return out;
}

BitRaster dither_reference(const Raster& gray) {
  TM_CHECK(gray.channels() == 1);
  BitRaster out = blank(gray.size());
  const auto width = static_cast<std::size_t>(gray.width());
  // Errors with a zero before the first and after the last pixel: e(x) is at x + 1.
  std::vector<int> above(width + 2, 0);
  std::vector<int> here(width + 2, 0);
  for (int y = 0; y < gray.height(); ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const int carried = 7 * here[x] + 1 * above[x] + 5 * above[x + 1] + 3 * above[x + 2];
      const int value = std::clamp(gray.row(y)[x] + carried / 16, 0, 255);
      const bool white = value > 128;
      here[x + 1] = value - (white ? 255 : 0);
      if (!white)
        out.bits[out.stride * static_cast<std::size_t>(y) + x / 8] |=
            static_cast<std::uint8_t>(0x80U >> (x % 8));
    }
    above.swap(here);
  }
  return out;
}

}  // namespace tallymill::stages::image
