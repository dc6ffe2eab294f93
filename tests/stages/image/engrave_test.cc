// The image hop of an engraving. Goal: the PNG, the G-code and the values describe the same dots in
// the same millimetres, and those are what the stated steps give. Method: the handler itself; the
// steps are done again by hand, and the G-code is run on paper.
#include "stages/image/engrave.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/limits.h"
#include "stages/compute/engrave_kind.h"
#include "stages/compute/gcode.h"
#include "stages/image/chain.h"
#include "stages/image/dither.h"
#include "tests/stages/image/pictures.h"

namespace tallymill::stages::image {
namespace {

using nlohmann::json;

json laser() {
  return {{"material", "plywood"},
          {"laser",
           {{"feed_mm_per_min", 1500},
            {"power_s", 600},
            {"passes", 1},
            {"travel_mm_per_min", 6000},
            {"mode", "M4"},
            {"line_interval_mm", 0.1},
            {"overscan_mm", 3.5}}}};
}

Result<Output> run_engrave(std::string_view file, const json& params, Context& context,
                           const json& carried_values = laser()) {
  const Carried carried{carried_values, {}};
  const Input input{"photo.jpg", "image/jpeg", file};
  return engrave_image_handler()(
      {JobId(1), Attempt(1), "engrave", params, std::span(&input, 1), carried, std::nullopt},
      context);
}

Result<Output> run_engrave(std::string_view file, const json& params) {
  testing::RecordingContext context;
  return run_engrave(file, params, context);
}

std::string photo_jpeg(Size size) { return *encode_jpeg(testing::photo(size, 3), 90); }

const File& file_named(const Output& output, std::string_view name) {
  return *std::ranges::find_if(output.files, [&](const File& f) { return f.name == name; });
}

TEST(Engrave, TheDotsAreThoseOfTheStatedSteps) {
  const std::string file = photo_jpeg({300, 200});
  const auto output = run_engrave(file, {{"width_mm", 30},
                                         {"gamma", 1.4},
                                         {"contrast", 1.2},
                                         {"brightness", 0.05},
                                         {"sharpen", 1.5}});
  ASSERT_TRUE(output) << output.error().message;
  Raster gray = resize(*decode(file, {.gray = true}), {300, 200});
  map_tones(tone_curve({1.4, 1.2, 0.05, false}), gray);
  ASSERT_TRUE(unsharp(gray, 1, 1.5));
  EXPECT_EQ(file_named(*output, "engraving.png").bytes, *encode_png(dither_reference(gray), 10));
}

TEST(Engrave, TheGcodeBurnsExactlyTheDarkDotsOfThePng) {
  const auto output = run_engrave(photo_jpeg({320, 240}), {{"width_mm", 20}, {"dpi", 254}});
  ASSERT_TRUE(output);
  const Raster shown = *decode(file_named(*output, "engraving.png").bytes);
  ASSERT_EQ(shown.size(), (Size{200, 150}));
  const auto burnt = compute::rasterize_gcode(file_named(*output, "engraving.gcode").bytes, 200,
                                              150, output->values["pixel_mm"].get<double>());
  ASSERT_TRUE(burnt) << burnt.error().message;
  int dark = 0;
  for (int y = 0; y < 150; ++y)
    for (int x = 0; x < 200; ++x) {
      const bool burns =
          ((*burnt)[static_cast<std::size_t>(y * 25 + x / 8)] >> (7 - x % 8) & 1) != 0;
      ASSERT_EQ(burns, shown.row(y)[x] == 0) << x << ", " << y;
      dark += burns ? 1 : 0;
    }
  EXPECT_EQ(output->values["burnt_dots"], dark);
}

TEST(Engrave, SizesFollowMillimetresAndDpi) {
  const auto output = run_engrave(photo_jpeg({300, 200}), {{"width_mm", 50.8}, {"dpi", 127}});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->values["width_px"], 254);
  EXPECT_EQ(output->values["height_px"], 169);
  EXPECT_DOUBLE_EQ(output->values["pixel_mm"].get<double>(), 0.2);
  EXPECT_DOUBLE_EQ(output->values["width_mm"].get<double>(), 50.8);
  const auto tenths = run_engrave(photo_jpeg({300, 200}), {{"width_mm", 30}, {"dpi", 254}});
  ASSERT_TRUE(tenths);
  EXPECT_EQ(tenths->values["pixel_mm"].dump(), "0.1");
  EXPECT_EQ(tenths->values["width_mm"].dump(), "30.0");
  EXPECT_EQ(tenths->values["height_mm"].dump(), "20.0");
  const auto stretched =
      run_engrave(photo_jpeg({300, 200}), {{"width_mm", 10}, {"height_mm", 10}, {"dpi", 254}});
  ASSERT_TRUE(stretched);
  EXPECT_EQ(probe(file_named(*stretched, "engraving.png").bytes)->size, (Size{100, 100}));
}

TEST(Engrave, WhatComputeCarriedStaysInTheValues) {
  const auto output = run_engrave(photo_jpeg({60, 40}), {{"width_mm", 6}});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->values["material"], "plywood");
  EXPECT_EQ(output->values["laser"]["power_s"], 600);
}

TEST(Engrave, APhotoOnItsSideIsEngravedUpright) {
  const std::string file = testing::with_exif(photo_jpeg({300, 200}), 6);
  const auto output = run_engrave(file, {{"width_mm", 10}});
  ASSERT_TRUE(output);
  EXPECT_EQ(output->values["width_px"], 100);
  EXPECT_EQ(output->values["height_px"], 150);
}

TEST(Engrave, InvertBurnsTheLightParts) {
  const std::string white = *encode_png(testing::flat({20, 20}, {255}));
  EXPECT_EQ(run_engrave(white, {{"width_mm", 2}})->values["burnt_ratio"], 0.0);
  EXPECT_EQ(run_engrave(white, {{"width_mm", 2}, {"invert", true}})->values["burnt_ratio"], 1.0);
}

TEST(Engrave, ThePreviewIsSentBeforeTheEndAndIsAlsoAFile) {
  testing::RecordingContext context;
  const auto output = run_engrave(photo_jpeg({900, 600}), {{"width_mm", 90}}, context);
  ASSERT_TRUE(output);
  ASSERT_EQ(context.previews.size(), 1U);
  EXPECT_EQ(context.previews[0].bytes, file_named(*output, "preview.jpg").bytes);
  EXPECT_EQ(probe(context.previews[0].bytes)->size, (Size{480, 320}));
  const auto place = [&](const char* name) { return std::ranges::find(context.spans, name); };
  EXPECT_LT(place("preview"), place("dither"));
}

TEST(Engrave, TwoRunsGiveTheSameBytes) {
  const std::string file = photo_jpeg({300, 200});
  const auto first = run_engrave(file, {{"width_mm", 20}});
  const auto second = run_engrave(file, {{"width_mm", 20}});
  ASSERT_TRUE(first && second);
  for (std::size_t i = 0; i < first->files.size(); ++i)
    EXPECT_EQ(first->files[i].bytes, second->files[i].bytes) << first->files[i].name;
  EXPECT_EQ(first->values, second->values);
}

TEST(Engrave, ProgressOnlyRisesAndEverySpanIsClosed) {
  testing::RecordingContext context;
  ASSERT_TRUE(run_engrave(photo_jpeg({300, 200}), {{"width_mm", 30}}, context));
  EXPECT_FALSE(context.falling);
  EXPECT_DOUBLE_EQ(context.reached, 1);
  EXPECT_EQ(context.open_spans, 0);
  for (const char* name :
       {"decode", "resize", "tone", "sharpen", "preview", "dither", "encode", "gcode"})
    EXPECT_TRUE(std::ranges::count(context.spans, name) > 0) << name;
}

TEST(Engrave, ACancelledJobStopsWhereverItIs) {
  const std::string file = photo_jpeg({300, 200});
  testing::RecordingContext whole;
  ASSERT_TRUE(run_engrave(file, {{"width_mm", 30}}, whole));
  ASSERT_GT(whole.asked, 3);
  for (int after = 0; after < whole.asked; ++after) {
    testing::RecordingContext context;
    context.cancel_after = after;
    const auto output = run_engrave(file, {{"width_mm", 30}}, context);
    ASSERT_FALSE(output) << after;
    EXPECT_EQ(output.error().code, Errc::cancelled) << after;
    EXPECT_EQ(context.open_spans, 0) << after;
  }
}

TEST(Engrave, SizesThatCannotBeEngravedAreNamedByTheirPointer) {
  const std::string file = photo_jpeg({300, 200});
  const std::pair<json, const char*> cases[] = {
      {{{"width_mm", 0}}, "/width_mm"},
      {{{"width_mm", -5}}, "/width_mm"},
      {{{"width_mm", 1e9}}, "/width_mm"},
      {{{"width_mm", "wide"}}, "/width_mm"},
      {{{"width_mm", 3000}, {"dpi", 600}}, "/width_mm"},                     // too many a side
      {{{"width_mm", 700}, {"height_mm", 700}, {"dpi", 254}}, "/width_mm"},  // too many dots
      {{{"width_mm", 0.5}, {"dpi", 10}}, "/width_mm"},                       // less than one dot
      {{{"height_mm", -1}}, "/height_mm"},
      {{{"dpi", 0}}, "/dpi"},
      {{{"gamma", 0}}, "/gamma"},
  };
  for (const auto& [params, pointer] : cases) {
    const auto output = run_engrave(file, params);
    ASSERT_FALSE(output) << params;
    EXPECT_EQ(output.error().code, Errc::bad_params) << params;
    EXPECT_EQ(output.error().field, pointer) << params;
  }
}

TEST(Engrave, TheGcodeRunsInOverTheOverscanThatComputeResolved) {
  const auto output = run_engrave(photo_jpeg({32, 24}), {{"width_mm", 20}});
  ASSERT_TRUE(output);
  EXPECT_NE(file_named(*output, "engraving.gcode").bytes.find("moves from X-3.500 to X23.500"),
            std::string::npos);
}

TEST(Engrave, WithoutLaserSettingsTheStageSaysWhichIsMissing) {
  const std::string file = photo_jpeg({30, 20});
  testing::RecordingContext context;
  const auto refused = [&](const json& carried) {
    const auto output = run_engrave(file, {{"width_mm", 3}}, context, carried);
    EXPECT_FALSE(output);
    return output ? Error{} : output.error();
  };
  EXPECT_EQ(refused(json::object()).code, Errc::stage_failed);
  const json settings = laser()["laser"];
  for (const auto& [key, value] : settings.items()) {
    json without = laser();
    without["laser"].erase(key);
    EXPECT_NE(refused(without).message.find(key), std::string::npos) << key;
  }
  json impossible = laser();
  impossible["laser"]["feed_mm_per_min"] = -1;
  EXPECT_EQ(refused(impossible).code, Errc::stage_failed);
}

TEST(Engrave, ABadPhotoOrNoneIsNamedByItsPointer) {
  const auto cut = run_engrave(photo_jpeg({300, 200}).substr(0, 3000), {{"width_mm", 30}});
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().field, "/inputs/0");
  const auto fake = run_engrave("no photo", {{"width_mm", 30}});
  ASSERT_FALSE(fake);
  EXPECT_EQ(fake.error().code, Errc::bad_params);

  testing::RecordingContext context;
  const Carried carried{laser(), {}};
  const json params = json::object();
  const auto none = engrave_image_handler()(
      {JobId(1), Attempt(1), "engrave", params, {}, carried, std::nullopt}, context);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().field, "/inputs");
}

TEST(Engrave, TheExamplePictureComesOutOneHundredMillimetresWide) {
  std::ifstream in(TALLYMILL_SOURCE_DIR "/examples/sample.jpg", std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  ASSERT_FALSE(file.empty());
  EXPECT_LE(file.size(), 60U * 1024);
  const auto output = run_engrave(file, json::object());
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->values["width_px"], 1000);
  const double ratio = output->values["burnt_ratio"].get<double>();
  EXPECT_TRUE(ratio > 0.1 && ratio < 0.9) << ratio;
}

TEST(Engrave, TheKindSurvivesTheWireSoThatTheFrontCanCheckIt) {
  const auto back = kind_from_json(to_json(compute::engrave_kind()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->route, (std::vector<std::string>{"compute", "image"}));
}

}  // namespace
}  // namespace tallymill::stages::image
