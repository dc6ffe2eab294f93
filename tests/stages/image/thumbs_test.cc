// thumbs, from the bytes of a file to the bytes of its pictures. Goal: what comes out is what was
// asked, upright, from one decode, and the job can be followed and stopped. Method: the handler
// itself with a context that remembers; every file is read back.
#include "stages/image/thumbs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/limits.h"
#include "stages/image/chain.h"
#include "tests/stages/image/pictures.h"

namespace tallymill::stages::image {
namespace {

using nlohmann::json;

Result<Output> run_thumbs(std::string_view file, const json& params, Context& context) {
  const Carried nothing;
  const Input input{"photo.jpg", "image/jpeg", file};
  return thumbs_handler()(
      {JobId(1), Attempt(1), "thumbs", params, std::span(&input, 1), nothing, std::nullopt},
      context);
}

Result<Output> run_thumbs(std::string_view file, const json& params) {
  testing::RecordingContext context;
  return run_thumbs(file, params, context);
}

std::string photo_jpeg(Size size) { return *encode_jpeg(testing::photo(size, 3), 90); }

TEST(Thumbs, EachSizeComesOutAsItsNameAndValuesSay) {
  for (const std::string format : {"jpeg", "webp", "png"}) {
    const auto output =
        run_thumbs(photo_jpeg({900, 600}), {{"sizes", {64, 300, 150}}, {"format", format}});
    ASSERT_TRUE(output) << output.error().message;
    ASSERT_EQ(output->files.size(), 3U);
    const Size expected[] = {{64, 43}, {300, 200}, {150, 100}};
    for (std::size_t i = 0; i < 3; ++i) {
      const File& file = output->files[i];
      const auto info = probe(file.bytes);
      ASSERT_TRUE(info) << file.name;
      EXPECT_EQ(info->size, expected[i]);
      EXPECT_EQ(file.media_type, "image/" + format);
      EXPECT_EQ(output->values["files"][i], (json{{"name", file.name},
                                                  {"width", expected[i].width},
                                                  {"height", expected[i].height},
                                                  {"bytes", file.bytes.size()}}));
    }
    EXPECT_TRUE(output->files[1].name.starts_with("thumb-300."));
    EXPECT_EQ(output->values["width"], 900);
  }
}

TEST(Thumbs, APictureMadeFromAnotherIsAsGoodAsOneMadeFromThePhoto) {
  const std::string file = photo_jpeg({1200, 800});
  const auto set = run_thumbs(file, {{"sizes", {800, 300, 100}}, {"format", "png"}});
  ASSERT_TRUE(set);
  for (std::size_t i = 0; i < 3; ++i) {
    const Raster got = *decode(set->files[i].bytes);
    const Raster best = resize(*decode(file), got.size());
    double squares = 0;
    for (std::size_t k = 0; k < got.byte_count(); ++k)
      squares += std::pow(got.bytes()[k] - best.bytes()[k], 2);
    const double psnr =
        10 * std::log10(255.0 * 255 * static_cast<double>(got.byte_count()) / squares);
    EXPECT_GT(psnr, 38) << got.width();
  }
}

// The upper left quarter of the upright picture is red, whatever the file's orientation.
TEST(Thumbs, AllEightOrientationsStandUpright) {
  Raster upright = testing::flat({160, 96}, {40, 40, 40});
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 80; ++x) upright.row(y)[x * 3] = 250;
  const int inverse[] = {1, 2, 3, 4, 5, 8, 7, 6};  // how to store it, so that the value undoes it
  for (int value = 1; value <= 8; ++value) {
    Raster copy(upright.size(), 3);
    std::ranges::copy(upright.bytes(), copy.bytes().begin());
    const Raster stored = orient(std::move(copy), inverse[value - 1]);
    const std::string file = testing::with_exif(*encode_jpeg(stored, 95), value);
    const auto output = run_thumbs(file, {{"sizes", {80}}, {"format", "png"}});
    ASSERT_TRUE(output);
    const Raster thumb = *decode(output->files[0].bytes);
    ASSERT_EQ(thumb.size(), (Size{80, 48})) << value;
    EXPECT_EQ(output->values["orientation"], value);
    EXPECT_EQ(output->values["width"], 160);
    EXPECT_GT(thumb.row(12)[20 * 3], 200) << value;
    EXPECT_LT(thumb.row(12)[60 * 3], 90) << value;
    EXPECT_LT(thumb.row(36)[20 * 3], 90) << value;
    EXPECT_LT(thumb.row(36)[60 * 3], 90) << value;
  }
}

TEST(Thumbs, NothingIsEnlarged) {
  const auto output = run_thumbs(photo_jpeg({90, 60}), {{"sizes", {800}}});
  ASSERT_TRUE(output);
  EXPECT_EQ(probe(output->files[0].bytes)->size, (Size{90, 60}));
}

TEST(Thumbs, AGrayPhotoStaysGray) {
  const auto output = run_thumbs(*encode_png(testing::photo({90, 60}, 1)), {{"sizes", {30}}});
  ASSERT_TRUE(output);
  EXPECT_EQ(probe(output->files[0].bytes)->channels, 1);
}

TEST(Thumbs, TwoRunsGiveTheSameBytes) {
  const std::string file = photo_jpeg({700, 500});
  for (const std::string format : {"jpeg", "webp", "png"}) {
    const auto first = run_thumbs(file, {{"format", format}});
    const auto second = run_thumbs(file, {{"format", format}});
    ASSERT_TRUE(first && second);
    for (std::size_t i = 0; i < first->files.size(); ++i)
      EXPECT_EQ(first->files[i].bytes, second->files[i].bytes);
    EXPECT_EQ(first->values, second->values);
  }
}

TEST(Thumbs, ProgressOnlyRisesAndEndsAtOneAndEverySpanIsClosed) {
  testing::RecordingContext context;
  ASSERT_TRUE(run_thumbs(photo_jpeg({900, 600}), {{"sizes", {64, 300}}}, context));
  EXPECT_FALSE(context.falling);
  EXPECT_DOUBLE_EQ(context.reached, 1);
  EXPECT_EQ(context.open_spans, 0);
  for (const char* name : {"decode", "resize", "encode"})
    EXPECT_TRUE(std::ranges::count(context.spans, name) > 0) << name;
}

TEST(Thumbs, ACancelledJobStopsWhereverItIs) {
  const std::string file = photo_jpeg({900, 600});
  testing::RecordingContext whole;
  ASSERT_TRUE(run_thumbs(file, {{"sizes", {64, 300}}}, whole));
  ASSERT_GT(whole.asked, 2);
  for (int after = 0; after < whole.asked; ++after) {
    testing::RecordingContext context;
    context.cancel_after = after;
    const auto output = run_thumbs(file, {{"sizes", {64, 300}}}, context);
    ASSERT_FALSE(output) << after;
    EXPECT_EQ(output.error().code, Errc::cancelled) << after;
    EXPECT_EQ(context.open_spans, 0) << after;
  }
}

TEST(Thumbs, ALargePictureGoesThroughInStripsAndComesOutTheSame) {
  // Over the strip limit: 3 strips.
  const Size size{6000, 4500};
  const Raster picture = testing::flat(size, {60, 120, 180});
  testing::RecordingContext context;
  const auto output =
      run_thumbs(*encode_png(picture), {{"sizes", {100}}, {"format", "png"}}, context);
  ASSERT_TRUE(output);
  EXPECT_GE(std::ranges::count(context.spans, "decode"), 3);
  const Raster thumb = *decode(output->files[0].bytes);
  EXPECT_EQ(thumb.size(), (Size{100, 75}));
  EXPECT_EQ(thumb.row(74)[299], 180);
}

TEST(Thumbs, BadParametersAreNamedByTheirPointer) {
  const std::string file = photo_jpeg({90, 60});
  const std::pair<json, const char*> cases[] = {
      {{{"sizes", {0}}}, "/sizes/0"},
      {{{"sizes", {10, limits::max_thumb_side + 1}}}, "/sizes/1"},
      {{{"sizes", {10, 20, 10}}}, "/sizes/2"},
      {{{"sizes", json::array()}}, "/sizes"},
      {{{"sizes", std::vector<int>(limits::max_thumb_sizes + 1, 5)}}, "/sizes"},
      {{{"format", "gif"}}, "/format"},
      {{{"quality", 0}}, "/quality"},
      {{{"quality", 101}}, "/quality"},
  };
  for (const auto& [params, pointer] : cases) {
    const auto output = run_thumbs(file, params);
    ASSERT_FALSE(output) << pointer;
    EXPECT_EQ(output.error().code, Errc::bad_params);
    EXPECT_EQ(output.error().field, pointer);
  }
}

TEST(Thumbs, ABadFileOrNoneIsNamedByItsPointer) {
  const auto fake = run_thumbs("\xff\xd8\xff not a photo", json::object());
  ASSERT_FALSE(fake);
  EXPECT_EQ(fake.error().field, "/inputs/0");
  const std::string good = photo_jpeg({900, 600});
  const auto cut = run_thumbs(std::string_view(good).substr(0, good.size() / 2), json::object());
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Errc::bad_params);
  EXPECT_EQ(cut.error().field, "/inputs/0");

  testing::RecordingContext context;
  const Carried nothing;
  const json params = json::object();
  const auto none = thumbs_handler()(
      {JobId(1), Attempt(1), "thumbs", params, {}, nothing, std::nullopt}, context);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().field, "/inputs");
}

TEST(Thumbs, TheKindSurvivesTheWireSoThatTheFrontCanCheckIt) {
  const auto back = kind_from_json(to_json(thumbs_kind()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->route, std::vector<std::string>{"image"});
  EXPECT_EQ(check_params(*back, json::object())->at("sizes"), (json{200, 800, 1600}));
}

}  // namespace
}  // namespace tallymill::stages::image
