#include "alerting/memory_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <string_view>

namespace tallymill::alerting {
namespace {

using collector::Matcher;

std::string key(std::string_view name, std::string_view value) {
  return fmt::format("{}={}", name, value);
}

}  // namespace

bool MemoryStore::add(const Labels& labels, std::int64_t t_ms, double value) {
  Column& samples = columns_[id_of(labels)];
  if (samples.size() > 0 && samples.t_ms.back() >= t_ms)
    return samples.t_ms.back() == t_ms && std::bit_cast<std::uint64_t>(samples.value.back()) ==
                                              std::bit_cast<std::uint64_t>(value);
  samples.add(t_ms, value);
  ++samples_;
  return true;
}

Status MemoryStore::append(std::span<const Sample> samples) {
  std::size_t refused = 0;
  for (const Sample& one : samples)
    if (!add(one.labels, one.t_ms, one.value)) ++refused;
  if (refused == 0) return {};
  return fail(Errc::bad_params, fmt::format("{} samples are duplicates or too old", refused));
}

Result<std::vector<MemoryStore::Found>> MemoryStore::select(std::span<const Matcher> matchers,
                                                            std::int64_t, std::int64_t) const {
  std::vector<Found> found;
  const auto take = [&](std::size_t i) {
    const bool fits = std::ranges::all_of(matchers, [&](const Matcher& matcher) {
      return matcher.fits(labels_[i].get(matcher.name()));
    });
    if (fits)
      found.push_back({.series = SeriesId(static_cast<std::uint32_t>(i)), .labels = labels_[i]});
  };
  if (const Ids* candidates = fewest(matchers); candidates != nullptr)
    for (const std::size_t i : *candidates) take(i);
  else
    for (std::size_t i = 0; i < labels_.size(); ++i) take(i);
  return found;
}

Status MemoryStore::read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                         Column& into) const {
  into.clear();
  const Column& samples = columns_[series.raw()];
  const auto begin = std::ranges::lower_bound(samples.t_ms, from_ms);
  const auto end = std::ranges::upper_bound(samples.t_ms, to_ms);
  for (auto at = begin; at < end; ++at)
    into.add(*at, samples.value[static_cast<std::size_t>(at - samples.t_ms.begin())]);
  return {};
}

Status MemoryStore::read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                              Column& into) const {
  into.clear();
  const Column& samples = columns_[series.raw()];
  const auto end = std::ranges::upper_bound(samples.t_ms, to_ms);
  if (end == samples.t_ms.begin() || *std::prev(end) < from_ms) return {};
  into.add(*std::prev(end),
           samples.value[static_cast<std::size_t>(end - samples.t_ms.begin() - 1)]);
  return {};
}

std::optional<double> MemoryStore::at(const Labels& labels, std::int64_t t_ms) const {
  const auto found = ids_.find(labels);
  if (found == ids_.end()) return std::nullopt;
  const Column& samples = columns_[found->second];
  const auto time = std::ranges::lower_bound(samples.t_ms, t_ms);
  if (time == samples.t_ms.end() || *time != t_ms) return std::nullopt;
  return samples.value[static_cast<std::size_t>(time - samples.t_ms.begin())];
}

std::size_t MemoryStore::id_of(const Labels& labels) {
  const auto [at, fresh] = ids_.emplace(labels, labels_.size());
  if (fresh) {
    for (const collector::Label& label : labels)
      index_[key(label.name, label.value)].push_back(at->second);
    labels_.push_back(labels);
    columns_.emplace_back();
  }
  return at->second;
}

const MemoryStore::Ids* MemoryStore::fewest(std::span<const Matcher> matchers) const {
  static const Ids none;
  const Ids* best = nullptr;
  for (const Matcher& matcher : matchers) {
    if (matcher.kind() != Matcher::Kind::equal || matcher.value().empty()) continue;
    const auto at = index_.find(key(matcher.name(), matcher.value()));
    if (at == index_.end()) return &none;
    if (best == nullptr || at->second.size() < best->size()) best = &at->second;
  }
  return best;
}

}  // namespace tallymill::alerting
