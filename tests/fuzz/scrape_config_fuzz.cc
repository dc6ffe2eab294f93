// links: tm_collector
// Files of scrape targets. Goal: no bytes make the reader crash; what is refused says where; what
// is taken is read back the same from its own text.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "collector/scrape_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::collector;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto jobs = parse_scrape_config(input, "f");
  if (!jobs) {
    TM_CHECK(jobs.error().message.starts_with("f:"));
    return 0;
  }
  const std::string text = text_of(*jobs);
  // An emitter writes what is not UTF-8 as something else.
  if (!tallymill::is_utf8(input)) return 0;
  const auto again = parse_scrape_config(text, "f");
  TM_CHECK(again.has_value());
  TM_CHECK(text_of(*again) == text);
  return 0;
}
