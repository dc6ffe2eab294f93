// SVG: a sheet of closed outlines in millimetres, as laser software reads it.
//
// One <path> with an id per outline, in one group of the cutting colour (pure red, no fill, a
// hairline), user units of one millimetre. Origin top left in the file; outlines have v up and are
// turned over as they are written.
//
// Threads: plain values, pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "stages/compute/geometry.h"

namespace tallymill::stages::compute {

struct SheetPart {
  std::string_view id;  // letters, digits, - and _
  Outline outline;      // on the sheet
};

struct Sheet {
  Ticks width = 0;
  Ticks height = 0;
  std::vector<SheetPart> parts;
};

// Puts rows of parts on a sheet, from the lower left, with `gap` around every part's bounding box.
[[nodiscard]] Sheet lay_out(const std::vector<std::vector<SheetPart>>& rows, Ticks gap);

[[nodiscard]] std::string svg_text(const Sheet& sheet);

}  // namespace tallymill::stages::compute
