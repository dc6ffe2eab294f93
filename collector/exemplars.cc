#include "collector/exemplars.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "collector/labels_check.h"

namespace tallymill::collector {

void ExemplarStore::add(SeriesId series, const Exemplar& exemplar, std::int64_t t_ms) {
  Kept kept{labels_of(exemplar.labels), exemplar.value, exemplar.t_ms.value_or(t_ms)};
  const std::lock_guard lock(mutex_);
  auto& own = by_series_[series];
  const auto time = [](const All::iterator& one) { return one->kept.t_ms; };
  const auto [first, last] = std::ranges::equal_range(own, kept.t_ms, {}, time);
  const bool known = std::any_of(first, last, [&](const All::iterator& one) {
    return one->kept.labels == kept.labels && std::bit_cast<std::uint64_t>(one->kept.value) ==
                                                  std::bit_cast<std::uint64_t>(kept.value);
  });
  if (known || (own.size() >= per_series_ && last == own.begin())) return;
  all_.push_back({series, std::move(kept)});
  own.insert(last, std::prev(all_.end()));
  ++added_;
  if (own.size() > per_series_) drop(own.front());
  if (all_.size() > kept_) drop(all_.begin());
}

void ExemplarStore::drop(All::iterator one) {
  const auto found = by_series_.find(one->series);
  std::erase(found->second, one);
  if (found->second.empty()) by_series_.erase(found);
  all_.erase(one);
}

std::vector<ExemplarStore::Kept> ExemplarStore::read(SeriesId series, std::int64_t from_ms,
                                                     std::int64_t to_ms) const {
  const std::lock_guard lock(mutex_);
  std::vector<Kept> kept;
  const auto found = by_series_.find(series);
  if (found == by_series_.end()) return kept;
  for (const All::iterator& one : found->second)
    if (one->kept.t_ms >= from_ms && one->kept.t_ms <= to_ms) kept.push_back(one->kept);
  return kept;
}

ExemplarStore::Stats ExemplarStore::stats() const {
  const std::lock_guard lock(mutex_);
  return {all_.size(), added_};
}

}  // namespace tallymill::collector
