// Ops: what happens to pixels between decode and encode: resize, orientation, tone, sharpening.
//
// All arithmetic is in integers, so that two hosts give the same bytes.
//
// Threads: functions from any; a Resizer belongs to one.
#pragma once

#include <array>

#include "base/result.h"
#include "stages/image/raster.h"

namespace tallymill::stages::image {

// Separable Lanczos3, fed with rows as they are decoded. Taps beyond the edge are left out and the
// rest normalised, so that a flat picture stays flat to the last bit. When an axis shrinks more
// than limits below, it is first averaged by a whole factor, which keeps taps few and exact.
//
//   invariant: memory is one source row per tap, never proportional to the source's height
class Resizer {
 public:
  Resizer(Size from, int channels, Size to);
  ~Resizer();
  Resizer(Resizer&&) noexcept;
  Resizer& operator=(Resizer&&) noexcept;

  // The next `count` source rows, top to bottom. REQUIRES: no more than are left.
  void push(const std::uint8_t* rows, int count);

  // REQUIRES: all rows were pushed.
  [[nodiscard]] Raster take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

[[nodiscard]] Raster resize(const Raster& from, Size to);

// Rec. 601 luma; a gray picture is passed through.
[[nodiscard]] Raster grayscale(Raster picture);

// Turns and mirrors by the EXIF value 1..8, so that the picture stands upright.
[[nodiscard]] Raster orient(Raster picture, int orientation);
// What orient() makes of a size; its own inverse.
[[nodiscard]] Size oriented(Size size, int orientation);

struct Tone {
  double gamma = 1;       // > 1 lightens the middle
  double contrast = 1;    // around the middle gray
  double brightness = 0;  // -1..1, added
  bool invert = false;
};
using Lut = std::array<std::uint8_t, 256>;
// value -> (value - 1/2) contrast + 1/2 + brightness -> power 1 / gamma -> inverted if so asked.
[[nodiscard]] Lut tone_curve(const Tone& tone);
void map_tones(const Lut& curve, Raster& picture);

// picture + amount (picture - blurred by a Gaussian of `sigma` pixels). Errors: memory.
[[nodiscard]] Status unsharp(Raster& picture, double sigma, double amount);

// The size of a picture of shape `from` that fits `longest` on its longer side; never larger than
// `from`, at least 1 a side.
[[nodiscard]] Size fit(Size from, int longest);

}  // namespace tallymill::stages::image
