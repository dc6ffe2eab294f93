// Dither: gray to black and white by Floyd-Steinberg error diffusion.
//
// The arithmetic, exact and in integers. Rows from top to bottom, each from left to right. With
// e(x, y) the error of a pixel and every sum over pixels that exist:
//
//   carried = 7 e(x-1, y) + 1 e(x-1, y-1) + 5 e(x, y-1) + 3 e(x+1, y-1)
//   value   = clamp(gray(x, y) + carried / 16, 0, 255)     division towards zero
//   white   = value > 128
//   e(x, y) = value - (white ? 255 : 0)
//
// The error that would fall outside the picture is lost. The bits equal those of Pillow's
// convert("1") for the same gray picture. A dark dot is a set bit (raster.h).
//
// Threads: any.
#pragma once

#include "stages/image/raster.h"

namespace tallymill::stages::image {

// All three REQUIRE one channel and give the same bits.
[[nodiscard]] BitRaster dither(const Raster& gray);  // the fastest for this processor
[[nodiscard]] BitRaster dither_plain(const Raster& gray);

// The arithmetic above as written; what the others are held against.
[[nodiscard]] BitRaster dither_reference(const Raster& gray);

}  // namespace tallymill::stages::image
