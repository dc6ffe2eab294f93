// rasterize_gcode reads any text: no crash, and what it accepts is a raster that raster_gcode can
// write and that comes back bit for bit. Input: width, height and pixel in one byte each, then the
// program.
// links: tm_stage_compute
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "stages/compute/gcode.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::stages::compute;
  if (size < 3) return 0;
  const int width = data[0] + 1;
  const int height = data[1] + 1;
  const double pixel_mm = (data[2] + 1) / 500.0;
  const auto bits =
      rasterize_gcode({reinterpret_cast<const char*>(data) + 3, size - 3}, width, height, pixel_mm);
  if (!bits) return 0;
  const int stride = (width + 7) / 8;
  TM_CHECK(bits->size() == static_cast<std::size_t>(stride) * static_cast<std::size_t>(height));
  const auto again = raster_gcode({*bits, width, height, stride}, pixel_mm, {});
  TM_CHECK(again);
  const auto back = rasterize_gcode(*again, width, height, pixel_mm);
  TM_CHECK(back && *back == *bits);
  return 0;
}
