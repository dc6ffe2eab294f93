// links: tm_collector
// A block of samples from a disk that lies. Goal: no bytes make unpack_block() read beyond them,
// and what it takes is packed and read again bit for bit.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "collector/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  collector::Column got;
  if (!collector::unpack_block({reinterpret_cast<const char*>(data), size}, got)) {
    TM_CHECK(got.t_ms.empty() && got.value.empty());
    return 0;
  }
  TM_CHECK(got.size() <= limits::block_samples && got.t_ms.size() == got.value.size());
  std::string bytes;
  collector::pack_block(got.t_ms, got.value, bytes);
  collector::Column again;
  TM_CHECK(collector::unpack_block(bytes, again).has_value());
  TM_CHECK(again.t_ms == got.t_ms);
  TM_CHECK(got.size() == 0 ||
           std::memcmp(again.value.data(), got.value.data(), got.size() * sizeof(double)) == 0);
  return 0;
}
