// links: tm_collector
// What clients of the live feed say. Goal: no bytes make the parser crash, and texts that it takes
// are no longer than the message.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "collector/live_ask.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto ask =
      tallymill::collector::parse_live_ask({reinterpret_cast<const char*>(data), size});
  if (!ask) return 0;
  std::size_t bytes = 0;
  for (const auto& topic : ask->subscribe) bytes += topic.name.size() + topic.query.size();
  for (const auto& name : ask->unsubscribe) bytes += name.size();
  TM_CHECK(bytes <= size);
  return 0;
}
