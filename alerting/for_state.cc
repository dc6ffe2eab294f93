#include "alerting/for_state.h"

#include <cmath>
#include <string>

#include "alerting/limits.h"
#include "collector/promql/value.h"

namespace tallymill::alerting {
namespace {

using collector::Matcher;

Result<std::vector<Matcher>> matchers_of(const Rule& rule) {
  std::vector<Matcher> all;
  const auto add = [&](const std::string& name, const std::string& value) -> Status {
    auto made = Matcher::of(Matcher::Kind::equal, name, value);
    if (!made) return std::unexpected(std::move(made).error());
    all.push_back(std::move(*made));
    return {};
  };
  Status done = add(std::string(collector::metric_name), "ALERTS_FOR_STATE");
  if (done) done = add("alertname", rule.name);
  for (const Templated& label : rule.labels)
    if (done && label.text.find("{{") == std::string::npos) done = add(label.name, label.text);
  if (!done) return std::unexpected(std::move(done).error());
  return all;
}

}  // namespace

Result<std::vector<ForState>> read_for_states(const collector::Source& source, const Rule& rule,
                                              std::int64_t from_ms, std::int64_t to_ms) {
  const auto matchers = matchers_of(rule);
  if (!matchers) return std::unexpected(matchers.error());
  const auto found = source.select(*matchers, from_ms, to_ms);
  if (!found) return std::unexpected(found.error());
  std::vector<ForState> all;
  collector::Column last;
  for (const collector::Source::Found& series : *found) {
    if (auto read = source.read_last(series.series, from_ms, to_ms, last); !read)
      return std::unexpected(std::move(read).error());
    // Beyond that it is no time that a rule wrote.
    constexpr double most_seconds = 1e11;
    if (last.size() == 0 || !(std::abs(last.value.back()) < most_seconds)) continue;
    all.push_back({promql::without_name(series.labels),
                   static_cast<std::int64_t>(last.value.back()) * 1'000, last.t_ms.back()});
    if (all.size() == limits::rule_rows) break;
  }
  return all;
}

}  // namespace tallymill::alerting
