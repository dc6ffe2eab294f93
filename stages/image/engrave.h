// The image hop of the kind `engrave`: photo to dots to G-code. The kind itself, with its
// parameters, is in stages/compute/engrave_kind.h; the compute hop has resolved the laser settings.
//
// Threads: as Handler says.
#pragma once

#include "stages/handler.h"

namespace tallymill::stages::image {

// Gray, sized in mm at dpi, tone, unsharp, Floyd-Steinberg. Files: "engraving.png" (1 bit, dark is
// burnt, with its density), "preview.jpg" (gray, also sent as soon as it is there) and
// "engraving.gcode". Values: what compute carried, and {width_px, height_px, width_mm, height_mm,
// dpi, pixel_mm, burnt_dots, burnt_ratio, gcode_bytes}.
// REQUIRES: carried.values["laser"] with feed_mm_per_min, power_s, passes, travel_mm_per_min, mode,
// line_interval_mm, overscan_mm; stage_failed without, or when they cannot be.
[[nodiscard]] Handler engrave_image_handler();

}  // namespace tallymill::stages::image
