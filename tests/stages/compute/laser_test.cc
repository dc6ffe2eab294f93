// The kind `laser` and the first hop of `engrave` tell the settings that the table has. Goal: what
// one hop writes the next can read, and no parameters make a handler throw. Method: call the
// handlers with good and with broken parameters.
#include "stages/compute/laser.h"

#include <gtest/gtest.h>

#include "stages/compute/material.h"
#include "tests/stages/compute/context.h"

namespace tallymill::stages::compute {
namespace {

using nlohmann::json;

TEST(Laser, ValuesAndFileHoldTheTablesSettings) {
  const json params = {{"material", "plywood_birch"}, {"thickness_mm", 3}, {"operation", "cut"}};
  const auto output = run_with(laser_handler(), params);
  ASSERT_TRUE(output) << output.error().message;
  const auto recipe = find_recipe("plywood_birch", 3, Operation::cut);
  EXPECT_EQ(output->values.at("laser"), to_json(recipe->laser));
  EXPECT_EQ(output->values.at("kerf_mm"), recipe->kerf_mm);
  ASSERT_EQ(output->files.size(), 1U);
  EXPECT_EQ(output->files[0].name, "settings.json");
  EXPECT_EQ(json::parse(output->files[0].bytes), output->values);
}

TEST(Laser, TheEngraveHopHandsOnWhatTheImageStageReadsBack) {
  const json params = {
      {"material", "slate"}, {"thickness_mm", 5.5}, {"operation", "engrave"}, {"dpi", 254}};
  const auto output = run_with(engrave_compute_handler(), params);
  ASSERT_TRUE(output) << output.error().message;
  const auto read = laser_settings_from_json(output->values.at("laser"));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(find_recipe("slate", 5.5, Operation::engrave)->laser));
}

TEST(Laser, BrokenParametersAreNamed) {
  const auto refused = [](const json& params) -> std::string {
    const auto output = run_with(laser_handler(), params);
    const auto hop = run_with(engrave_compute_handler(), params);
    EXPECT_EQ(output.has_value(), hop.has_value());
    if (output || hop) return "accepted";
    EXPECT_EQ(output.error().code, Errc::bad_params);
    EXPECT_EQ(output.error().field, hop.error().field);
    return output.error().field;
  };
  const json good = {{"material", "mdf"}, {"thickness_mm", 3}, {"operation", "cut"}};
  const auto with = [&](const char* name, const json& value) {
    json params = good;
    params[name] = value;
    return params;
  };
  EXPECT_EQ(refused(with("material", 3)), "/material");
  EXPECT_EQ(refused(with("material", "cheese")), "/material");
  EXPECT_EQ(refused(with("thickness_mm", "3")), "/thickness_mm");
  EXPECT_EQ(refused(with("thickness_mm", 300)), "/thickness_mm");
  EXPECT_EQ(refused(with("operation", nullptr)), "/operation");
  EXPECT_EQ(refused(with("operation", "melt")), "/operation");
  EXPECT_EQ(refused(json::object()), "/material");
  EXPECT_EQ(refused(json()), "/material");
  EXPECT_EQ(refused(good), "accepted");
}

TEST(Laser, SettingsFromJsonNameTheMemberThatIsWrong) {
  const auto refused = [](const char* name, const json& value) -> std::string {
    json object = to_json(LaserSettings{});
    object[name] = value;
    const auto settings = laser_settings_from_json(object);
    return settings ? "accepted" : settings.error().field;
  };
  EXPECT_EQ(refused("feed_mm_per_min", "fast"), "/feed_mm_per_min");
  EXPECT_EQ(refused("feed_mm_per_min", -1), "/feed_mm_per_min");
  EXPECT_EQ(refused("power_s", 1.5), "/power_s");
  EXPECT_EQ(refused("power_s", 1e300), "/power_s");
  EXPECT_EQ(refused("power_s", 5000), "/power_s");
  EXPECT_EQ(refused("passes", json()), "/passes");
  EXPECT_EQ(refused("mode", 4), "/mode");
  EXPECT_EQ(refused("mode", "M4"), "accepted");
  EXPECT_FALSE(laser_settings_from_json(json::array()));
}

TEST(Laser, TheKindOffersEveryMaterialOfTheTable) {
  const auto kind = laser_kind();
  EXPECT_EQ(kind.route, std::vector<std::string>{"compute"});
  ASSERT_EQ(kind.params.size(), 3U);
  EXPECT_EQ(kind.params[0].choices, material_names());
  EXPECT_EQ(kind.inputs_max, 0);
}

}  // namespace
}  // namespace tallymill::stages::compute
