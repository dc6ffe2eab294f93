#include "alerting/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "alerting/reads.h"
#include "base/limits.h"

namespace tallymill::alerting {

static_assert(limits::series_ids < 1U << 31);

Overlay::Overlay(const collector::Source& under, std::vector<const Rule*> rules,
                 std::int64_t from_ms, std::size_t samples)
    : under_(under), from_ms_(from_ms), most_samples_(samples) {
  for (const Rule* rule : rules) {
    if (rule->kind == Rule::Kind::recording) {
      rules_.emplace(rule->name, rule);
    } else {
      rules_.emplace("ALERTS", rule);
      rules_.emplace("ALERTS_FOR_STATE", rule);
    }
  }
}

std::size_t Overlay::series(const Labels& labels) { return entry_of(labels); }

std::size_t Overlay::entry_of(const Labels& labels) const {
  const std::lock_guard lock(mutex_);
  const auto [at, is_fresh] = numbers_.try_emplace(labels, entries_.size());
  if (is_fresh) entries_.push_back(std::make_unique<Entry>(Entry{.labels = labels}));
  return at->second;
}

// Rules come one after another for a whole slice of time, so that a sample may come before others
// of its series.
Status Overlay::add(std::size_t series, std::int64_t t_ms, double value) {
  Column& samples = entries_[series]->samples;
  const auto at = samples.size() == 0 || samples.t_ms.back() < t_ms
                      ? samples.t_ms.end()
                      : std::ranges::lower_bound(samples.t_ms, t_ms);
  const auto value_at = samples.value.begin() + (at - samples.t_ms.begin());
  if (at != samples.t_ms.end() && *at == t_ms) {
    if (std::bit_cast<std::uint64_t>(*value_at) == std::bit_cast<std::uint64_t>(value)) return {};
    return fail(Errc::bad_params, "another rule gave this series at the same time");
  }
  if (samples_ >= most_samples_)
    return fail(Errc::too_big,
                fmt::format("what recording rules gave, and others still look back at, is more "
                            "than {} samples: make their ranges or the files smaller",
                            most_samples_));
  samples.value.insert(value_at, value);
  samples.t_ms.insert(at, t_ms);
  ++samples_;
  return {};
}

void Overlay::drop_before(std::int64_t t_ms) {
  for (const auto& entry : entries_) {
    Column& samples = entry->samples;
    const auto end = std::ranges::lower_bound(samples.t_ms, t_ms);
    const auto count = end - samples.t_ms.begin();
    samples.value.erase(samples.value.begin(), samples.value.begin() + count);
    samples.t_ms.erase(samples.t_ms.begin(), end);
    samples_ -= static_cast<std::size_t>(count);
  }
}

bool Overlay::is_given_by_rules(const Labels& labels) const {
  const auto [begin, end] = rules_.equal_range(labels.metric());
  return std::any_of(begin, end, [&](const auto& one) { return may_give(*one.second, labels); });
}

Result<std::vector<Overlay::Found>> Overlay::select(std::span<const collector::Matcher> matchers,
                                                    std::int64_t from_ms,
                                                    std::int64_t to_ms) const {
  auto found = under_.select(matchers, from_ms, to_ms);
  if (!found || rules_.empty()) return found;
  std::vector<Found> result;
  result.reserve(found->size());
  std::vector<std::pair<Labels, Found>> given;
  for (Found& one : *found) {
    if (!is_given_by_rules(one.labels)) {
      result.push_back(std::move(one));
      continue;
    }
    const std::size_t number = entry_of(one.labels);
    const std::lock_guard lock(mutex_);
    entries_[number]->under = one.series;
    // What is left of it there is of before this began, and thinned only as far.
    if (from_ms < from_ms_) given.emplace_back(one.labels, one);
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Labels& labels = entries_[i]->labels;
    const bool fits = std::ranges::all_of(matchers, [&](const collector::Matcher& matcher) {
      return matcher.fits(labels.get(matcher.name()));
    });
    if (!fits) continue;
    const auto below = std::ranges::find(given, labels, &std::pair<Labels, Found>::first);
    result.push_back({SeriesId(own | static_cast<std::uint32_t>(i)), labels,
                      below == given.end() ? 0 : below->second.step_ms});
  }
  return result;
}

Status Overlay::read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                     Column& into) const {
  if (series.raw() < own) return under_.read(series, from_ms, to_ms, into);
  into.clear();
  const Entry* entry = nullptr;
  {
    const std::lock_guard lock(mutex_);
    entry = entries_[series.raw() & ~own].get();
  }
  if (entry->under && from_ms < from_ms_) {
    auto below = under_.read(*entry->under, from_ms, std::min(to_ms, from_ms_ - 1), into);
    if (!below) return below;
  }
  const Column& samples = entry->samples;
  const auto end = std::ranges::upper_bound(samples.t_ms, to_ms);
  for (auto at = std::ranges::lower_bound(samples.t_ms, from_ms); at < end; ++at)
    into.add(*at, samples.value[static_cast<std::size_t>(at - samples.t_ms.begin())]);
  return {};
}

Status Overlay::read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                          Column& into) const {
  if (series.raw() < own) return under_.read_last(series, from_ms, to_ms, into);
  return read(series, from_ms, to_ms, into);
}

}  // namespace tallymill::alerting
