// Memory store: series in memory, to be read as a Source and written as a SampleSink, for rules
// whose clock the test moves.
//
// It keeps what Prometheus keeps: of two samples of a series at the same time the first, and none
// that is older than the last.
//
//   invariant: the samples of a series are in the order of their times, which are distinct
//
// Threads: reading from any while nobody writes.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "alerting/group.h"
#include "collector/query.h"

namespace tallymill::alerting {

class MemoryStore final : public collector::Source, public SampleSink {
 public:
  using Labels = collector::Labels;
  using Column = collector::Column;
  using SeriesId = collector::SeriesId;

  // Fails every append from now on; for tests of what a rule does then. nullopt: works again.
  std::optional<Error> broken;

  // False: it was not stored, for there is one at this time, or a later one.
  bool add(const Labels& labels, std::int64_t t_ms, double value) {
    Column& samples = columns_[id_of(labels)];
    if (samples.size() > 0 && samples.t_ms.back() >= t_ms)
      return samples.t_ms.back() == t_ms && std::bit_cast<std::uint64_t>(samples.value.back()) ==
                                                std::bit_cast<std::uint64_t>(value);
    samples.add(t_ms, value);
    return true;
  }

  Status append(std::span<const Sample> samples) override {
    if (broken) return std::unexpected(*broken);
    std::size_t refused = 0;
    for (const Sample& one : samples)
      if (!add(one.labels, one.t_ms, one.value)) ++refused;
    if (refused == 0) return {};
    return fail(Errc::bad_params, fmt::format("{} samples are duplicates or too old", refused));
  }

  Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers, std::int64_t,
                                    std::int64_t) const override {
    std::vector<Found> found;
    const auto take = [&](std::size_t i) {
      const bool fits = std::ranges::all_of(matchers, [&](const collector::Matcher& matcher) {
        return matcher.fits(labels_[i].get(matcher.name()));
      });
      if (fits) found.push_back({SeriesId(static_cast<std::uint32_t>(i)), labels_[i]});
    };
    if (const auto* candidates = fewest(matchers); candidates != nullptr)
      for (const std::size_t i : *candidates) take(i);
    else
      for (std::size_t i = 0; i < labels_.size(); ++i) take(i);
    return found;
  }

  Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
              Column& into) const override {
    into.clear();
    const Column& samples = columns_[series.raw()];
    const auto begin = std::ranges::lower_bound(samples.t_ms, from_ms);
    const auto end = std::ranges::upper_bound(samples.t_ms, to_ms);
    for (auto at = begin; at < end; ++at)
      into.add(*at, samples.value[static_cast<std::size_t>(at - samples.t_ms.begin())]);
    return {};
  }
  Status read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                   Column& into) const override {
    into.clear();
    const Column& samples = columns_[series.raw()];
    const auto end = std::ranges::upper_bound(samples.t_ms, to_ms);
    if (end == samples.t_ms.begin() || *std::prev(end) < from_ms) return {};
    into.add(*std::prev(end),
             samples.value[static_cast<std::size_t>(end - samples.t_ms.begin() - 1)]);
    return {};
  }

  [[nodiscard]] const std::vector<Labels>& all() const { return labels_; }
  // Nothing: there is none at this time, or no such series.
  [[nodiscard]] std::optional<double> at(const Labels& labels, std::int64_t t_ms) const {
    const auto found = ids_.find(labels);
    if (found == ids_.end()) return std::nullopt;
    const Column& samples = columns_[found->second];
    const auto time = std::ranges::lower_bound(samples.t_ms, t_ms);
    if (time == samples.t_ms.end() || *time != t_ms) return std::nullopt;
    return samples.value[static_cast<std::size_t>(time - samples.t_ms.begin())];
  }

 private:
  using Ids = std::vector<std::size_t>;

  std::size_t id_of(const Labels& labels) {
    const auto [at, fresh] = ids_.emplace(labels, labels_.size());
    if (fresh) {
      for (const collector::Label& label : labels)
        index_[key(label.name, label.value)].push_back(at->second);
      labels_.push_back(labels);
      columns_.emplace_back();
    }
    return at->second;
  }
  static std::string key(std::string_view name, std::string_view value) {
    return fmt::format("{}={}", name, value);
  }
  // The shortest list of those that equal values name; null: no matcher says one.
  const Ids* fewest(std::span<const collector::Matcher> matchers) const {
    static const Ids none;
    const Ids* best = nullptr;
    for (const collector::Matcher& matcher : matchers) {
      if (matcher.kind() != collector::Matcher::Kind::equal || matcher.value().empty()) continue;
      const auto at = index_.find(key(matcher.name(), matcher.value()));
      if (at == index_.end()) return &none;
      if (best == nullptr || at->second.size() < best->size()) best = &at->second;
    }
    return best;
  }

  std::vector<Labels> labels_;
  std::vector<Column> columns_;
  std::unordered_map<Labels, std::size_t, collector::LabelsHash> ids_;
  std::unordered_map<std::string, Ids> index_;
};

}  // namespace tallymill::alerting
