// links: tm_collector
// What a front answers that is asked for waterfalls. Goal: no bytes make the parser crash, and what
// it takes can be read again as the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "collector/waterfalls_store.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tallymill::collector::parse_waterfall_page;
  const auto page = parse_waterfall_page({reinterpret_cast<const char*>(data), size});
  if (!page) return 0;
  TM_CHECK(!page->ledger.empty() && page->next >= 0);
  TM_CHECK(!page->gap || page->gap->from <= page->gap->to);
  for (const auto& row : page->rows) TM_CHECK(row.json.starts_with('{'));
  return 0;
}
