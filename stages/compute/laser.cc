#include "stages/compute/laser.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "stages/compute/material.h"
#include "stages/compute/params.h"

namespace tallymill::stages::compute {

namespace {

using nlohmann::json;

constexpr std::string_view assumptions =
    "starting points for a diode laser of 10 W optical output, 0.08 mm spot, air assist, "
    "$30=1000, $32=1; test on a piece of your sheet";

Result<Recipe> recipe_of(const json& params) {
  auto material = text_at(params, "material");
  if (!material) return std::unexpected(std::move(material).error());
  auto thickness = number_at(params, "thickness_mm");
  if (!thickness) return std::unexpected(std::move(thickness).error());
  auto named = text_at(params, "operation");
  if (!named) return std::unexpected(std::move(named).error());
  const auto operation = operation_named(*named);
  if (!operation)
    return fail(Errc::bad_params, "the operation must be cut, engrave or score", "/operation");
  return find_recipe(*material, *thickness, *operation);
}

Result<Output> run_laser(const Job& job, Context& context) {
  const auto recipe = recipe_of(job.params);
  if (!recipe) return std::unexpected(recipe.error());
  Output output;
  output.values = {{"material", job.params.at("material")},
                   {"thickness_mm", job.params.at("thickness_mm")},
                   {"operation", job.params.at("operation")},
                   {"laser", to_json(recipe->laser)},
                   {"kerf_mm", recipe->kerf_mm},
                   {"energy_j_per_mm", recipe->energy_j_per_mm},
                   {"assumptions", assumptions}};
  output.files.push_back({"settings.json", "application/json", output.values.dump(2) + "\n"});
  context.progress(1);
  return output;
}

Result<Output> run_engrave(const Job& job, Context& context) {
  const auto recipe = recipe_of(job.params);
  if (!recipe) return std::unexpected(recipe.error());
  Output output;
  output.values = {{"laser", to_json(recipe->laser)}};
  context.progress(1);
  return output;
}

Result<int> integer_at(const json& object, const char* name) {
  auto value = number_at(object, name);
  if (!value) return std::unexpected(std::move(value).error());
  if (*value != std::floor(*value) || std::fabs(*value) > std::numeric_limits<int>::max())
    return fail(Errc::bad_params, std::string(name) + " must be a whole number",
                "/" + std::string(name));
  return static_cast<int>(*value);
}

}  // namespace

json to_json(const LaserSettings& settings) {
  return {{"feed_mm_per_min", settings.feed_mm_per_min},
          {"power_s", settings.power_s},
          {"passes", settings.passes},
          {"travel_mm_per_min", settings.travel_mm_per_min},
          {"mode", settings.mode},
          {"line_interval_mm", settings.line_interval_mm},
          {"overscan_mm", settings.overscan_mm}};
}

Result<LaserSettings> laser_settings_from_json(const json& object) {
  LaserSettings settings;
  for (auto [name, member] : {std::pair{"feed_mm_per_min", &settings.feed_mm_per_min},
                              std::pair{"travel_mm_per_min", &settings.travel_mm_per_min},
                              std::pair{"line_interval_mm", &settings.line_interval_mm},
                              std::pair{"overscan_mm", &settings.overscan_mm}}) {
    auto value = number_at(object, name);
    if (!value) return std::unexpected(std::move(value).error());
    *member = *value;
  }
  for (auto [name, member] :
       {std::pair{"power_s", &settings.power_s}, std::pair{"passes", &settings.passes}}) {
    auto value = integer_at(object, name);
    if (!value) return std::unexpected(std::move(value).error());
    *member = *value;
  }
  auto mode = text_at(object, "mode");
  if (!mode) return std::unexpected(std::move(mode).error());
  settings.mode = *std::move(mode);
  if (auto ok = check_settings(settings); !ok) return std::unexpected(std::move(ok).error());
  return settings;
}

KindSpec laser_kind() {
  double thinnest = std::numeric_limits<double>::max();
  double thickest = 0;
  for (const Material& material : materials()) {
    thinnest = std::min(thinnest, material.thickness_min_mm);
    thickest = std::max(thickest, material.thickness_max_mm);
  }
  KindSpec kind;
  kind.name = "laser";
  kind.route = {"compute"};
  kind.help = "Feed, power and passes of a 10 W diode laser for a material.";
  kind.params = {
      {.name = "material",
       .type = ParamSpec::Type::choice,
       .help = "What the sheet is made of.",
       .fallback = "plywood_birch",
       .choices = material_names()},
      {.name = "thickness_mm",
       .type = ParamSpec::Type::number,
       .help = "Thickness of the sheet.",
       .unit = "mm",
       .fallback = 3.0,
       .min = thinnest,
       .max = thickest},
      {.name = "operation",
       .type = ParamSpec::Type::choice,
       .help = "Cut through, engrave the surface, or score a line.",
       .fallback = "cut",
       .choices = {"cut", "engrave", "score"}},
  };
  return kind;
}

Handler laser_handler() { return run_laser; }
Handler engrave_compute_handler() { return run_engrave; }

}  // namespace tallymill::stages::compute
