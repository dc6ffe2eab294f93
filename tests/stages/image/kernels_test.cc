// The kernels for this processor and the plain ones must give the same bits, or a job that runs
// again on another host would give other bytes. Method: random lines, weights and lengths, the
// extremes of both included.
#include "stages/image/kernels.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tallymill::stages::image {
namespace {

// `count` weights whose absolute sum is at most 1.9.
std::vector<std::int16_t> random_weights(std::mt19937& rng, int count) {
  std::vector<std::int16_t> weights;
  const int most = 19 * (1 << weight_bits) / 10 / count;
  for (int i = 0; i < count; ++i)
    weights.push_back(static_cast<std::int16_t>(
        static_cast<int>(rng() % (2U * static_cast<unsigned>(most) + 1)) - most));
  return weights;
}

TEST(Kernels, RowsCombineToTheSameBitsPlainAndFast) {
  std::mt19937 rng(1);
  for (const int taps : {2, 6, 14, 50})
    for (const std::size_t count : {1U, 15U, 16U, 17U, 63U, 64U, 65U, 300U}) {
      std::vector<std::vector<std::uint8_t>> rows(static_cast<std::size_t>(taps));
      std::vector<const std::uint8_t*> pointers;
      for (auto& row : rows) {
        for (std::size_t i = 0; i < count; ++i)
          row.push_back(rng() % 4 == 0 ? 255 : static_cast<std::uint8_t>(rng()));
        pointers.push_back(row.data());
      }
      const auto weights = random_weights(rng, taps);
      std::vector<std::int16_t> plain(count), fast(count);
      plain_resize_kernels().combine_rows(pointers.data(), weights.data(), taps, plain.data(),
                                          count);
      best_resize_kernels().combine_rows(pointers.data(), weights.data(), taps, fast.data(), count);
      ASSERT_EQ(plain, fast) << taps << " taps, " << count << " samples";
    }
}

TEST(Kernels, ColumnsCombineToTheSameBitsPlainAndFast) {
  std::mt19937 rng(2);
  for (const int channels : {1, 3})
    for (const int taps : {8, 16, 56})
      for (const int width : {1, 2, 3, 4, 5, 8, 31}) {
        const int samples = 90;
        std::vector<std::int16_t> line(static_cast<std::size_t>(samples * channels) + line_slack);
        for (std::int16_t& sample : line)
          sample = static_cast<std::int16_t>(static_cast<int>(rng() % 40'000) - 10'000);
        std::vector<int> first;
        std::vector<std::int16_t> weights;
        for (int i = 0; i < width; ++i) {
          first.push_back(static_cast<int>(rng() % static_cast<unsigned>(samples - taps + 1)));
          for (const std::int16_t weight : random_weights(rng, taps)) weights.push_back(weight);
        }
        const auto bytes = static_cast<std::size_t>(width * channels);
        std::vector<std::uint8_t> plain(bytes), fast(bytes);
        plain_resize_kernels().combine_columns(line.data(), first.data(), weights.data(), taps,
                                               channels, plain.data(), width);
        best_resize_kernels().combine_columns(line.data(), first.data(), weights.data(), taps,
                                              channels, fast.data(), width);
        ASSERT_EQ(plain, fast) << channels << " channels, " << taps << " taps, width " << width;
      }
}

}  // namespace
}  // namespace tallymill::stages::image
