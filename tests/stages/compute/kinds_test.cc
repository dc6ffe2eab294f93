// The kinds' tables agree with their handlers. Goal: what the schema offers, the handler takes: all
// defaults, every choice of a material. Method: run each handler on what check_params gives.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tallymill::stages::compute
