// Every bound in the system, by name, with its reason. Each has a gauge that shows how full it is,
// and a test at the limit and one above it.
//
// Threads: constants.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace tallymill::limits {

using namespace literals;

// One job with its inputs. A 400 MP photograph is about 130 MB; above this the client is told
// E_TOO_BIG.
inline constexpr Bytes max_job_bytes = 256_MiB;

// What one worker may offer to hold. 4,096 no-op jobs keep a lane busy over one round trip at the
// highest rate measured; more would only move the queue out of the front's sight.
inline constexpr struct {
  Credits jobs{4096};
  Bytes bytes = 1024_MiB;
} max_places_per_worker;

// Laser programs (stages/compute). The raster's sides and area: what a large-format bed takes at a
// fine pitch, and the largest image that is decoded at all; 50 MB at 1 bit a pixel.
inline constexpr int max_raster_side_pixels = 65'536;
inline constexpr std::int64_t max_raster_pixels = 400'000'000;
// Below 10 micrometres neighbouring pixel edges come too near to the micrometre that coordinates
// are rounded to, and to any beam; above 5 mm it is no raster.
inline constexpr double min_pixel_mm = 0.01;
inline constexpr double max_pixel_mm = 5;
// A dithered A4 at 254 dpi is about 25 MB; at 115,200 baud this limit is three hours of sending.
inline constexpr Bytes max_gcode_bytes = 128_MiB;
// What a program may burn when it is checked, counting a pixel again each time: bounds the time
// that hostile text can take to some seconds, and is 20 passes over the largest raster.
inline constexpr std::int64_t max_gcode_burnt_pixels = 8'000'000'000;
inline constexpr int max_laser_passes = 20;
inline constexpr double max_laser_mm_per_min = 100'000;  // galvanometers aside, nothing is faster
inline constexpr double max_overscan_mm = 50;

}  // namespace tallymill::limits
