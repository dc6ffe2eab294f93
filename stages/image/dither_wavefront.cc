// A pixel needs the errors of its left neighbour and of three above it, the last of them one to the
// right. So 16 rows can go on together if each lags two pixels behind the one above:
//   1. lane r works on pixel x = t - 2r of row r at step t. Its left error is its own of step
//      t - 1; the three above are its upper neighbour lane's of steps t - 1, t - 2 and t - 3, so
//      one shift of 3 e(t-1) + 5 e(t-2) + e(t-3) by a lane gives all that comes from above;
//   2. lane 0 takes that sum from `handed`, where lane 15 of the band before left it;
//   3. rows are copied into a band skewed by 2r bytes, so that 16 steps of all lanes are a tile of
//      16 x 16 bytes, transposed on the way in;
//   4. the decisions are transposed back, collected as bits, and each row is shifted by its 2r bits
//      into place.
// Lanes outside the picture, at the band's ends, have their error set to zero: what falls outside
// is lost. Errors are within -126..128 and sums within 16 * 128, so int16 is enough.
#include "stages/image/dither_wavefront.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>

#define TM_AVX2 [[gnu::target("avx2")]]

namespace tallymill::stages::image {
namespace {

constexpr int lanes = 16;
constexpr int lag = 2;
constexpr int lead_in = lag * lanes;  // steps until lane 15's sums belong to pixels of the picture

struct Tile {
  __m128i row[lanes];
};

TM_AVX2 void transpose(Tile& tile) {
  // Four rounds of pairing row i with row i + 8 rotate the index bits all the way round.
  for (int round = 0; round < 4; ++round) {
    Tile next;
    for (int i = 0; i < lanes / 2; ++i) {
      next.row[2 * i] = _mm_unpacklo_epi8(tile.row[i], tile.row[i + lanes / 2]);
      next.row[2 * i + 1] = _mm_unpackhi_epi8(tile.row[i], tile.row[i + lanes / 2]);
    }
    tile = next;
  }
}

struct Errors {
  __m256i one, two, three;  // of the last step, the one before, and the one before that
};

// The value of lane i goes to lane i + 1; lane 0 gets `first`.
TM_AVX2 __m256i shift_lanes(__m256i values, std::int16_t first) {
  const __m256i low_half_up = _mm256_permute2x128_si256(values, values, 0x08);
  const __m256i shifted = _mm256_alignr_epi8(values, low_half_up, 14);
  const __m128i entering = _mm_cvtsi32_si128(static_cast<std::uint16_t>(first));
  return _mm256_or_si256(shifted, _mm256_zextsi128_si256(entering));
}

// One step. Returns all ones in lanes whose pixel burns; `handed_on` gets lane 15's sum.
template <bool at_the_ends>
TM_AVX2 inline __m256i step(__m128i gray, std::int16_t handed, int t, int width, Errors& errors,
                            std::int16_t& handed_on) {
  const __m256i one3 = _mm256_add_epi16(_mm256_add_epi16(errors.one, errors.one), errors.one);
  const __m256i two5 = _mm256_add_epi16(_mm256_slli_epi16(errors.two, 2), errors.two);
  const __m256i below = _mm256_add_epi16(one3, _mm256_add_epi16(two5, errors.three));
  handed_on = static_cast<std::int16_t>(_mm256_extract_epi16(below, lanes - 1));
  const __m256i left = _mm256_sub_epi16(_mm256_slli_epi16(errors.one, 3), errors.one);
  const __m256i carried = _mm256_add_epi16(shift_lanes(below, handed), left);
  // Towards zero: negative sums get 15 first.
  const __m256i up = _mm256_srli_epi16(_mm256_srai_epi16(carried, 15), 12);
  const __m256i sixteenth = _mm256_srai_epi16(_mm256_add_epi16(carried, up), 4);
  const __m256i value =
      _mm256_min_epi16(_mm256_max_epi16(_mm256_add_epi16(_mm256_cvtepu8_epi16(gray), sixteenth),
                                        _mm256_setzero_si256()),
                       _mm256_set1_epi16(255));
  const __m256i white = _mm256_cmpgt_epi16(value, _mm256_set1_epi16(128));
  __m256i error = _mm256_sub_epi16(value, _mm256_and_si256(white, _mm256_set1_epi16(255)));
  if constexpr (at_the_ends) {
    const __m256i lane_lag =
        _mm256_setr_epi16(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m256i x = _mm256_sub_epi16(_mm256_set1_epi16(static_cast<std::int16_t>(t)), lane_lag);
    const __m256i inside = _mm256_and_si256(
        _mm256_cmpgt_epi16(x, _mm256_set1_epi16(-1)),
        _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<std::int16_t>(width)), x));
    error = _mm256_and_si256(error, inside);
  }
  errors = {error, errors.one, errors.two};
  return _mm256_xor_si256(white, _mm256_set1_epi16(-1));
}

// 16 steps from `t` on. `band` is the skewed rows; `bits` gets 2 bytes a row.
template <bool at_the_ends>
TM_AVX2 void run_tile(const std::uint8_t* band, std::size_t band_stride, int t, int width,
                      Errors& errors, std::int16_t* handed, std::uint8_t* bits,
                      std::size_t bits_stride) {
  Tile tile;
  for (int r = 0; r < lanes; ++r)
    tile.row[r] = _mm_loadu_si128(
        reinterpret_cast<const __m128i*>(band + band_stride * static_cast<std::size_t>(r) + t));
  transpose(tile);
  Tile burnt;
  for (int i = 0; i < lanes; ++i) {
    const __m256i lane_burns = step<at_the_ends>(tile.row[i], handed[t + i + lead_in], t + i, width,
                                                 errors, handed[t + i]);
    // In falling order, so that movemask gives the first pixel in the highest bit.
    burnt.row[lanes - 1 - i] = _mm_packs_epi16(_mm256_castsi256_si128(lane_burns),
                                               _mm256_extracti128_si256(lane_burns, 1));
  }
  transpose(burnt);
  for (int r = 0; r < lanes; ++r) {
    const auto both = static_cast<unsigned>(_mm_movemask_epi8(burnt.row[r]));
    std::uint8_t* const to = bits + bits_stride * static_cast<std::size_t>(r) + t / 8;
    to[0] = static_cast<std::uint8_t>(both >> 8);
    to[1] = static_cast<std::uint8_t>(both);
  }
}

// Moves a row's bits `by` places to the left and clears those beyond the width.
void place_row(const std::uint8_t* skewed, unsigned by, std::uint8_t* out, int width) {
  skewed += by / 8;
  by %= 8;
  const std::size_t bytes = static_cast<std::size_t>(width + 7) / 8;
  for (std::size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<std::uint8_t>((unsigned{skewed[i]} << 8 | skewed[i + 1]) >> (8 - by));
  if (const int rest = width % 8; rest != 0)
    out[bytes - 1] = static_cast<std::uint8_t>(out[bytes - 1] & (0xff00U >> rest));
}

}  // namespace

TM_AVX2 void dither_wavefront(const Raster& gray, BitRaster& out) {
  const int width = gray.width();
  const int steps = (width + lead_in + lanes - 1) / lanes * lanes;
  const auto band_stride = static_cast<std::size_t>(steps);
  const std::size_t bits_stride = band_stride / 8 + 2;  // place_row looks one byte ahead
  std::vector<std::uint8_t> band(band_stride * lanes);
  std::vector<std::uint8_t> bits(bits_stride * lanes);
  // What the band above left for pixel x is at lead_in + x; what this band leaves is written over
  // it, lead_in steps behind the reader.
  std::vector<std::int16_t> handed(band_stride + std::size_t{lead_in});
  for (int top = 0; top < gray.height(); top += lanes) {
    const int rows = std::min(lanes, gray.height() - top);
    for (int r = 0; r < rows; ++r)
      std::memcpy(band.data() + band_stride * static_cast<std::size_t>(r) + lag * r,
                  gray.row(top + r), static_cast<std::size_t>(width));
    const __m256i zero = _mm256_setzero_si256();
    Errors errors{zero, zero, zero};
    for (int t = 0; t < steps; t += lanes) {
      const bool inside = t >= lead_in && t + lanes <= width;
      const auto run = inside ? run_tile<false> : run_tile<true>;
      run(band.data(), band_stride, t, width, errors, handed.data(), bits.data(), bits_stride);
    }
    for (int r = 0; r < rows; ++r)
      place_row(bits.data() + bits_stride * static_cast<std::size_t>(r),
                static_cast<unsigned>(lag * r),
                out.bits.data() + out.stride * static_cast<std::size_t>(top + r), width);
  }
}

}  // namespace tallymill::stages::image

#else

namespace tallymill::stages::image {

void dither_wavefront(const Raster&, BitRaster&) { TM_CHECK(false); }

}  // namespace tallymill::stages::image

#endif
