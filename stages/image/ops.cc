#include "stages/image/ops.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "stages/image/codec_parts.h"

namespace tallymill::stages::image {
namespace {

// Copies pixel by pixel: out(x, y) = in(base + x * step_x + y * step_y), in pixels.
template <int channels>
void gather(const Raster& in, Raster& out, std::ptrdiff_t base, std::ptrdiff_t step_x,
            std::ptrdiff_t step_y) {
  const std::uint8_t* const first = in.row(0);
  for (int y = 0; y < out.height(); ++y) {
    std::uint8_t* to = out.row(y);
    const std::uint8_t* from = first + channels * (base + step_y * y);
    for (int x = 0; x < out.width(); ++x, to += channels, from += channels * step_x)
      for (int c = 0; c < channels; ++c) to[c] = from[c];
  }
}

}  // namespace

Raster grayscale(Raster picture) {
  if (picture.channels() == 1) return picture;
  Raster gray(picture.size(), 1);
  for (int y = 0; y < picture.height(); ++y)
    flatten_row(picture.row(y), 3, gray.row(y), 1, picture.width());
  return gray;
}

Size oriented(Size size, int orientation) {
  if (orientation >= 5) std::swap(size.width, size.height);
  return size;
}

Raster orient(Raster picture, int orientation) {
  TM_CHECK(orientation >= 1 && orientation <= 8);
  if (orientation == 1) return picture;
  const std::ptrdiff_t width = picture.width(), last_x = width - 1;
  const std::ptrdiff_t last_row = width * (picture.height() - 1);
  struct Walk {
    std::ptrdiff_t base, step_x, step_y;
  };
  const Walk walks[] = {
      {last_x, -1, width},              // 2: mirrored
      {last_row + last_x, -1, -width},  // 3: half a turn
      {last_row, 1, -width},            // 4: upside down, mirrored
      {0, width, 1},                    // 5: transposed
      {last_row, -width, 1},            // 6: needs a quarter turn clockwise
      {last_row + last_x, -width, -1},  // 7: transposed over the other diagonal
      {last_x, width, -1},              // 8: needs a quarter turn counter-clockwise
  };
  const Walk& walk = walks[orientation - 2];
  Raster out(oriented(picture.size(), orientation), picture.channels());
  if (picture.channels() == 1)
    gather<1>(picture, out, walk.base, walk.step_x, walk.step_y);
  else
    gather<3>(picture, out, walk.base, walk.step_x, walk.step_y);
  return out;
}

Lut tone_curve(const Tone& tone) {
  Lut curve;
  for (int i = 0; i < 256; ++i) {
    double value = (i / 255.0 - 0.5) * tone.contrast + 0.5 + tone.brightness;
    value = std::pow(std::clamp(value, 0.0, 1.0), 1 / tone.gamma);
    if (tone.invert) value = 1 - value;
    curve[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(std::lround(value * 255));
  }
  return curve;
}

void map_tones(const Lut& curve, Raster& picture) {
  for (std::uint8_t& value : picture.bytes()) value = curve[value];
}

Status unsharp(Raster& picture, double sigma, double amount) {
  constexpr int amount_bits = 8;
  const int factor = static_cast<int>(std::lround(amount * (1 << amount_bits)));
  if (factor == 0) return {};
  cv::Mat blurred;
  try {
    // The stage's parallelism is its workers; threads of OpenCV's own would only fight over cores.
    cv::setNumThreads(1);
    const cv::Mat sharp(picture.height(), picture.width(), CV_8UC(picture.channels()),
                        picture.row(0));
    cv::GaussianBlur(sharp, blurred, cv::Size(0, 0), sigma, sigma, cv::BORDER_REPLICATE);
  } catch (const cv::Exception& e) {
    return fail(e.code == cv::Error::StsNoMem ? Errc::memory : Errc::stage_failed,
                std::string("sharpening: ") + e.what());
  }
  for (int y = 0; y < picture.height(); ++y) {
    std::uint8_t* row = picture.row(y);
    const std::uint8_t* soft = blurred.ptr<std::uint8_t>(y);
    for (std::size_t i = 0; i < picture.stride(); ++i) {
      const int more = ((row[i] - soft[i]) * factor + (1 << (amount_bits - 1))) >> amount_bits;
      row[i] = static_cast<std::uint8_t>(std::clamp(row[i] + more, 0, 255));
    }
  }
  return {};
}

Size fit(Size from, int longest) {
  const int side = std::max(from.width, from.height);
  if (side <= longest) return from;
  const auto scaled = [&](int length) {
    return std::max(1, static_cast<int>(std::lround(1.0 * length * longest / side)));
  };
  return {scaled(from.width), scaled(from.height)};
}

}  // namespace tallymill::stages::image
