#include "stages/image/engrave.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/limits.h"
#include "stages/compute/engrave_kind.h"
#include "stages/compute/gcode.h"
#include "stages/compute/laser.h"
#include "stages/image/chain.h"
#include "stages/image/dither.h"

namespace tallymill::stages::image {
namespace {

using nlohmann::json;

constexpr double mm_per_inch = 25.4;
constexpr int preview_side = 480;
constexpr int preview_quality = 75;
constexpr double sharpen_sigma = 1.0;  // pixels: the finest detail that dots can still show

// How far the job is after each step, by the time they take on a 24 MP photo.
constexpr double after_decode = 0.7, after_tone = 0.75, after_dither = 0.85, after_png = 0.9;

std::unexpected<Error> was_cancelled() { return fail(Errc::cancelled, "cancelled"); }

Result<compute::LaserSettings> laser_of(const json& values) {
  const auto found = values.find("laser");
  if (found == values.end())
    return fail(Errc::stage_failed, "engrave: the compute stage brought no laser settings");
  auto laser = compute::laser_settings_from_json(*found);
  if (!laser)
    return fail(Errc::stage_failed, fmt::format("engrave: the compute stage brought laser settings "
                                                "of which {}",
                                                laser.error().message));
  return laser;
}

// The dots of an engraving of a photo of shape `upright`.
Result<Size> size_in_dots(const json& params, Size upright) {
  const double width_mm = params.at("width_mm").get<double>();
  const double given_height_mm = params.at("height_mm").get<double>();
  const double height_mm =
      given_height_mm > 0 ? given_height_mm : width_mm * upright.height / upright.width;
  const double dots_per_mm = params.at("dpi").get<double>() / mm_per_inch;
  const double width = std::round(width_mm * dots_per_mm);
  const double height = std::round(height_mm * dots_per_mm);
  if (width < 1 || height < 1)
    return fail(Errc::bad_params,
                fmt::format("{:.2f} x {:.2f} mm is less than one dot", width_mm, height_mm),
                "/width_mm");
  if (width > limits::max_engrave_side || height > limits::max_engrave_side ||
      width * height > static_cast<double>(limits::max_engrave_dots))
    return fail(Errc::bad_params,
                fmt::format("{:.0f} x {:.0f} dots are over the limit of {} dots, {} a side: a "
                            "smaller engraving or fewer dpi",
                            width, height, limits::max_engrave_dots, limits::max_engrave_side),
                "/width_mm");
  return Size{static_cast<int>(width), static_cast<int>(height)};
}

// Tone and sharpness, in place.
Status prepare(Raster& gray, const json& params, Context& context) {
  {
    const Span span(context, "tone");
    map_tones(tone_curve({params.at("gamma").get<double>(), params.at("contrast").get<double>(),
                          params.at("brightness").get<double>(), params.at("invert").get<bool>()}),
              gray);
  }
  const Span span(context, "sharpen");
  return unsharp(gray, sharpen_sigma, params.at("sharpen").get<double>());
}

Result<File> make_preview(const Raster& gray, Context& context) {
  const Span span(context, "preview");
  const Size size = fit(gray.size(), preview_side);
  auto encoded = encode_jpeg(resize(gray, size), preview_quality);
  if (!encoded) return std::unexpected(std::move(encoded).error());
  File file{"preview.jpg", "image/jpeg", std::move(*encoded)};
  context.preview(file);
  return file;
}

Result<std::string> make_gcode(const BitRaster& dots, double pixel_mm,
                               const compute::LaserSettings& laser, Context& context) {
  const Span span(context, "gcode");
  return compute::raster_gcode(
      {dots.bits, dots.size.width, dots.size.height, static_cast<int>(dots.stride)}, pixel_mm,
      laser);
}

std::int64_t count_burnt(const BitRaster& dots) {
  std::int64_t count = 0;
  for (const std::uint8_t byte : dots.bits) count += std::popcount(byte);
  return count;
}

// 0.1, not 0.09999999999999999: to the nearest 1e-9 mm.
double readable_mm(double mm) { return std::round(mm * 1e9) / 1e9; }

Result<Output> run(const Job& job, Context& context) {
  const auto checked = check_params(compute::engrave_kind(), job.params);
  if (!checked) return std::unexpected(checked.error());
  const json& params = *checked;
  const auto laser = laser_of(job.carried.values);
  if (!laser) return std::unexpected(laser.error());
  if (job.inputs.size() != 1) return fail(Errc::bad_params, "engrave takes one photo", "/inputs");
  const std::string_view bytes = job.inputs[0].bytes;
  const auto info = probe(bytes);
  if (!info) return std::unexpected(info.error());
  const auto size = size_in_dots(params, oriented(info->size, info->orientation));
  if (!size) return std::unexpected(size.error());

  auto pictures = decode_to_sizes(bytes, *info, true, std::span(&*size, 1), context, after_decode);
  if (!pictures) return std::unexpected(std::move(pictures).error());
  Raster gray = std::move(pictures->front());
  if (Status ready = prepare(gray, params, context); !ready) return std::unexpected(ready.error());
  auto preview = make_preview(gray, context);
  if (!preview) return std::unexpected(std::move(preview).error());
  context.progress(after_tone);
  if (context.cancelled()) return was_cancelled();

  const BitRaster dots = [&] {
    const Span span(context, "dither");
    return dither(gray);
  }();
  gray = Raster();
  context.progress(after_dither);
  if (context.cancelled()) return was_cancelled();

  const double dpi = params.at("dpi").get<double>();
  const double pixel_mm = mm_per_inch / dpi;
  auto png = [&] {
    const Span span(context, "encode");
    return encode_png(dots, 1 / pixel_mm);
  }();
  if (!png) return std::unexpected(std::move(png).error());
  context.progress(after_png);
  if (context.cancelled()) return was_cancelled();
  auto gcode = make_gcode(dots, pixel_mm, *laser, context);
  if (!gcode) return std::unexpected(std::move(gcode).error());
  context.progress(1);

  Output output;
  output.values = job.carried.values;
  const std::int64_t burnt = count_burnt(dots);
  output.values.update(
      {{"width_px", size->width},
       {"height_px", size->height},
       {"width_mm", readable_mm(size->width * pixel_mm)},
       {"height_mm", readable_mm(size->height * pixel_mm)},
       {"dpi", dpi},
       {"pixel_mm", readable_mm(pixel_mm)},
       {"burnt_dots", burnt},
       {"burnt_ratio", static_cast<double>(burnt) / static_cast<double>(size->pixels())},
       {"gcode_bytes", gcode->size()}});
  output.files.push_back({"engraving.png", "image/png", std::move(*png)});
  output.files.push_back(std::move(*preview));
  output.files.push_back({"engraving.gcode", "text/x-gcode", std::move(*gcode)});
  return output;
}

}  // namespace

Handler engrave_image_handler() { return run; }

}  // namespace tallymill::stages::image
