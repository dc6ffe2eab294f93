// links: tm_alerting
// Files of rules. Goal: no bytes make the reader crash or grow; what is refused says where; what is
// taken is read back the same from the file that Prometheus would have.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "alerting/convert.h"
#include "alerting/expression.h"
#include "alerting/rule_file.h"
#include "base/check.h"
#include "base/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  using namespace tallymill::alerting;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto groups = parse_rule_file(input, "f.tm.yml");
  if (!groups) {
    TM_CHECK(groups.error().message.starts_with("f.tm.yml:"));
    return 0;
  }
  for (const RuleGroup& group : *groups) {
    for (const Rule& rule : group.rules) {
      TM_CHECK(rule.node != nullptr);
      (void)input_of(*rule.node);
      (void)plain_threshold(*rule.node);
      // Printed, it may be longer than a query may be.
      if (rule.expr.size() > static_cast<std::size_t>(limits::query_bytes.raw())) return 0;
    }
  }
  (void)repeated_rules(*groups);
  const std::string yaml = to_prometheus(*groups).yaml;
  const auto again = parse_rule_file(yaml, "f.yml");
  TM_CHECK(again.has_value());
  TM_CHECK(to_prometheus(*again).yaml == yaml);
  return 0;
}
