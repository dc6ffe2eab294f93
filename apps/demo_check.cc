// tallymill-demo-check: whether an engraving is what its photo and parameters say.
//
//   tallymill-demo-check engraving PHOTO FOLDER PARAMS_JSON
//   tallymill-demo-check sizes FILE...      each decoded to its last row: [{size, why}]
//
// 1. Photo to gray by the stage's own functions, at the size that the millimetres and dpi ask for.
// 2. Dots by a plain loop of Floyd-Steinberg, written here a second time from the arithmetic in
//    stages/image/dither.h; FOLDER/engraving.png must have the same ones.
// 3. FOLDER/engraving.gcode run on a paper machine must burn those dots and no others.
//
// Says what it compared, as JSON; exit 1 with a sentence when something differs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/exit_codes.h"
#include "base/schema.h"
#include "stages/compute/engrave_kind.h"
#include "stages/compute/gcode.h"
#include "stages/image/chain.h"
#include "stages/image/codec.h"
#include "stages/image/ops.h"

namespace tallymill::apps {
namespace {

using nlohmann::json;
using stages::image::Raster;
using stages::image::Size;

using Dots = std::vector<std::vector<bool>>;  // true: dark, burnt

// Nobody listens: a check has no progress to report.
class QuietContext final : public stages::Context {
 public:
  void progress(double) override {}
  void preview(stages::File) override {}
  [[nodiscard]] bool cancelled() const override { return false; }
  void span_begin(std::string_view) override {}
  void span_end() override {}
};

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in && bytes.empty()) return fail(Errc::disk, "cannot read " + path);
  return bytes;
}

Result<Raster> gray_of(const std::string& photo, const json& params) {
  const auto info = stages::image::probe(photo);
  if (!info) return std::unexpected(info.error());
  const Size upright = stages::image::oriented(info->size, info->orientation);
  const auto number = [&](const char* name) { return params.at(name).get<double>(); };
  const double width_mm = number("width_mm");
  const double height_mm =
      number("height_mm") > 0 ? number("height_mm") : width_mm * upright.height / upright.width;
  const auto dots = [&](double mm) {
    return static_cast<int>(std::lround(mm / 25.4 * number("dpi")));
  };
  const Size size{dots(width_mm), dots(height_mm)};
  QuietContext context;
  auto pictures =
      stages::image::decode_to_sizes(photo, *info, true, std::span(&size, 1), context, 1);
  if (!pictures) return std::unexpected(std::move(pictures).error());
  Raster gray = std::move(pictures->front());
  stages::image::map_tones(
      stages::image::tone_curve({number("gamma"), number("contrast"), number("brightness"),
                                 params.at("invert").get<bool>()}),
      gray);
  if (Status sharp = stages::image::unsharp(gray, 1, number("sharpen")); !sharp)
    return std::unexpected(sharp.error());
  return gray;
}

// Errors are pushed on to neighbours, where dither.h gathers them: the same sums by another loop.
Dots floyd_steinberg(const Raster& gray) {
  const int width = gray.width(), height = gray.height();
  Dots dots(static_cast<std::size_t>(height), std::vector<bool>(static_cast<std::size_t>(width)));
  // One cell of margin on each side takes what falls outside of the picture.
  std::vector<int> here(static_cast<std::size_t>(width) + 2), below(here.size());
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto at = static_cast<std::size_t>(x) + 1;
      const int value = std::clamp(gray.row(y)[x] + here[at] / 16, 0, 255);
      const bool white = value > 128;
      dots[static_cast<std::size_t>(y)][at - 1] = !white;
      const int error = value - (white ? 255 : 0);
      here[at + 1] += 7 * error;
      below[at - 1] += 3 * error;
      below[at] += 5 * error;
      below[at + 1] += error;
    }
    std::swap(here, below);
    std::ranges::fill(below, 0);
  }
  return dots;
}

// Where two sets of dots differ, as a sentence; nothing when they do not.
template <typename At>
std::optional<std::string> difference(const Dots& wanted, const std::string& what, At&& burnt_at) {
  std::int64_t wrong = 0;
  std::string first;
  for (std::size_t y = 0; y < wanted.size(); ++y)
    for (std::size_t x = 0; x < wanted[y].size(); ++x) {
      if (burnt_at(x, y) == wanted[y][x]) continue;
      if (wrong++ == 0) first = fmt::format("column {}, row {}", x, y);
    }
  if (wrong == 0) return std::nullopt;
  return fmt::format("{}: {} dots are not those of the reference, the first at {}", what, wrong,
                     first);
}

struct Engraving {
  std::string photo, png, gcode;
  json params;
};

Result<Engraving> load(const std::string& photo_path, const std::string& folder,
                       const std::string& given) {
  Engraving out;
  const json parsed = json::parse(given, nullptr, false);
  if (parsed.is_discarded()) return fail(Errc::bad_params, "the parameters are not JSON");
  auto params = check_params(stages::compute::engrave_kind(), parsed);
  if (!params) return std::unexpected(std::move(params).error());
  out.params = std::move(*params);
  for (const auto& [path, bytes] : {std::pair{photo_path, &out.photo},
                                    {folder + "/engraving.png", &out.png},
                                    {folder + "/engraving.gcode", &out.gcode}}) {
    auto file = read_file(path);
    if (!file) return std::unexpected(std::move(file).error());
    *bytes = std::move(*file);
  }
  return out;
}

std::optional<std::string> wrong_png(const Dots& wanted, Size size, const std::string& png) {
  const auto shown = stages::image::decode(png);
  if (!shown) return "engraving.png: " + shown.error().message;
  if (shown->size() != size)
    return fmt::format("engraving.png: {} x {} dots, {} x {} are asked for", shown->width(),
                       shown->height(), size.width, size.height);
  const auto channels = static_cast<std::size_t>(shown->channels());
  return difference(wanted, "engraving.png", [&](std::size_t x, std::size_t y) {
    return shown->row(static_cast<int>(y))[x * channels] == 0;
  });
}

std::optional<std::string> wrong_gcode(const Dots& wanted, Size size, double pixel_mm,
                                       const std::string& gcode) {
  const auto burnt = stages::compute::rasterize_gcode(gcode, size.width, size.height, pixel_mm);
  if (!burnt) return "engraving.gcode: " + burnt.error().message;
  const std::size_t stride = (static_cast<std::size_t>(size.width) + 7) / 8;
  return difference(wanted, "engraving.gcode", [&](std::size_t x, std::size_t y) {
    return ((*burnt)[y * stride + x / 8] >> (7 - x % 8) & 1) != 0;
  });
}

Result<json> check(const Engraving& engraving) {
  const auto gray = gray_of(engraving.photo, engraving.params);
  if (!gray) return std::unexpected(gray.error());
  const Dots wanted = floyd_steinberg(*gray);
  std::int64_t dark = 0;
  for (const auto& row : wanted) dark += std::ranges::count(row, true);
  json report{{"burnt_dots", dark}};
  const double pixel_mm = 25.4 / engraving.params.at("dpi").get<double>();
  for (const auto& wrong : {wrong_png(wanted, gray->size(), engraving.png),
                            wrong_gcode(wanted, gray->size(), pixel_mm, engraving.gcode)})
    if (wrong) report["wrong"].push_back(*wrong);
  return report;
}

// The size in which a picture stands upright; null with the reason for one that does not decode.
json size_of(const std::string& path) {
  const auto wrong = [](const Error& error) {
    return json{{"size", nullptr}, {"why", error.message}};
  };
  const auto file = read_file(path);
  if (!file) return wrong(file.error());
  const auto info = stages::image::probe(*file);
  if (!info) return wrong(info.error());
  const auto picture = stages::image::decode(*file);
  if (!picture) return wrong(picture.error());
  const Size upright = stages::image::oriented(picture->size(), info->orientation);
  return {{"size", {upright.width, upright.height}}, {"orientation", info->orientation}};
}

int say_sizes(const std::vector<std::string>& paths) {
  json sizes = json::array();
  for (const std::string& path : paths) sizes.push_back(size_of(path));
  // A reason may name a file, and names need not be UTF-8.
  fmt::print("{}\n", sizes.dump(-1, ' ', false, json::error_handler_t::replace));
  return 0;
}

int run(const std::vector<std::string>& words) {
  if (!words.empty() && words[0] == "sizes") return say_sizes({words.begin() + 1, words.end()});
  if (words.size() != 4 || words[0] != "engraving") {
    fmt::print(stderr,
               "usage: tallymill-demo-check engraving PHOTO FOLDER PARAMS_JSON\n"
               "       tallymill-demo-check sizes FILE...\n");
    return exit_usage;
  }
  const auto engraving = load(words[1], words[2], words[3]);
  const auto report = engraving ? check(*engraving) : std::unexpected(engraving.error());
  if (!report) {
    fmt::print(stderr, "tallymill-demo-check: {}\n", report.error().message);
    return exit_cannot_run;
  }
  fmt::print("{}\n", report->dump());
  return report->contains("wrong") ? exit_negative : 0;
}

}  // namespace
}  // namespace tallymill::apps

int main(int argc, char** argv) { return tallymill::apps::run({argv + 1, argv + argc}); }
