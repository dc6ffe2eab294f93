// Material: which speed, power and passes a laser needs for a material, its thickness and what is
// to be done to it.
//
// A built-in table answers for a diode laser of 10 W optical output at 445-455 nm with a focused
// spot of 0.08 mm, a clean lens and air assist, power S1000 = full. The values are starting points
// between what makers of such machines publish and what their users report, on the careful side: a
// cut may need one pass more or fewer on your sheet. Cuts are known at some thicknesses and
// interpolated between them, never beyond.
//
//   invariant: for one material a thicker sheet never gets a faster feed, fewer passes or less
//   energy per millimetre
//
// Threads: constant data, pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "stages/compute/gcode.h"

namespace tallymill::stages::compute {

enum class Operation : std::uint8_t {
  cut,      // through the sheet, along a path
  engrave,  // the surface, raster
  score,    // a line into the surface, along a path
};

[[nodiscard]] std::optional<Operation> operation_named(std::string_view name);
[[nodiscard]] std::string_view name_of(Operation operation);

struct CutPoint {
  double thickness_mm;
  double feed_mm_per_min;
  int power_s;
  int passes;
  double kerf_mm;  // the width that the beam takes away
};

struct Surface {
  double feed_mm_per_min;
  int power_s;
  double line_interval_mm;  // of engraving
};

struct Material {
  std::string_view name;    // "plywood_birch", as parameters say it
  std::string_view title;   // "birch plywood"
  double thickness_min_mm;  // of the sheets that engrave and score are meant for
  double thickness_max_mm;
  std::span<const CutPoint> cuts;  // thickness ascending; empty: the laser does not cut it
  std::optional<Surface> engrave;
  std::optional<Surface> score;
};

[[nodiscard]] std::span<const Material> materials();

// The names in the table's order: the choices of a kind's parameter `material`.
[[nodiscard]] std::vector<std::string> material_names();

struct Recipe {
  LaserSettings laser;
  double kerf_mm = 0;          // 0 unless cut
  double energy_j_per_mm = 0;  // of path or raster line, over all passes, at this power
};

// The settings for `operation` on a sheet. bad_params with /material for a name that is not in the
// table, /operation for what this laser cannot do to it, /thickness_mm outside the known range: the
// message names what is known.
[[nodiscard]] Result<Recipe> find_recipe(std::string_view material, double thickness_mm,
                                         Operation operation);

}  // namespace tallymill::stages::compute
