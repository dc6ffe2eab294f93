// The kind `box` gives a sheet that a laser cutter takes. Goal: the drawing holds each panel once,
// to scale, apart from the others, and says its size truly. Method: read the SVG back and compare
// it with the box, over random parameters; then broken ones.
#include "stages/compute/box_kind.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <regex>
#include <string>

#include "stages/compute/box.h"
#include "stages/compute/svg.h"
#include "tests/stages/compute/context.h"
#include "tests/stages/compute/seed.h"

namespace tallymill::stages::compute {
namespace {

using nlohmann::json;

json defaults() {
  json params = json::object();
  for (const ParamSpec& param : box_kind().params) params[param.name] = param.fallback;
  return params;
}

double attribute_mm(const std::string& svg, const std::string& name) {
  std::smatch match;
  const std::regex pattern(" " + name + "=\"([0-9.]+)mm\"");
  return std::regex_search(svg, match, pattern) ? std::stod(match[1]) : -1;
}

// The paths by id, in ticks, v down as in the file.
std::map<std::string, Outline> read_paths(const std::string& svg) {
  std::map<std::string, Outline> paths;
  for (std::size_t at = 0; (at = svg.find("<path id=\"", at)) != std::string::npos;) {
    const auto id_end = svg.find('"', at + 10);
    const std::string id = svg.substr(at + 10, id_end - at - 10);
    const char* d = svg.c_str() + svg.find("d=\"", id_end) + 3;
    Outline outline;
    for (; *d != 'Z';) {
      char* next = nullptr;
      const char command = *d;
      const Ticks first = to_ticks(std::strtod(d + 1, &next));
      if (command == 'M') outline.push_back({first, to_ticks(std::strtod(next, &next))});
      if (command == 'H') outline.push_back({first, outline.back().v});
      if (command == 'V') outline.push_back({outline.back().u, first});
      d = next;
    }
    EXPECT_EQ(d[1], '"') << "one closed path";
    EXPECT_TRUE(paths.emplace(id, outline).second) << id << " twice";
    at = id_end;
  }
  return paths;
}

TEST(BoxKind, TheSheetHoldsEachPanelOnceToScaleAndApart) {
  std::mt19937 rng(test_seed());
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    json params = defaults();
    for (const char* side : {"x_mm", "y_mm", "z_mm"})
      params[side] = std::uniform_real_distribution<double>(10, 300)(rng);
    params["lid"] = rng() % 2 == 0;
    params["kerf_mm"] = std::uniform_real_distribution<double>(0, 0.5)(rng);
    const auto output = run_with(box_handler(), params);
    ASSERT_TRUE(output) << output.error().message;
    ASSERT_EQ(output->files.size(), 1U);
    const std::string& svg = output->files[0].bytes;
    const double width = attribute_mm(svg, "width");
    const double height = attribute_mm(svg, "height");
    ASSERT_EQ(output->values.at("sheet_mm"), json({width, height}));

    const auto box = make_box({.x_mm = params["x_mm"],
                               .y_mm = params["y_mm"],
                               .z_mm = params["z_mm"],
                               .lid = params["lid"],
                               .kerf_mm = params["kerf_mm"]});
    ASSERT_TRUE(box);
    const auto paths = read_paths(svg);
    ASSERT_EQ(paths.size(), box->panels.size());
    Ticks cut_length = 0;
    for (const Panel& panel : box->panels) {
      ASSERT_TRUE(paths.contains(std::string(panel.id))) << panel.id;
      const Outline& drawn = paths.at(std::string(panel.id));
      ASSERT_EQ(drawn.size(), panel.cut.size());
      for (std::size_t i = 0; i < drawn.size(); ++i) {  // moved and turned over, nothing else
        ASSERT_EQ(drawn[i].u - drawn[0].u, panel.cut[i].u - panel.cut[0].u);
        ASSERT_EQ(drawn[i].v - drawn[0].v, panel.cut[0].v - panel.cut[i].v);
      }
      const Bounds a = bounds_of(drawn);
      ASSERT_GT(a.min.u, 0);
      ASSERT_GT(a.min.v, 0);
      ASSERT_LT(a.max.u, to_ticks(width));
      ASSERT_LT(a.max.v, to_ticks(height));
      for (const auto& [id, other] : paths) {
        if (id == panel.id) continue;
        const Bounds b = bounds_of(other);
        ASSERT_TRUE(a.max.u < b.min.u || b.max.u < a.min.u || a.max.v < b.min.v ||
                    b.max.v < a.min.v)
            << panel.id << " over " << id;
      }
      cut_length += length_of(panel.cut);
    }
    ASSERT_DOUBLE_EQ(output->values.at("cut_length_mm").get<double>(), to_mm(cut_length));
  }
}

TEST(BoxKind, ValuesSayTheSizesOfTheBoxAndItsPanels) {
  json params = defaults();
  params["dimensions"] = "outer";
  const auto output = run_with(box_handler(), params);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->values.at("outer_mm"), json({100.0, 80.0, 60.0}));
  EXPECT_EQ(output->values.at("inner_mm"), json({94.0, 74.0, 54.0}));
  EXPECT_EQ(output->values.at("finger_mm"), 6.0);
  EXPECT_EQ(output->values.at("panels").size(), 6U);
  EXPECT_EQ(output->values.at("panels")[0],
            json({{"id", "bottom"}, {"width_mm", 100.0}, {"height_mm", 80.0}}));
}

TEST(BoxKind, TheSameParametersGiveTheSameBytes) {
  const auto once = run_with(box_handler(), defaults());
  const auto again = run_with(box_handler(), defaults());
  ASSERT_TRUE(once && again);
  EXPECT_EQ(once->files[0].bytes, again->files[0].bytes);
}

TEST(BoxKind, BrokenParametersAreNamed) {
  const auto refused = [](const char* name, const json& value) -> std::string {
    json params = defaults();
    params[name] = value;
    const auto output = run_with(box_handler(), params);
    return output ? "accepted" : output.error().field;
  };
  for (const char* name :
       {"x_mm", "y_mm", "z_mm", "thickness_mm", "finger_mm", "play_mm", "kerf_mm"}) {
    EXPECT_EQ(refused(name, "10"), std::string("/") + name);
    EXPECT_EQ(refused(name, json()), std::string("/") + name);
    EXPECT_EQ(refused(name, -1), std::string("/") + name);
  }
  EXPECT_EQ(refused("dimensions", "both"), "/dimensions");
  EXPECT_EQ(refused("dimensions", 1), "/dimensions");
  EXPECT_EQ(refused("lid", "yes"), "/lid");
  EXPECT_FALSE(run_with(box_handler(), json::array()));
}

TEST(Svg, CoordinatesAreExactDecimals) {
  const Sheet sheet{.width = 123'4500,
                    .height = 50'001,
                    .parts = {{"p", {{-1, 1}, {10'000, 1}, {10'000, 50'001}, {-1, 50'001}}}}};
  const std::string svg = svg_text(sheet);
  EXPECT_NE(svg.find("width=\"123.45mm\" height=\"5.0001mm\" viewBox=\"0 0 123.45 5.0001\""),
            std::string::npos);
  EXPECT_NE(svg.find("d=\"M-0.0001 5H1V0H-0.0001Z\""), std::string::npos) << svg;
}

}  // namespace
}  // namespace tallymill::stages::compute
