#include "alerting/stored_arrivals.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "alerting/arrival_series.h"
#include "alerting/expression.h"

namespace tallymill::alerting {

using collector::Matcher;

Status StoredArrivals::read(const collector::Source& source, std::int64_t from_ms,
                            std::int64_t to_ms) {
  if (!rule_.on_arrival) return {};
  if (read_to_ms_ != 0) from_ms = read_to_ms_ + 1;
  read_to_ms_ = to_ms;
  if (from_ms > to_ms) return {};
  const auto threshold = plain_threshold(*rule_.node);
  const std::vector<Matcher> matchers{
      *Matcher::of(Matcher::Kind::equal, std::string(collector::metric_name),
                   std::string(arrival_metric)),
      *Matcher::of(Matcher::Kind::equal, "alertname", rule_.name),
      *Matcher::of(Matcher::Kind::equal, "rule_group", group_.name)};
  const auto found = source.select(matchers, from_ms, to_ms);
  if (!found) return std::unexpected(found.error());
  collector::Column column;
  const auto first = static_cast<std::ptrdiff_t>(waiting_.size());
  for (const collector::Source::Found& one : *found) {
    if (auto got = source.read(one.series, from_ms, to_ms, column); !got) return got;
    for (std::size_t i = 0; i < column.size(); ++i)
      if (threshold && threshold->holds(column.value[i]))
        waiting_.push_back({column.t_ms[i], {match_of(one.labels), column.value[i]}});
  }
  std::ranges::stable_sort(waiting_.begin() + first, waiting_.end(), {}, &Arrival::t_ms);
  return {};
}

}  // namespace tallymill::alerting
