#include "alerting/recording_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "alerting/limits.h"
#include "base/check.h"

namespace tallymill::alerting {
namespace {

bool is_distinct(std::span<const RuleState::Sample> samples) {
  std::unordered_set<std::string_view> seen;
  seen.reserve(samples.size());
  return std::ranges::all_of(samples, [&](const RuleState::Sample& sample) {
    return seen.insert(sample.labels.packed()).second;
  });
}

}  // namespace

RecordingState::RecordingState(const Rule& rule) : rule_(rule) {
  TM_CHECK(rule.kind == Rule::Kind::recording);
}

Result<std::vector<RuleState::Sample>> RecordingState::record(std::span<const Match> rows,
                                                              std::size_t limit) {
  const std::size_t most = limit == 0 ? limits::rule_rows : std::min(limit, limits::rule_rows);
  std::vector<RuleState::Sample> samples;
  bool is_changed = false;
  ++round_;
  // A little more than may be: equal labels are told first, as Prometheus does.
  for (const Match& row : rows.first(std::min(rows.size(), limits::rule_rows + 1))) {
    const auto [at, is_fresh] = known_.try_emplace(row.labels);
    if (is_fresh) at->second.labels = labels_of(row);
    is_changed = is_changed || is_fresh || at->second.round == round_;
    at->second.round = round_;
    samples.push_back({at->second.labels, row.value});
  }
  const bool is_wrong = is_changed && !is_distinct(samples);
  if (is_wrong || rows.size() > most) known_.clear();
  if (is_wrong)
    return fail(Errc::bad_params,
                "vector contains metrics with the same labelset after applying rule labels");
  if (rows.size() > most)
    return fail(Errc::too_big,
                fmt::format("exceeded limit of {} with {} series", most, rows.size()));
  if (known_.size() > samples.size())
    std::erase_if(known_, [&](const auto& one) { return one.second.round != round_; });
  return samples;
}

collector::Labels RecordingState::labels_of(const Match& row) const {
  collector::LabelsBuilder builder(row.labels);
  builder.set(collector::metric_name, rule_.name);
  for (const Templated& label : rule_.labels) builder.set(label.name, label.text);
  return builder.build();
}

}  // namespace tallymill::alerting
