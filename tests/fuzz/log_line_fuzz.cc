// What lies in the log folder may be anything: a line is taken whole or not at all, what is printed
// of it is one line without control characters, and passed on it stays the same.
// links: tm_base
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "base/log_line.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  const auto line = log::parse_line({reinterpret_cast<const char*>(data), size});
  if (!line) return 0;
  for (const std::string& text :
       {log::as_json(*line), log::as_logfmt(*line), log::as_console(*line)}) {
    TM_CHECK(text.size() < limits::child_line_bytes);
    TM_CHECK(std::ranges::none_of(
        text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
    for (std::size_t at = 0; (at = text.find('\xc2', at)) != std::string::npos; ++at)
      TM_CHECK(static_cast<unsigned char>(text[at + 1]) >= 0xa0);
  }
  const std::string once = log::as_json(*line);
  const auto again = log::parse_line(once);
  TM_CHECK(again.has_value());
  TM_CHECK(log::time_stamp(log::time_of(line->ts)).size() == line->ts.size());
  return 0;
}
