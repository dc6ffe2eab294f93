// links: tm_collector
// Answers of scrape targets that say they are gzip. Goal: no bytes make it crash or give more than
// the bound.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "collector/gunzip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  const auto text = collector::gunzip({reinterpret_cast<const char*>(data), size}, Bytes(65'536));
  if (text) TM_CHECK(text->size() <= 65'536);
  return 0;
}
