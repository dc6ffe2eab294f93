#include "stages/compute/material.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tallymill::stages::compute {

namespace {

constexpr double laser_watts = 10;
constexpr double spot_mm = 0.08;
constexpr double travel_mm_per_min = 6000;
// What a belt-driven gantry does without ringing; sets the run-in of a raster row.
constexpr double acceleration_mm_per_s2 = 1000;

// thickness mm, feed mm/min, S, passes, kerf mm
constexpr CutPoint basswood_cuts[] = {{1.5, 600, 1000, 1, 0.12},
                                      {3, 300, 1000, 1, 0.15},
                                      {5, 200, 1000, 2, 0.18},
                                      {6, 160, 1000, 2, 0.20}};
constexpr CutPoint birch_cuts[] = {{1.5, 450, 1000, 1, 0.12},
                                   {3, 200, 1000, 1, 0.15},
                                   {4, 180, 1000, 2, 0.17},
                                   {6, 120, 1000, 3, 0.20}};
constexpr CutPoint poplar_cuts[] = {
    {3, 280, 1000, 1, 0.15}, {4, 240, 1000, 2, 0.17}, {6, 150, 1000, 2, 0.20}};
constexpr CutPoint bamboo_cuts[] = {
    {2, 300, 1000, 1, 0.13}, {3, 180, 1000, 1, 0.15}, {5, 130, 1000, 3, 0.18}};
constexpr CutPoint mdf_cuts[] = {
    {2, 300, 1000, 1, 0.14}, {3, 180, 1000, 2, 0.16}, {6, 100, 1000, 4, 0.22}};
constexpr CutPoint cardboard_cuts[] = {
    {1, 1500, 700, 1, 0.14}, {2, 1200, 800, 1, 0.16}, {5, 700, 1000, 1, 0.20}};
constexpr CutPoint paper_cuts[] = {
    {0.08, 3000, 300, 1, 0.09}, {0.3, 2400, 400, 1, 0.10}, {0.8, 1600, 700, 1, 0.11}};
constexpr CutPoint leather_cuts[] = {
    {1, 800, 900, 1, 0.12}, {2, 450, 1000, 1, 0.15}, {4, 220, 1000, 2, 0.20}};
constexpr CutPoint felt_cuts[] = {
    {1, 1500, 700, 1, 0.14}, {3, 800, 1000, 1, 0.18}, {5, 500, 1000, 1, 0.22}};
constexpr CutPoint cork_cuts[] = {
    {1, 1000, 900, 1, 0.13}, {3, 500, 1000, 1, 0.17}, {6, 220, 1000, 2, 0.22}};
constexpr CutPoint cotton_cuts[] = {{0.2, 2400, 500, 1, 0.10}, {1, 1500, 800, 1, 0.13}};
constexpr CutPoint acrylic_black_cuts[] = {
    {2, 250, 1000, 1, 0.14}, {3, 150, 1000, 1, 0.16}, {5, 100, 1000, 3, 0.20}};

constexpr Material table[] = {
    {"plywood_basswood", "basswood plywood", 1, 20, basswood_cuts, Surface{6000, 500, 0.1},
     Surface{3000, 450, spot_mm}},
    {"plywood_birch", "birch plywood", 1, 20, birch_cuts, Surface{6000, 550, 0.1},
     Surface{3000, 500, spot_mm}},
    {"plywood_poplar", "poplar plywood", 1, 20, poplar_cuts, Surface{6000, 480, 0.1},
     Surface{3000, 450, spot_mm}},
    {"bamboo", "bamboo sheet", 1, 20, bamboo_cuts, Surface{6000, 450, 0.1},
     Surface{3000, 450, spot_mm}},
    {"mdf", "MDF", 1, 20, mdf_cuts, Surface{5000, 500, 0.1}, Surface{2500, 500, spot_mm}},
    {"cardboard", "corrugated cardboard", 1, 8, cardboard_cuts, Surface{6000, 250, 0.12},
     Surface{4000, 250, spot_mm}},
    {"paper", "paper and card stock", 0.08, 1, paper_cuts, Surface{6000, 150, 0.1},
     Surface{4000, 120, spot_mm}},
    {"leather", "vegetable-tanned leather", 0.8, 6, leather_cuts, Surface{6000, 300, 0.1},
     Surface{3000, 300, spot_mm}},
    {"felt", "wool felt", 1, 6, felt_cuts, Surface{6000, 250, 0.15}, Surface{3000, 250, spot_mm}},
    {"cork", "cork sheet", 1, 10, cork_cuts, Surface{6000, 300, 0.12}, Surface{3000, 300, spot_mm}},
    {"cotton", "cotton fabric", 0.2, 2, cotton_cuts, Surface{6000, 150, 0.12}, std::nullopt},
    {"acrylic_black", "black cast acrylic", 1, 10, acrylic_black_cuts, Surface{4000, 400, 0.1},
     Surface{2000, 500, spot_mm}},
    {"slate", "slate", 2, 15, {}, Surface{4000, 800, 0.1}, Surface{1500, 900, spot_mm}},
    {"aluminium_anodized",
     "anodized aluminium",
     0.3,
     20,
     {},
     Surface{4000, 700, 0.08},
     Surface{2000, 900, spot_mm}},
};

constexpr std::string_view operation_names[] = {"cut", "engrave", "score"};

[[nodiscard]] double up_to_thousandth(double value) {
  return std::ceil(value * 1000.0 - 1e-9) / 1000.0;
}

// The row for a cut at `thickness_mm`. Between two points everything is rounded to the careful
// side: the feed down, power and kerf up, the passes those of the thicker.
// REQUIRES: thickness_mm is within the points' range.
CutPoint interpolate(std::span<const CutPoint> points, double thickness_mm) {
  const auto above = std::ranges::find_if(
      points, [&](const CutPoint& p) { return p.thickness_mm >= thickness_mm; });
  TM_CHECK(above != points.end());
  if (above == points.begin() || above->thickness_mm == thickness_mm) return *above;
  const CutPoint& below = *(above - 1);
  const double f = (thickness_mm - below.thickness_mm) / (above->thickness_mm - below.thickness_mm);
  const auto mix = [f](double a, double b) { return a + f * (b - a); };
  return {.thickness_mm = thickness_mm,
          .feed_mm_per_min = std::floor(mix(below.feed_mm_per_min, above->feed_mm_per_min)),
          .power_s = static_cast<int>(std::ceil(mix(below.power_s, above->power_s))),
          .passes = above->passes,
          .kerf_mm = up_to_thousandth(mix(below.kerf_mm, above->kerf_mm))};
}

// v^2 / 2a, to the next half millimetre.
[[nodiscard]] double run_in_mm(double feed_mm_per_min) {
  const double speed = feed_mm_per_min / 60;
  return std::ceil(speed * speed / (2 * acceleration_mm_per_s2) * 2) / 2;
}

[[nodiscard]] double energy(const LaserSettings& laser) {
  return laser_watts * laser.power_s / 1000 * laser.passes / (laser.feed_mm_per_min / 60);
}

Status check_thickness(const Material& material, Operation operation, double thickness_mm,
                       double min, double max) {
  if (thickness_mm >= min && thickness_mm <= max) return {};
  return fail(Errc::bad_params,
              fmt::format("to {} {} is known from {} to {} mm, not for {} mm", name_of(operation),
                          material.title, min, max, thickness_mm),
              "/thickness_mm");
}

Result<Recipe> recipe_for_cut(const Material& material, double thickness_mm) {
  if (auto ok =
          check_thickness(material, Operation::cut, thickness_mm,
                          material.cuts.front().thickness_mm, material.cuts.back().thickness_mm);
      !ok)
    return std::unexpected(std::move(ok).error());
  const CutPoint cut = interpolate(material.cuts, thickness_mm);
  Recipe recipe;
  recipe.laser = {.feed_mm_per_min = cut.feed_mm_per_min,
                  .power_s = cut.power_s,
                  .passes = cut.passes,
                  .travel_mm_per_min = travel_mm_per_min,
                  .mode = "M3",
                  .line_interval_mm = spot_mm,
                  .overscan_mm = 0};
  recipe.kerf_mm = cut.kerf_mm;
  recipe.energy_j_per_mm = energy(recipe.laser);
  return recipe;
}

Result<Recipe> recipe_for_surface(const Material& material, Operation operation,
                                  const Surface& surface, double thickness_mm) {
  if (auto ok = check_thickness(material, operation, thickness_mm, material.thickness_min_mm,
                                material.thickness_max_mm);
      !ok)
    return std::unexpected(std::move(ok).error());
  Recipe recipe;
  recipe.laser = {
      .feed_mm_per_min = surface.feed_mm_per_min,
      .power_s = surface.power_s,
      .passes = 1,
      .travel_mm_per_min = travel_mm_per_min,
      .mode = "M4",
      .line_interval_mm = surface.line_interval_mm,
      .overscan_mm = operation == Operation::engrave ? run_in_mm(surface.feed_mm_per_min) : 0};
  recipe.energy_j_per_mm = energy(recipe.laser);
  return recipe;
}

std::unexpected<Error> cannot(const Material& material, Operation operation) {
  return fail(
      Errc::bad_params,
      fmt::format("no settings to {} {} with this laser", name_of(operation), material.title),
      "/operation");
}

}  // namespace

std::optional<Operation> operation_named(std::string_view name) {
  const auto found = std::ranges::find(operation_names, name);
  if (found == std::end(operation_names)) return std::nullopt;
  return static_cast<Operation>(found - std::begin(operation_names));
}

std::string_view name_of(Operation operation) {
  return operation_names[static_cast<std::size_t>(operation)];
}

std::span<const Material> materials() { return table; }

std::vector<std::string> material_names() {
  std::vector<std::string> names;
  for (const Material& material : table) names.emplace_back(material.name);
  return names;
}

Result<Recipe> find_recipe(std::string_view name, double thickness_mm, Operation operation) {
  const auto material = std::ranges::find(table, name, &Material::name);
  if (material == std::end(table))
    return fail(
        Errc::bad_params,
        fmt::format("no such material in the table; it has {}", fmt::join(material_names(), ", ")),
        "/material");
  if (operation == Operation::cut) {
    if (material->cuts.empty()) return cannot(*material, operation);
    return recipe_for_cut(*material, thickness_mm);
  }
  const auto& surface = operation == Operation::engrave ? material->engrave : material->score;
  if (!surface) return cannot(*material, operation);
  return recipe_for_surface(*material, operation, *surface, thickness_mm);
}

}  // namespace tallymill::stages::compute
