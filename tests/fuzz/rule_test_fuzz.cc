// links: tm_alerting
// Unit tests of rules. Goal: no bytes make the reader or the notation of series crash or grow; what
// is refused says where; times only go up; and a test that is small enough ends.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "alerting/rule_test.h"
#include "alerting/rule_test_file.h"
#include "base/check.h"
#include "collector/promql/series_notation.h"

namespace {

using namespace tallymill;
using namespace tallymill::alerting;

void walk(std::string_view line) {
  auto series = promql::parse_series(line);
  if (!series) {
    TM_CHECK(series.error().message.contains(": parse error: "));
    return;
  }
  std::int64_t last_ms = -1;
  promql::NotedSamples samples(std::move(series->runs), 1'000);
  for (int i = 0; i < 1'000 && samples.peek(); ++i, samples.pop()) {
    TM_CHECK(samples.peek()->t_ms > last_ms);
    last_ms = samples.peek()->t_ms;
  }
}

bool is_small(const RuleTestFile& file) {
  std::chrono::milliseconds last{0};
  for (const RuleTest& test : file.tests) {
    if (test.interval.count() > 0 && test.interval.count() < 1'000) return false;
    for (const AlertCase& one : test.alerts) last = std::max(last, one.at);
    for (const ExpressionCase& one : test.expressions) last = std::max(last, one.at);
  }
  return last / file.interval < 100 && last < std::chrono::hours(1) && file.tests.size() < 10;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  walk(input);
  auto file = parse_rule_test_file(input, "t.yml");
  if (!file) {
    TM_CHECK(file.error().message.starts_with("t.yml:"));
    return 0;
  }
  file->rule_files.clear();  // nothing of the disk
  RuleCoverage coverage;
  if (is_small(*file)) (void)run_rule_tests(*file, coverage);
  return 0;
}
