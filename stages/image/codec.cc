#include "stages/image/codec.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "stages/image/codec_parts.h"

namespace tallymill::stages::image {
namespace {

Status check_limits(const ImageInfo& info) {
  if (info.size.width < 1 || info.size.height < 1)
    return bad_picture(
        fmt::format("the picture has no pixels: {} x {}", info.size.width, info.size.height));
  if (info.size.width > limits::max_image_side || info.size.height > limits::max_image_side ||
      info.size.pixels() > limits::max_image_pixels)
    return fail(Errc::too_big,
                fmt::format("a picture of {} x {} is over the limit of {} pixels, {} a side",
                            info.size.width, info.size.height, limits::max_image_pixels,
                            limits::max_image_side),
                "/inputs/0");
  return {};
}

// Rec. 601 in 16 bits, rounded; the weights sum to 65536, so that gray stays what it was.
std::uint8_t luma(std::uint32_t r, std::uint32_t g, std::uint32_t b) {
  return static_cast<std::uint8_t>((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
}

std::uint8_t on_white(std::uint32_t value, std::uint32_t alpha) {
  const std::uint32_t sum = value * alpha + 255 * (255 - alpha) + 127;
  return static_cast<std::uint8_t>(sum / 255);
}

}  // namespace

Result<ImageInfo> probe(std::string_view untrusted_bytes) {
  using namespace std::string_view_literals;
  if (untrusted_bytes.empty()) return bad_picture("the file is empty");
  if (untrusted_bytes.size() > static_cast<std::size_t>(limits::max_image_bytes.raw()))
    return fail(Errc::too_big,
                fmt::format("a file of {} bytes is over the limit of {}", untrusted_bytes.size(),
                            limits::max_image_bytes.raw()),
                "/inputs/0");
  Result<ImageInfo> info = bad_picture("the file is neither JPEG nor PNG nor WebP");
  if (untrusted_bytes.starts_with("\xff\xd8\xff"sv))
    info = probe_jpeg(untrusted_bytes);
  else if (untrusted_bytes.starts_with("\x89PNG\r\n\x1a\n"sv))
    info = probe_png(untrusted_bytes);
  else if (untrusted_bytes.size() >= 12 && untrusted_bytes.starts_with("RIFF"sv) &&
           untrusted_bytes.substr(8, 4) == "WEBP"sv)
    info = probe_webp(untrusted_bytes);
  if (!info) return info;
  if (const Status within = check_limits(*info); !within) return std::unexpected(within.error());
  info->orientation = exif_orientation(untrusted_bytes, info->format);
  return info;
}

Result<std::unique_ptr<Reader>> open(std::string_view bytes, const ImageInfo& info,
                                     const ReadOptions& options) {
  switch (info.format) {
    case Format::jpeg:
      return open_jpeg(bytes, options);
    case Format::png:
      return open_png(bytes, options);
    case Format::webp:
      return open_webp(bytes, info, options);
  }
  std::unreachable();
}

Result<Raster> decode(std::string_view untrusted_bytes, const ReadOptions& options) {
  auto info = probe(untrusted_bytes);
  if (!info) return std::unexpected(std::move(info).error());
  auto reader = open(untrusted_bytes, *info, options);
  if (!reader) return std::unexpected(std::move(reader).error());
  Raster picture((*reader)->size(), (*reader)->channels());
  if (Status read = (*reader)->read(picture.row(0), picture.height()); !read)
    return std::unexpected(std::move(read).error());
  return picture;
}

std::string_view media_type(Format format) {
  switch (format) {
    case Format::jpeg:
      return "image/jpeg";
    case Format::png:
      return "image/png";
    case Format::webp:
      return "image/webp";
  }
  std::unreachable();
}

std::string_view extension(Format format) {
  switch (format) {
    case Format::jpeg:
      return "jpg";
    case Format::png:
      return "png";
    case Format::webp:
      return "webp";
  }
  std::unreachable();
}

void flatten_row(const std::uint8_t* in, int channels, std::uint8_t* out, int out_channels,
                 int width) {
  const bool has_alpha = channels == 2 || channels == 4;
  const bool colour = channels >= 3;
  for (int x = 0; x < width; ++x, in += channels, out += out_channels) {
    const std::uint8_t alpha = has_alpha ? in[channels - 1] : std::uint8_t{255};
    std::uint8_t r = in[0], g = colour ? in[1] : r, b = colour ? in[2] : r;
    if (has_alpha) r = on_white(r, alpha), g = on_white(g, alpha), b = on_white(b, alpha);
    if (out_channels == 1) {
      out[0] = colour ? luma(r, g, b) : r;
    } else {
      out[0] = r, out[1] = g, out[2] = b;
    }
  }
}

}  // namespace tallymill::stages::image
