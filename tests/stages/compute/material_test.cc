// The material table gives careful settings. Goal: whatever is asked inside a material's range gets
// settings that a machine takes, never more daring for a thicker sheet; whatever is asked outside
// is refused with the parameter's name. Method: sweep every material and operation in fine steps.
#include "stages/compute/material.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace tallymill::stages::compute {
namespace {

constexpr Operation all_operations[] = {Operation::cut, Operation::engrave, Operation::score};

std::string refused(std::string_view material, double thickness_mm, Operation operation) {
  const auto recipe = find_recipe(material, thickness_mm, operation);
  if (recipe) return "accepted";
  EXPECT_EQ(recipe.error().code, Errc::bad_params);
  return recipe.error().field + ": " + recipe.error().message;
}

TEST(Material, EveryThicknessInRangeGetsSettingsAMachineTakes) {
  for (const Material& material : materials())
    for (const Operation operation : all_operations)
      for (double t = 0.05; t < 25; t += 0.01) {
        const auto recipe = find_recipe(material.name, t, operation);
        if (!recipe) continue;
        SCOPED_TRACE(testing::Message() << material.name << ' ' << name_of(operation) << ' ' << t);
        EXPECT_TRUE(check_settings(recipe->laser));
        EXPECT_GT(recipe->energy_j_per_mm, 0);
        EXPECT_EQ(recipe->kerf_mm > 0, operation == Operation::cut);
        EXPECT_EQ(recipe->laser.feed_mm_per_min, std::floor(recipe->laser.feed_mm_per_min));
      }
}

TEST(Material, AThickerSheetNeverGetsAFasterFeedFewerPassesOrLessEnergy) {
  for (const Material& material : materials())
    for (const Operation operation : all_operations) {
      Result<Recipe> thinner = fail(Errc::bad_params, "none yet");
      for (double t = 0.05; t < 25; t += 0.007) {
        auto recipe = find_recipe(material.name, t, operation);
        if (recipe && thinner) {
          SCOPED_TRACE(testing::Message()
                       << material.name << ' ' << name_of(operation) << ' ' << t);
          EXPECT_LE(recipe->laser.feed_mm_per_min, thinner->laser.feed_mm_per_min);
          EXPECT_GE(recipe->laser.passes, thinner->laser.passes);
          EXPECT_GE(recipe->laser.power_s, thinner->laser.power_s);
          EXPECT_GE(recipe->energy_j_per_mm, thinner->energy_j_per_mm);
          EXPECT_GE(recipe->kerf_mm, thinner->kerf_mm);
        }
        thinner = std::move(recipe);
      }
    }
}

TEST(Material, AKnownThicknessGivesTheTablesOwnRow) {
  for (const Material& material : materials())
    for (const CutPoint& cut : material.cuts) {
      const auto recipe = find_recipe(material.name, cut.thickness_mm, Operation::cut);
      ASSERT_TRUE(recipe) << material.name;
      EXPECT_EQ(recipe->laser.feed_mm_per_min, cut.feed_mm_per_min);
      EXPECT_EQ(recipe->laser.passes, cut.passes);
      EXPECT_EQ(recipe->laser.power_s, cut.power_s);
      EXPECT_EQ(recipe->kerf_mm, cut.kerf_mm);
    }
}

TEST(Material, BetweenTwoRowsTheFeedIsBetweenThemAndThePassesAreTheThickers) {
  const auto recipe = find_recipe("plywood_birch", 3.5, Operation::cut);
  ASSERT_TRUE(recipe);
  EXPECT_EQ(recipe->laser.feed_mm_per_min, 190);
  EXPECT_EQ(recipe->laser.passes, 2);
  EXPECT_DOUBLE_EQ(recipe->kerf_mm, 0.16);
  EXPECT_NEAR(recipe->energy_j_per_mm, 10 * 2 / (190.0 / 60), 1e-9);
}

TEST(Material, EngravingRunsInOverTheWayThatTheMachineNeedsToReachItsFeed) {
  const auto recipe = find_recipe("plywood_birch", 3, Operation::engrave);
  ASSERT_TRUE(recipe);
  EXPECT_EQ(recipe->laser.feed_mm_per_min, 6000);
  EXPECT_EQ(recipe->laser.overscan_mm, 5);  // (100 mm/s)^2 / (2 * 1000 mm/s^2)
  EXPECT_EQ(recipe->laser.mode, "M4");
}

TEST(Material, WhatIsNotInTheTableIsRefusedWithTheParameterAndWhatIsKnown) {
  EXPECT_EQ(refused("glass", 3, Operation::cut).substr(0, 40),
            "/material: no such material in the table");
  EXPECT_NE(refused("glass", 3, Operation::cut).find("plywood_birch"), std::string::npos);
  EXPECT_EQ(refused("plywood_birch", 6.01, Operation::cut),
            "/thickness_mm: to cut birch plywood is known from 1.5 to 6 mm, not for 6.01 mm");
  EXPECT_EQ(refused("plywood_birch", 6, Operation::cut), "accepted");
  EXPECT_EQ(refused("plywood_birch", 1.5, Operation::cut), "accepted");
  EXPECT_EQ(refused("plywood_birch", 1.49, Operation::cut).substr(0, 13), "/thickness_mm");
  EXPECT_EQ(refused("plywood_birch", std::numeric_limits<double>::quiet_NaN(), Operation::engrave)
                .substr(0, 13),
            "/thickness_mm");
  EXPECT_EQ(refused("slate", 5, Operation::cut),
            "/operation: no settings to cut slate with this laser");
  EXPECT_EQ(refused("cotton", 1, Operation::score).substr(0, 10), "/operation");
}

TEST(Material, NamesAreUniqueAndOperationsNameThemselves) {
  const auto names = material_names();
  EXPECT_EQ(std::set(names.begin(), names.end()).size(), materials().size());
  for (const Operation operation : all_operations)
    EXPECT_EQ(operation_named(name_of(operation)), operation);
  EXPECT_FALSE(operation_named("burn"));
}

}  // namespace
}  // namespace tallymill::stages::compute
