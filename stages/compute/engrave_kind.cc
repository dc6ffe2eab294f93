#include "stages/compute/engrave_kind.h"

#include "base/limits.h"
#include "stages/compute/material.h"

namespace tallymill::stages::compute {

KindSpec engrave_kind() {
  using Type = ParamSpec::Type;
  return {
      .name = "engrave",
      .route = {"compute", "image"},
      .help = "A photo as a laser engraving: a dithered 1-bit picture and its G-code.",
      .params =
          {
              {.name = "width_mm",
               .help = "Width of the engraving.",
               .unit = "mm",
               .fallback = 100.0,
               .min = 0.5,
               .max = limits::max_engrave_mm},
              {.name = "height_mm",
               .help = "Height of the engraving; 0 keeps the shape of the photo.",
               .unit = "mm",
               .fallback = 0.0,
               .max = limits::max_engrave_mm},
              {.name = "dpi",
               .help = "Dots to an inch; 254 are dots of 0.1 mm.",
               .unit = "dpi",
               .fallback = 254.0,
               .min = 10,
               .max = 2540},
              {.name = "gamma",
               .help = "Above 1 lightens the middle tones, below 1 darkens them.",
               .fallback = 1.0,
               .min = 0.1,
               .max = 10},
              {.name = "contrast",
               .help = "Factor around the middle gray.",
               .fallback = 1.0,
               .min = 0,
               .max = 10},
              {.name = "brightness",
               .help = "Added to every tone.",
               .fallback = 0.0,
               .min = -1,
               .max = 1},
              {.name = "sharpen",
               .help = "Strength of the unsharp mask; 0 leaves the photo as it is.",
               .fallback = 0.8,
               .min = 0,
               .max = 10},
              {.name = "invert",
               .type = Type::boolean,
               .help = "Burn the light parts: for slate, glass and painted metal.",
               .fallback = false},
              {.name = "material",
               .type = Type::choice,
               .help = "What is engraved.",
               .fallback = "plywood_birch",
               .choices = material_names()},
              {.name = "thickness_mm",
               .help = "Thickness of the material.",
               .unit = "mm",
               .fallback = 3.0,
               .min = 0.1,
               .max = 100},
              {.name = "operation",
               .type = Type::choice,
               .help = "Which settings of the material are used.",
               .fallback = "engrave",
               // No cut: its settings, spread over an area, burn through the sheet.
               .choices = {"engrave", "score"}},
          },
      .inputs_min = 1,
      .inputs_max = 1,
  };
}

}  // namespace tallymill::stages::compute
