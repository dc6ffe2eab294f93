// Finds the EXIF block of a file and reads one tag of it:
//   1. the container is walked chunk by chunk (JPEG segments, PNG chunks, RIFF chunks); every
//      length is held against what is left;
//   2. the block is a small TIFF file: byte order, offset of the first directory, entries of 12
//      bytes; the one with tag 0x0112 holds the orientation.
// Whatever does not fit ends the search: a damaged EXIF block never spoils a good picture.
#include <optional>

#include "stages/image/codec_parts.h"

namespace tallymill::stages::image {
namespace {

using namespace std::string_view_literals;

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

// Reads 2 or 4 bytes. Nothing past the end.
std::optional<std::uint32_t> number(std::string_view bytes, std::size_t at, std::size_t length,
                                    bool little) {
  if (at > bytes.size() || bytes.size() - at < length) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < length; ++i)
    value = value << 8 | byte_at(bytes, little ? at + length - 1 - i : at + i);
  return value;
}

int orientation_in_tiff(std::string_view tiff) {
  constexpr std::uint32_t orientation_tag = 0x0112;
  const bool little = tiff.starts_with("II*\0"sv);
  if (!little && !tiff.starts_with("MM\0*"sv)) return 1;
  const auto directory = number(tiff, 4, 4, little);
  if (!directory) return 1;
  const auto entries = number(tiff, *directory, 2, little);
  for (std::size_t i = 0; entries && i < *entries; ++i) {
    const std::size_t entry = std::size_t{*directory} + 2 + 12 * i;
    const auto tag = number(tiff, entry, 2, little);
    if (!tag) return 1;
    if (*tag != orientation_tag) continue;
    const auto value = number(tiff, entry + 8, 2, little);
    return value && *value >= 1 && *value <= 8 ? static_cast<int>(*value) : 1;
  }
  return 1;
}

std::string_view exif_of_jpeg(std::string_view bytes) {
  std::size_t at = 2;
  while (bytes.size() - at >= 4 && byte_at(bytes, at) == 0xff) {
    const std::uint32_t marker = byte_at(bytes, at + 1);
    if (marker == 0xff) {  // padding before a marker
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // the picture itself
    const std::size_t length = byte_at(bytes, at + 2) << 8 | byte_at(bytes, at + 3);
    if (length < 2 || length > bytes.size() - at - 2) break;
    const std::string_view body = bytes.substr(at + 4, length - 2);
    if (marker == 0xe1 && body.starts_with("Exif\0\0"sv)) return body.substr(6);
    at += 2 + length;
  }
  return {};
}

std::string_view exif_of_png(std::string_view bytes) {
  std::size_t at = 8;
  while (const auto length = number(bytes, at, 4, false)) {
    const std::size_t left = bytes.size() - at;
    if (left < 12 || *length > left - 12) break;
    const std::string_view type = bytes.substr(at + 4, 4);
    if (type == "eXIf"sv) return bytes.substr(at + 8, *length);
    if (type == "IEND"sv) break;
    at += std::size_t{12} + *length;
  }
  return {};
}

std::string_view exif_of_webp(std::string_view bytes) {
  std::size_t at = 12;
  while (const auto length = number(bytes, at + 4, 4, true)) {
    if (*length > bytes.size() - at - 8) break;
    if (bytes.substr(at, 4) == "EXIF"sv) {
      const std::string_view body = bytes.substr(at + 8, *length);
      return body.starts_with("Exif\0\0"sv) ? body.substr(6) : body;
    }
    at += std::size_t{8} + *length + (*length & 1);
  }
  return {};
}

}  // namespace

int exif_orientation(std::string_view bytes, Format format) {
  switch (format) {
    case Format::jpeg:
      return orientation_in_tiff(exif_of_jpeg(bytes));
    case Format::png:
      return orientation_in_tiff(exif_of_png(bytes));
    case Format::webp:
      return orientation_in_tiff(exif_of_webp(bytes));
  }
  std::unreachable();
}

}  // namespace tallymill::stages::image
