#include "collector/noted.h"

#include <fmt/format.h>

#include <algorithm>

#include "collector/promql/spans.h"

namespace tallymill::collector {

Result<std::vector<Source::Found>> Noted::select(std::span<const Matcher> matchers,
                                                 std::int64_t from_ms, std::int64_t to_ms) const {
  auto found = source_.select(matchers, from_ms, to_ms);
  if (found)
    for (const Found& one : *found) coarsest_ms_ = std::max(coarsest_ms_, one.step_ms);
  return found;
}

std::vector<std::string> Noted::warnings(const promql::Node& node, std::int64_t step_ms) const {
  std::vector<std::string> said;
  const std::int64_t least = 2 * coarsest_ms_;
  const auto warn = [&](const char* what, std::int64_t ms) {
    said.push_back(
        fmt::format("{} of {} s is shorter than twice the {} s to which old samples are "
                    "thinned: some of it may have too few samples",
                    what, static_cast<double>(ms) / 1000, coarsest_ms_ / 1000));
  };
  if (const auto range = promql::shortest_range_ms(node); range && *range < least)
    warn("a range", *range);
  if (step_ms > 0 && step_ms < least) warn("the step", step_ms);
  return said;
}

}  // namespace tallymill::collector
