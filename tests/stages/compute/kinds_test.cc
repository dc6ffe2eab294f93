// The kinds' tables agree with their handlers. Goal: what the schema offers, the handler takes: all
// defaults, every choice of a material; and the page for users says what the code does. Method: run
// each handler on what check_params gives; look for every parameter and table row in the page.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "stages/compute/box_kind.h"
#include "stages/compute/engrave_kind.h"
#include "stages/compute/laser.h"
#include "stages/compute/material.h"
#include "tests/stages/compute/context.h"

namespace tallymill::stages::compute {
namespace {

using nlohmann::json;

Result<Output> checked_run(const KindSpec& kind, const Handler& handler, const json& params) {
  const auto checked = check_params(kind, params);
  if (!checked) return std::unexpected(checked.error());
  return run_with(handler, *checked);
}

TEST(Kinds, TheDefaultsOfEachKindRun) {
  const auto box = checked_run(box_kind(), box_handler(), json::object());
  EXPECT_TRUE(box) << box.error().message;
  const auto laser = checked_run(laser_kind(), laser_handler(), json::object());
  EXPECT_TRUE(laser) << laser.error().message;
  const auto engrave = checked_run(engrave_kind(), engrave_compute_handler(), json::object());
  EXPECT_TRUE(engrave) << engrave.error().message;
}

TEST(Kinds, EveryMaterialOfTheTableCanBeAskedForByLaserAndEngrave) {
  for (const Material& material : materials()) {
    const json params = {{"material", material.name},
                         {"thickness_mm", material.thickness_max_mm},
                         {"operation", "engrave"}};
    EXPECT_TRUE(checked_run(laser_kind(), laser_handler(), params)) << material.name;
    EXPECT_TRUE(checked_run(engrave_kind(), engrave_compute_handler(), params)) << material.name;
  }
}

TEST(Kinds, ARasterIsNeverGivenTheSettingsOfACut) {
  const auto output =
      checked_run(engrave_kind(), engrave_compute_handler(), {{"operation", "cut"}});
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().field, "/operation");
}

TEST(Kinds, SpecsGoThroughTheWireUnchanged) {
  for (const KindSpec& kind : {box_kind(), laser_kind(), engrave_kind()}) {
    const auto back = kind_from_json(to_json(kind));
    ASSERT_TRUE(back) << kind.name << ": " << back.error().message;
    EXPECT_EQ(to_json(*back), to_json(kind));
  }
}

std::string page() {
  std::ifstream file(TALLYMILL_SOURCE_DIR "/docs/kinds.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string page_row(const Material& material) {
  std::string cuts;
  for (const CutPoint& cut : material.cuts)
    cuts +=
        fmt::format("{}{} mm: {} S{} × {}, kerf {}", cuts.empty() ? "" : "<br>", cut.thickness_mm,
                    cut.feed_mm_per_min, cut.power_s, cut.passes, cut.kerf_mm);
  std::string engrave = "–";
  if (const auto& surface = material.engrave)
    engrave = fmt::format("{} S{} @ {} mm", surface->feed_mm_per_min, surface->power_s,
                          surface->line_interval_mm);
  std::string score = "–";
  if (const auto& surface = material.score)
    score = fmt::format("{} S{}", surface->feed_mm_per_min, surface->power_s);
  return fmt::format("| `{}` | {}–{} mm | {} | {} | {} |\n", material.name,
                     material.thickness_min_mm, material.thickness_max_mm,
                     cuts.empty() ? "–" : cuts, engrave, score);
}

TEST(Kinds, ThePageListsEveryParameterAndTheMaterialTableAsItIs) {
  const std::string text = page();
  for (const KindSpec& kind : {box_kind(), laser_kind(), engrave_kind()}) {
    EXPECT_NE(text.find("## " + kind.name + "\n"), std::string::npos) << kind.name;
    for (const ParamSpec& param : kind.params)
      EXPECT_NE(text.find("`" + param.name + "`"), std::string::npos)
          << kind.name << ' ' << param.name;
  }
  for (const Material& material : materials())
    EXPECT_NE(text.find(page_row(material)), std::string::npos) << "docs/kinds.md wants the row\n"
                                                                << page_row(material);
}

}  // namespace
}  // namespace tallymill::stages::compute
