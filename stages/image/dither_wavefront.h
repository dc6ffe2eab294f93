// Floyd-Steinberg for 16 rows at once, in the 16 lanes of AVX2; the same bits as the plain loop.
//
// Threads: any.
#pragma once

#include "stages/image/raster.h"

namespace tallymill::stages::image {

// REQUIRES: has_avx2(); one channel; out.bits zeroed and of gray's size.
void dither_wavefront(const Raster& gray, BitRaster& out);

}  // namespace tallymill::stages::image
