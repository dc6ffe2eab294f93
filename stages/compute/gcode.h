// G-code: a 1-bit raster as the moves of a laser, and the way back that proves them right.
//
// The last step of an engraving. raster_gcode writes GRBL's dialect: every burnt row is entered by
// one absolute rapid and then run through in relative moves, which are the shortest a serial line
// can carry; rows alternate direction; white rows cost nothing. Coordinates are whole micrometres
// from the first to the last, so that relative moves do not drift however long the row is.
// rasterize_gcode runs such a program on a paper machine and returns what it burnt; tests and the
// demo compare that with the source, bit for bit.
//
// Axes: X right, Y up, millimetres, origin at the image's lower left corner. Column c burns from
// c * pixel to (c + 1) * pixel, the lowest row is centred on Y = pixel / 2. The run-in before and
// the run-out after a row lie outside of that: the machine needs overscan_mm of room on both sides.
//
//   invariant: the beam is off (S0 said aloud, not implied by G0) on every move that does not burn
//   invariant: whatever burns, moves at feed_mm_per_min, along X, from one pixel edge to another
//
// Threads: pure functions.
// Source: GRBL 1.1 laser mode (M3 constant, M4 speed-proportional power; both need $32=1,
// $30=1000).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tallymill::stages::compute {

// Height x width, 1 bit a pixel, rows from the top, most significant bit leftmost, 1 = burn. Bits
// beyond width in a row's last bytes mean nothing.
struct RasterView {
  std::span<const std::uint8_t> bits;
  int width = 0;
  int height = 0;
  int stride_bytes = 0;
};

struct LaserSettings {
  double feed_mm_per_min = 1500;
  int power_s = 500;                // 0..1000, the controller's $30
  int passes = 1;                   // over the whole raster
  double travel_mm_per_min = 6000;  // of rapids; GRBL itself takes its $110 and $111
  std::string mode = "M4";          // or "M3"
  double line_interval_mm = 0.1;    // a pixel taller than this is burnt as several lines
  double overscan_mm = 2;           // run-in and run-out at feed, so that dots are of even power
};

// bad_params with a pointer, as "/feed_mm_per_min", to the first setting that cannot be.
[[nodiscard]] Status check_settings(const LaserSettings& settings);

// What both directions below demand of a raster: sides of at least one pixel and not over the
// limits (too_big), a pixel within limits::min_pixel_mm and max_pixel_mm (bad_params).
[[nodiscard]] Status check_raster_size(int width, int height, double pixel_mm);

// The program that burns `raster` with square pixels of pixel_mm. bad_params for settings, sizes or
// a span that cannot be; too_big above limits::max_gcode_bytes (coarser pixels or fewer passes are
// the way out). The same raster and settings give the same bytes.
[[nodiscard]] Result<std::string> raster_gcode(const RasterView& raster, double pixel_mm,
                                               const LaserSettings& settings);

// What `gcode` burns, as height x width bits (layout as RasterView's, rows of (width + 7) / 8
// bytes, spare bits 0). `gcode` is untrusted. bad_params, with the line's number, for what is not
// understood or is unsafe: a burn outside the image, across rows or between pixel edges, a rapid
// with the beam on, a feed never set. too_big over limits::max_gcode_bytes or _burnt_pixels.
[[nodiscard]] Result<std::vector<std::uint8_t>> rasterize_gcode(std::string_view gcode, int width,
                                                                int height, double pixel_mm);

}  // namespace tallymill::stages::compute
