// links: tm_collector
// A query from anybody. Goal: whatever it is, it is refused or has an answer; what was read can be
// written and read again, and is the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "tests/collector/promql/memory_source.h"

namespace {

using namespace tallymill;
using namespace tallymill::promql;

const collector::MemorySource& source() {
  static const collector::MemorySource made = [] {
    collector::MemorySource some;
    for (int i = 0; i < 20; ++i) {
      some.add(Labels::of({{"__name__", "a"}, {"x", "1"}}), i * 15'000, i * i % 7);
      some.add(Labels::of({{"__name__", "a"}, {"x", "2"}}), i * 15'000, -i);
      some.add(Labels::of({{"__name__", "b"}, {"le", i % 2 == 0 ? "1" : "+Inf"}}), i * 15'000, i);
    }
    return some;
  }();
  return made;
}

std::string without_plus(std::string text) {
  std::erase(text, '+');
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view query(reinterpret_cast<const char*>(data), size);
  const auto node = parse(query);
  if (!node) {
    TM_CHECK(!node.error().message.empty());
    return 0;
  }
  const std::string written = text(**node);
  const auto again = parse(written);
  TM_CHECK(again && without_plus(text(**again)) == without_plus(written));
  EvaluateOptions options;
  options.samples = 20'000;
  if ((*node)->type == Type::matrix) {
    (void)evaluate_raw(**node, 200'000, source(), options);
    return 0;
  }
  for (const Grid& grid : {Grid{150'000, 1, 1}, Grid{100'000, 30'000, 5}}) {
    const auto value = evaluate(**node, grid, source(), options);
    if (!value) continue;
    for (const Row& row : value->rows) TM_CHECK(row.values.size() == grid.count);
  }
  return 0;
}
