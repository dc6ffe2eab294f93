// Lanczos3 by rows:
//   1. an axis that shrinks more than `most_shrink` is first averaged over whole blocks;
//   2. a ring keeps the last source rows, one per vertical tap;
//   3. as soon as the last row that an output row needs is there, the ring is combined vertically
//      into a line of int16 with 6 fractional bits, and that line horizontally into the output.
// Weights have 14 fractional bits and sum to exactly 1. Sums stay within int32: the weights'
// absolute sum is below 1.6.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "stages/image/kernels.h"
#include "stages/image/ops.h"

namespace tallymill::stages::image {
namespace {

constexpr double most_shrink = 8;  // more would leave the weights too few bits

double lanczos3(double x) {
  x = std::abs(x);
  if (x < 1e-9) return 1;
  if (x >= 3) return 0;
  const double px = std::numbers::pi * x;
  return 3 * std::sin(px) * std::sin(px / 3) / (px * px);
}

// For each output sample: where its taps begin and what they weigh.
struct Axis {
  int used = 0;  // taps that may weigh something
  int taps = 0;  // as many rounded up to what the kernels take, the rest of no weight
  std::vector<int> first;
  std::vector<std::int16_t> weights;  // taps per sample

  // `extent` is the source's length in samples; `samples`, a last partial one included, is how many
  // there are.
  Axis(double extent, int samples, int to, int taps_multiple) {
    const double scale = extent / to;
    const double stretch = std::max(scale, 1.0);
    used = std::min(samples, static_cast<int>(std::ceil(3 * stretch)) * 2 + 1);
    taps = (used + taps_multiple - 1) / taps_multiple * taps_multiple;
    std::vector<double> exact(static_cast<std::size_t>(used));
    for (int i = 0; i < to; ++i) {
      const double centre = (i + 0.5) * scale;
      int from = static_cast<int>(std::floor(centre - 3 * stretch + 0.5));
      from = std::clamp(from, 0, samples - used);
      double sum = 0;
      for (int k = 0; k < used; ++k)
        sum += exact[static_cast<std::size_t>(k)] = lanczos3((from + k + 0.5 - centre) / stretch);
      first.push_back(from);
      append_rounded(exact, sum);
    }
  }

 private:
  void append_rounded(const std::vector<double>& exact, double sum) {
    const auto begin = static_cast<std::ptrdiff_t>(weights.size());
    int left = 1 << weight_bits;
    for (const double weight : exact) {
      const long rounded = std::lround(weight / sum * (1 << weight_bits));
      weights.push_back(static_cast<std::int16_t>(rounded));
      left -= static_cast<int>(rounded);
    }
    auto& largest = *std::max_element(weights.begin() + begin, weights.end());
    largest = static_cast<std::int16_t>(largest + left);
    weights.resize(weights.size() + static_cast<std::size_t>(taps - used));
  }
};

// Averages blocks of by_x x by_y samples; the last block of a row or column may be smaller.
class Shrinker {
 public:
  Shrinker(Size from, int channels, int by_x, int by_y)
      : from_(from), channels_(channels), by_x_(by_x), by_y_(by_y) {
    to_ = {(from.width + by_x - 1) / by_x, (from.height + by_y - 1) / by_y};
    sums_.resize(static_cast<std::size_t>(to_.width * channels));
    out_.resize(sums_.size());
  }

  [[nodiscard]] bool idle() const { return by_x_ == 1 && by_y_ == 1; }
  [[nodiscard]] Size to() const { return to_; }
  [[nodiscard]] Size from() const { return from_; }

  // The finished row once a block of rows is complete, else null.
  const std::uint8_t* push(const std::uint8_t* row) {
    std::size_t at = 0;
    for (int x = 0; x < from_.width; x += by_x_, at += static_cast<std::size_t>(channels_)) {
      const int end = std::min(x + by_x_, from_.width);
      for (int i = x; i < end; ++i)
        for (int c = 0; c < channels_; ++c) sums_[at + static_cast<std::size_t>(c)] += *row++;
    }
    ++rows_in_block_;
    ++rows_;
    if (rows_in_block_ < by_y_ && rows_ < from_.height) return nullptr;
    finish_block();
    return out_.data();
  }

 private:
  void finish_block() {
    std::size_t at = 0;
    for (int x = 0; x < from_.width; x += by_x_) {
      const auto count = static_cast<std::uint32_t>(std::min(by_x_, from_.width - x)) *
                         static_cast<std::uint32_t>(rows_in_block_);
      for (int c = 0; c < channels_; ++c, ++at) {
        out_[at] = static_cast<std::uint8_t>((sums_[at] + count / 2) / count);
        sums_[at] = 0;
      }
    }
    rows_in_block_ = 0;
  }

  Size from_, to_;
  int channels_, by_x_, by_y_;
  int rows_in_block_ = 0;
  int rows_ = 0;
  std::vector<std::uint32_t> sums_;
  std::vector<std::uint8_t> out_;
};

int shrink_factor(int from, int to) {
  const double scale = static_cast<double>(from) / to;
  return scale <= most_shrink ? 1 : static_cast<int>(scale / (most_shrink / 2));
}

}  // namespace

struct Resizer::Impl {
  Impl(Size from, int channel_count, Size to)
      : kernels(best_resize_kernels()),
        channels(channel_count),
        shrinker(from, channels, shrink_factor(from.width, to.width),
                 shrink_factor(from.height, to.height)),
        source(shrinker.to()),
        across(static_cast<double>(from.width) / shrink_factor(from.width, to.width), source.width,
               to.width, channels == 3 ? 4 : 8),
        down(static_cast<double>(from.height) / shrink_factor(from.height, to.height),
             source.height, to.height, 2),
        row_bytes(static_cast<std::size_t>(source.width) * static_cast<std::size_t>(channels)),
        ring(row_bytes * static_cast<std::size_t>(down.used)),
        tap_rows(static_cast<std::size_t>(down.taps)),
        line(row_bytes + line_slack),
        out(to, channels) {}

  void add_row(const std::uint8_t* row) {
    std::copy_n(row, row_bytes, ring_row(rows_in++));
    while (rows_out < out.height() &&
           down.first[static_cast<std::size_t>(rows_out)] + down.used <= rows_in) {
      combine_rows();
      combine_columns(out.row(rows_out));
      ++rows_out;
    }
  }

  std::uint8_t* ring_row(int y) {
    return ring.data() + row_bytes * static_cast<std::size_t>(y % down.used);
  }

  void combine_rows() {
    const auto index = static_cast<std::size_t>(rows_out);
    for (int k = 0; k < down.taps; ++k)  // rows of no weight beyond the last one are any rows
      tap_rows[static_cast<std::size_t>(k)] =
          ring_row(std::min(down.first[index] + k, source.height - 1));
    kernels.combine_rows(tap_rows.data(),
                         &down.weights[index * static_cast<std::size_t>(down.taps)], down.taps,
                         line.data(), row_bytes);
  }

  void combine_columns(std::uint8_t* to) {
    kernels.combine_columns(line.data(), across.first.data(), across.weights.data(), across.taps,
                            channels, to, out.width());
  }

  const ResizeKernels& kernels;
  int channels;
  Shrinker shrinker;
  Size source;  // after the shrinker
  Axis across;
  Axis down;
  std::size_t row_bytes;
  std::vector<std::uint8_t> ring;
  std::vector<const std::uint8_t*> tap_rows;
  std::vector<std::int16_t> line;
  Raster out;
  int rows_in = 0;
  int rows_out = 0;
};

Resizer::Resizer(Size from, int channels, Size to)
    : impl_(std::make_unique<Impl>(from, channels, to)) {}
Resizer::~Resizer() = default;
Resizer::Resizer(Resizer&&) noexcept = default;
Resizer& Resizer::operator=(Resizer&&) noexcept = default;

void Resizer::push(const std::uint8_t* rows, int count) {
  const std::size_t stride = static_cast<std::size_t>(impl_->shrinker.from().width) *
                             static_cast<std::size_t>(impl_->channels);
  for (int i = 0; i < count; ++i, rows += stride) {
    if (impl_->shrinker.idle())
      impl_->add_row(rows);
    else if (const std::uint8_t* row = impl_->shrinker.push(rows); row != nullptr)
      impl_->add_row(row);
  }
}

Raster Resizer::take() {
  TM_CHECK(impl_->rows_out == impl_->out.height());
  return std::move(impl_->out);
}

Raster resize(const Raster& from, Size to) {
  Resizer resizer(from.size(), from.channels(), to);
  resizer.push(from.row(0), from.height());
  return resizer.take();
}

}  // namespace tallymill::stages::image
