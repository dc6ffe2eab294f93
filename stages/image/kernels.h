// Kernels: the inner loops of resize and dither, plain and for AVX2, chosen once at run time.
//
// Integers throughout, so that both ways give the same bits: a job may run on either of two hosts.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>

#include "stages/image/raster.h"

namespace tallymill::stages::image {

// Fixed point of the resampler: weights, and the line between its two passes.
inline constexpr int weight_bits = 14;
inline constexpr int line_bits = 6;
// What a kernel may read beyond the last sample of a line, in samples.
inline constexpr std::size_t line_slack = 32;

struct ResizeKernels {
  // line[x] = sum over k of weights[k] * rows[k][x], with line_bits fractional bits.
  // REQUIRES: taps even; |weights| sum to at most 1.9.
  void (*combine_rows)(const std::uint8_t* const* rows, const std::int16_t* weights, int taps,
                       std::int16_t* line, std::size_t count);
  // One row of output samples; output i takes taps samples (of `channels` each) from line +
  // first[i] * channels on. REQUIRES: taps a multiple of 4 for three
  // channels and of 8 for one; line_slack samples readable behind the line.
  void (*combine_columns)(const std::int16_t* line, const int* first, const std::int16_t* weights,
                          int taps, int channels, std::uint8_t* out, int width);
};

[[nodiscard]] const ResizeKernels& plain_resize_kernels();
[[nodiscard]] const ResizeKernels& best_resize_kernels();  // of this processor

[[nodiscard]] bool has_avx2();

}  // namespace tallymill::stages::image
