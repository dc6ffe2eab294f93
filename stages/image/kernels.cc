#include "stages/image/kernels.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define TM_AVX2 [[gnu::target("avx2")]]
#endif

namespace tallymill::stages::image {
namespace {

constexpr int row_shift = weight_bits - line_bits;
constexpr int column_shift = weight_bits + line_bits;

void combine_rows_plain(const std::uint8_t* const* rows, const std::int16_t* weights, int taps,
                        std::int16_t* line, std::size_t count) {
  constexpr std::size_t block = 64;  // sums that stay near
  for (std::size_t x = 0; x < count; x += block) {
    const std::size_t n = std::min(block, count - x);
    std::int32_t sums[block];
    std::fill_n(sums, block, 1 << (row_shift - 1));
    for (int k = 0; k < taps; ++k)
      for (std::size_t i = 0; i < n; ++i) sums[i] += weights[k] * rows[k][x + i];
    for (std::size_t i = 0; i < n; ++i)
      line[x + i] = static_cast<std::int16_t>(sums[i] >> row_shift);
  }
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(
      std::clamp((sum + (1 << (column_shift - 1))) >> column_shift, 0, 255));
}

void combine_columns_plain(const std::int16_t* line, const int* first, const std::int16_t* weights,
                           int taps, int channels, std::uint8_t* out, int width) {
  for (int i = 0; i < width; ++i, weights += taps) {
    const std::int16_t* const from = line + first[i] * channels;
    for (int c = 0; c < channels; ++c) {
      std::int32_t sum = 0;
      for (int k = 0; k < taps; ++k) sum += weights[k] * from[k * channels + c];
      *out++ = to_byte(sum);
    }
  }
}

#if defined(__x86_64__)

std::int32_t pair_of(const std::int16_t* weights) {
  std::int32_t pair;
  std::memcpy(&pair, weights, sizeof pair);
  return pair;
}

// 16 samples at a time: two rows are interleaved, so that one madd serves two taps.
TM_AVX2 void combine_rows_avx2(const std::uint8_t* const* rows, const std::int16_t* weights,
                               int taps, std::int16_t* line, std::size_t count) {
  const __m256i half = _mm256_set1_epi32(1 << (row_shift - 1));
  std::size_t x = 0;
  for (; x + 16 <= count; x += 16) {
    __m256i low = half, high = half;
    for (int k = 0; k < taps; k += 2) {
      const __m256i a =
          _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k] + x)));
      const __m256i b =
          _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k + 1] + x)));
      const __m256i pair = _mm256_set1_epi32(pair_of(weights + k));
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), pair));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), pair));
    }
    low = _mm256_srai_epi32(low, row_shift);
    high = _mm256_srai_epi32(high, row_shift);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(line + x), _mm256_packs_epi32(low, high));
  }
  for (; x < count; ++x) {
    std::int32_t sum = 1 << (row_shift - 1);
    for (int k = 0; k < taps; ++k) sum += weights[k] * rows[k][x];
    line[x] = static_cast<std::int16_t>(sum >> row_shift);
  }
}

TM_AVX2 __m128i rounded(__m128i sums) {
  return _mm_srai_epi32(_mm_add_epi32(sums, _mm_set1_epi32(1 << (column_shift - 1))), column_shift);
}

TM_AVX2 __m128i load(const std::int16_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// Four taps of RGB at a time, two in each half: R0 G0 B0 R1 G1 B1 .. becomes R0 R1 G0 G1 B0 B1 ..
TM_AVX2 void combine_rgb_avx2(const std::int16_t* line, const int* first,
                              const std::int16_t* weights, int taps, std::uint8_t* out, int width) {
  const __m256i pairs = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1));
  const __m256i spread = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  for (int i = 0; i < width; ++i, weights += taps, out += 3) {
    const std::int16_t* from = line + 3 * first[i];
    __m256i sums = _mm256_setzero_si256();
    for (int k = 0; k < taps; k += 4, from += 12) {
      const __m256i samples =
          _mm256_inserti128_si256(_mm256_castsi128_si256(load(from)), load(from + 6), 1);
      const __m128i four = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights + k));
      const __m256i by = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four), spread);
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_shuffle_epi8(samples, pairs), by));
    }
    const __m128i rgb =
        rounded(_mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)));
    const __m128i words = _mm_packs_epi32(rgb, rgb);
    const int bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    std::memcpy(out, &bytes, 3);
  }
}

TM_AVX2 __m128i gray_sums(const std::int16_t* from, const std::int16_t* weights, int taps) {
  __m128i sums = _mm_setzero_si128();
  for (int k = 0; k < taps; k += 8)
    sums = _mm_add_epi32(sums, _mm_madd_epi16(load(from + k), load(weights + k)));
  return sums;
}

TM_AVX2 void combine_gray_avx2(const std::int16_t* line, const int* first,
                               const std::int16_t* weights, int taps, std::uint8_t* out,
                               int width) {
  int i = 0;
  for (; i + 4 <= width; i += 4, weights += 4 * taps, out += 4) {
    const __m128i a = gray_sums(line + first[i], weights, taps);
    const __m128i b = gray_sums(line + first[i + 1], weights + taps, taps);
    const __m128i c = gray_sums(line + first[i + 2], weights + 2 * taps, taps);
    const __m128i d = gray_sums(line + first[i + 3], weights + 3 * taps, taps);
    const __m128i four = rounded(_mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d)));
    const __m128i words = _mm_packs_epi32(four, four);
    const int bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    std::memcpy(out, &bytes, 4);
  }
  combine_columns_plain(line, first + i, weights, taps, 1, out, width - i);
}

TM_AVX2 void combine_columns_avx2(const std::int16_t* line, const int* first,
                                  const std::int16_t* weights, int taps, int channels,
                                  std::uint8_t* out, int width) {
  if (channels == 3)
    combine_rgb_avx2(line, first, weights, taps, out, width);
  else
    combine_gray_avx2(line, first, weights, taps, out, width);
}

#endif

}  // namespace

bool has_avx2() {
#if defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
#else
  return false;
#endif
}

const ResizeKernels& plain_resize_kernels() {
  static constexpr ResizeKernels plain{combine_rows_plain, combine_columns_plain};
  return plain;
}

const ResizeKernels& best_resize_kernels() {
#if defined(__x86_64__)
  static constexpr ResizeKernels avx2{combine_rows_avx2, combine_columns_avx2};
  if (has_avx2()) return avx2;
#endif
  return plain_resize_kernels();
}

}  // namespace tallymill::stages::image
