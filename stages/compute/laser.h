// Laser: the kind `laser`, and the compute hop of `engrave`: from material, thickness and operation
// to the settings that the next step or a person sets on the machine.
//
// `laser` returns them as values and as settings.json. `engrave` hands them to the image stage as
// values["laser"], which reads them back with laser_settings_from_json and writes the G-code.
//
// Threads: pure functions; handlers hold no state.
#pragma once

#include <nlohmann/json.hpp>

#include "base/schema.h"
#include "stages/compute/gcode.h"
#include "stages/handler.h"

namespace tallymill::stages::compute {

[[nodiscard]] KindSpec laser_kind();
[[nodiscard]] Handler laser_handler();

// The first hop of `engrave`: reads /material, /thickness_mm and /operation, whatever else the
// kind's parameters hold.
[[nodiscard]] Handler engrave_compute_handler();

// {feed_mm_per_min, power_s, passes, travel_mm_per_min, mode, line_interval_mm, overscan_mm}
[[nodiscard]] nlohmann::json to_json(const LaserSettings& settings);

// bad_params with a pointer for a member that is missing, of another type or out of range.
[[nodiscard]] Result<LaserSettings> laser_settings_from_json(const nlohmann::json& json);

}  // namespace tallymill::stages::compute
