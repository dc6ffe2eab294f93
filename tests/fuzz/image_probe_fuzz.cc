// Any bytes as an image file: probe, and decode when the header says that it is small. Finds reads
// beyond the end, jumps past destructors, and pictures whose rows are not what the header promised.
// links: tm_stage_image
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/limits.h"
#include "stages/image/codec.h"
#include "stages/image/ops.h"

using namespace tallymill;
using namespace tallymill::stages::image;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto info = probe(bytes);
  if (!info) return 0;
  if (info->size.width < 1 || info->size.width > limits::max_image_side || info->size.height < 1 ||
      info->size.pixels() > limits::max_image_pixels || info->orientation < 1 ||
      info->orientation > 8)
    std::abort();
  constexpr std::int64_t small = 256 * 256;  // larger ones only cost time
  if (info->size.pixels() > small) return 0;

  ReadOptions options;
  options.gray = size % 2 != 0;
  if (size % 3 == 0) options.at_least = {info->size.width / 4, info->size.height / 4};
  const auto reader = open(bytes, *info, options);
  if (!reader) return 0;
  Raster picture((*reader)->size(), (*reader)->channels());
  const int half = picture.height() / 2;
  if (half > 0 && !(*reader)->read(picture.row(0), half)) return 0;
  if (!(*reader)->read(picture.row(half), picture.height() - half)) return 0;
  const Raster upright = orient(std::move(picture), info->orientation);
  static_cast<void>(resize(upright, fit(upright.size(), 16)));
  return 0;
}
