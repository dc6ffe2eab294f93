#include "alerting/stored_arrivals.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "alerting/arrival_series.h"
#include "alerting/expression.h"
#include "collector/stable_sort.h"

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
  std::vector<Arrival> arrived;
  for (const collector::Source::Found& one : *found) {
    if (auto got = source.read(one.series, from_ms, to_ms, column); !got) return got;
    for (std::size_t i = 0; i < column.size(); ++i)
      if (threshold && threshold->holds(column.value[i]))
        arrived.push_back({column.t_ms[i], {match_of(one.labels), column.value[i]}});
  }
  collector::stable_sort(arrived,
                         [](const Arrival& a, const Arrival& b) { return a.t_ms < b.t_ms; });
  std::ranges::move(arrived, std::back_inserter(waiting_));
  return {};
}

}  // namespace tallymill::alerting
