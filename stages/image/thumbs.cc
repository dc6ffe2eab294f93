#include "stages/image/thumbs.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "stages/image/chain.h"

namespace tallymill::stages::image {
namespace {

constexpr double decode_share = 0.7;  // of the job, for its progress

Format format_named(std::string_view name) {
  return name == "png" ? Format::png : name == "webp" ? Format::webp : Format::jpeg;
}

Result<std::string> encode(const Raster& picture, Format format, int quality) {
  switch (format) {
    case Format::jpeg:
      return encode_jpeg(picture, quality);
    case Format::png:
      return encode_png(picture);
    case Format::webp:
      return encode_webp(picture, quality);
  }
  std::unreachable();
}

// Two files of one name would be one file at the client.
Status check_distinct(const std::vector<int>& sizes) {
  for (std::size_t i = 0; i < sizes.size(); ++i)
    if (std::find(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(i), sizes[i]) !=
        sizes.begin() + static_cast<std::ptrdiff_t>(i))
      return fail(Errc::bad_params, fmt::format("sizes: {} is there twice", sizes[i]),
                  fmt::format("/sizes/{}", i));
  return {};
}

Result<Output> run(const Job& job, Context& context) {
  auto params = check_params(thumbs_kind(), job.params);
  if (!params) return std::unexpected(std::move(params).error());
  const auto longest = params->at("sizes").get<std::vector<int>>();
  const Format format = format_named(params->at("format").get<std::string>());
  const int quality = params->at("quality").get<int>();
  if (Status distinct = check_distinct(longest); !distinct)
    return std::unexpected(std::move(distinct).error());
  if (job.inputs.size() != 1) return fail(Errc::bad_params, "thumbs takes one file", "/inputs");

  const std::string_view bytes = job.inputs[0].bytes;
  const auto info = probe(bytes);
  if (!info) return std::unexpected(info.error());
  const Size upright = oriented(info->size, info->orientation);
  std::vector<Size> sizes;
  for (const int side : longest) sizes.push_back(fit(upright, side));
  auto pictures = decode_to_sizes(bytes, *info, false, sizes, context, decode_share);
  if (!pictures) return std::unexpected(std::move(pictures).error());

  Output output;
  output.values = {{"width", upright.width},
                   {"height", upright.height},
                   {"orientation", info->orientation},
                   {"files", nlohmann::json::array()}};
  for (std::size_t i = 0; i < pictures->size(); ++i) {
    if (context.cancelled()) return fail(Errc::cancelled, "cancelled");
    const Span span(context, "encode");
    auto encoded = encode((*pictures)[i], format, quality);
    if (!encoded) return std::unexpected(std::move(encoded).error());
    std::string name = fmt::format("thumb-{}.{}", longest[i], extension(format));
    output.values["files"].push_back({{"name", name},
                                      {"width", sizes[i].width},
                                      {"height", sizes[i].height},
                                      {"bytes", encoded->size()}});
    output.files.push_back({std::move(name), std::string(media_type(format)), std::move(*encoded)});
    context.progress(decode_share + (1 - decode_share) * static_cast<double>(i + 1) /
                                        static_cast<double>(pictures->size()));
  }
  return output;
}

}  // namespace

KindSpec thumbs_kind() {
  using Type = ParamSpec::Type;
  return {
      .name = "thumbs",
      .route = {"image"},
      .help = "Smaller pictures of a photo, several sizes from one decode.",
      .params =
          {
              {.name = "sizes",
               .type = Type::list,
               .help = "The longest side of each picture; none is larger than the photo.",
               .unit = "px",
               .fallback = nlohmann::json::array({200, 800, 1600}),
               .min = 1,
               .max = limits::max_thumb_sizes,
               .item_min = 1,
               .item_max = limits::max_thumb_side},
              {.name = "format",
               .type = Type::choice,
               .help = "File format of the pictures.",
               .fallback = "jpeg",
               .choices = {"jpeg", "webp", "png"}},
              {.name = "quality",
               .type = Type::integer,
               .help = "Of JPEG and WebP; more is nearer to the photo and larger.",
               .fallback = 80,
               .min = 1,
               .max = 100},
          },
      .inputs_min = 1,
      .inputs_max = 1,
  };
}

Handler thumbs_handler() { return run; }

}  // namespace tallymill::stages::image
