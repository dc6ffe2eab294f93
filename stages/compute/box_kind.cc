#include "stages/compute/box_kind.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "stages/compute/box.h"
#include "stages/compute/params.h"
#include "stages/compute/svg.h"

namespace tallymill::stages::compute {

namespace {

using nlohmann::json;

// Between parts on the sheet: wider than any kerf, and room to lift a part out.
constexpr double gap_mm = 4;

Result<BoxSpec> spec_of(const json& params) {
  BoxSpec spec;
  for (auto [name, member] :
       {std::pair{"x_mm", &spec.x_mm}, std::pair{"y_mm", &spec.y_mm}, std::pair{"z_mm", &spec.z_mm},
        std::pair{"thickness_mm", &spec.thickness_mm}, std::pair{"finger_mm", &spec.finger_mm},
        std::pair{"play_mm", &spec.play_mm}, std::pair{"kerf_mm", &spec.kerf_mm}}) {
    auto value = number_at(params, name);
    if (!value) return std::unexpected(std::move(value).error());
    *member = *value;
  }
  auto dimensions = text_at(params, "dimensions");
  if (!dimensions) return std::unexpected(std::move(dimensions).error());
  if (*dimensions != "inner" && *dimensions != "outer")
    return fail(Errc::bad_params, "dimensions must be inner or outer", "/dimensions");
  spec.outer = *dimensions == "outer";
  const auto lid = params.find("lid");
  if (lid == params.end() || !lid->is_boolean())
    return fail(Errc::bad_params, "lid must be true or false", "/lid");
  spec.lid = lid->get<bool>();
  return spec;
}

json millimetres(const std::array<Ticks, 3>& size) {
  return {to_mm(size[0]), to_mm(size[1]), to_mm(size[2])};
}

// Panels of the same kind side by side, as they are of the same height.
Sheet sheet_of(const Box& box) {
  std::vector<std::vector<SheetPart>> rows;
  int across = -1;
  for (const Panel& panel : box.panels) {
    if (panel.normal_axis != across) rows.emplace_back();
    across = panel.normal_axis;
    rows.back().push_back({panel.id, panel.cut});
  }
  return lay_out(rows, to_ticks(gap_mm));
}

Result<Output> run_box(const Job& job, Context& context) {
  const auto spec = spec_of(job.params);
  if (!spec) return std::unexpected(spec.error());
  const auto box = make_box(*spec);
  if (!box) return std::unexpected(box.error());
  const Sheet sheet = sheet_of(*box);
  json panels = json::array();
  Ticks cut_length = 0;
  for (const Panel& panel : box->panels) {
    const Bounds bounds = bounds_of(panel.shape);
    panels.push_back({{"id", panel.id},
                      {"width_mm", to_mm(bounds.max.u - bounds.min.u)},
                      {"height_mm", to_mm(bounds.max.v - bounds.min.v)}});
    cut_length += length_of(panel.cut);
  }
  Output output;
  output.values = {{"outer_mm", millimetres(box->outer)},
                   {"inner_mm", millimetres(box->inner)},
                   {"thickness_mm", to_mm(box->thickness)},
                   {"finger_mm", to_mm(box->finger)},
                   {"panels", std::move(panels)},
                   {"sheet_mm", {to_mm(sheet.width), to_mm(sheet.height)}},
                   {"cut_length_mm", to_mm(cut_length)}};
  output.files.push_back({"box.svg", "image/svg+xml", svg_text(sheet)});
  context.progress(1);
  return output;
}

ParamSpec millimetre_param(std::string name, std::string help, double fallback, double min,
                           double max) {
  return {.name = std::move(name),
          .type = ParamSpec::Type::number,
          .help = std::move(help),
          .unit = "mm",
          .fallback = fallback,
          .min = min,
          .max = max};
}

}  // namespace

KindSpec box_kind() {
  constexpr double side_min = limits::min_box_side_mm;
  constexpr double side_max = limits::max_box_side_mm;
  KindSpec kind;
  kind.name = "box";
  kind.route = {"compute"};
  kind.help = "A finger-jointed box as an SVG sheet for the laser cutter.";
  kind.params = {
      millimetre_param("x_mm", "Width, left to right.", 100, side_min, side_max),
      millimetre_param("y_mm", "Depth, front to back.", 80, side_min, side_max),
      millimetre_param("z_mm", "Height, bottom to top.", 60, side_min, side_max),
      {.name = "dimensions",
       .type = ParamSpec::Type::choice,
       .help = "Whether x, y and z are inside or outside.",
       .fallback = "inner",
       .choices = {"inner", "outer"}},
      {.name = "lid",
       .type = ParamSpec::Type::boolean,
       .help = "Closed with a lid, or open at the top.",
       .fallback = true},
      millimetre_param("thickness_mm", "Thickness of the sheet; measure it.", 3,
                       limits::min_sheet_mm, limits::max_sheet_mm),
      millimetre_param("finger_mm", "Width of a finger; 0 chooses about two thicknesses.", 0, 0,
                       side_max),
      millimetre_param("play_mm", "Clearance of each joint; 0 is a press fit.", 0, 0,
                       limits::max_joint_gap_mm),
      millimetre_param("kerf_mm", "Whole width that the beam takes away.", 0.15, 0,
                       limits::max_joint_gap_mm)};
  return kind;
}

Handler box_handler() { return run_box; }

}  // namespace tallymill::stages::compute
