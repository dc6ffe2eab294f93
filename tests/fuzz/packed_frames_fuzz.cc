// links: tm_bus
// Packed frames from anybody. Goal: no bytes make unpack_frames() crash, and those that it takes
// are what pack_frames() makes of the frames.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "bus/packed_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::bus;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (const auto frames = unpack_frames(input)) {
    TM_CHECK(!frames->empty() && frames->size() <= most_frames);
    TM_CHECK(pack_frames(*frames) == input);
  }
  return 0;
}
