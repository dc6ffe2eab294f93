#include "collector/target_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/limits.h"
#include "collector/labels_check.h"

namespace tallymill::collector {

class TargetSeries::Sink final : public ExpositionSink {
 public:
  Sink(TargetSeries& own, std::int64_t t_ms, std::vector<Point>& points)
      : own_(own), t_ms_(t_ms), points_(points) {}

  Status metadata(const Metadata& metadata) override {
    own_.metadata_.add(metadata);
    return {};
  }

  Status sample(const ExpositionSample& sample) override {
    if (++counts.samples > limits::scrape_samples)
      return fail(Errc::too_big,
                  fmt::format("it has more than {} samples", limits::scrape_samples));
    const bool own_time = own_.job_.honor_timestamps && sample.t_ms.has_value();
    const std::int64_t t_ms = own_time ? *sample.t_ms : t_ms_;
    const auto known = find(sample);
    if (!known) return {};
    // The first one counts: one series has one value at one time.
    if (std::exchange((*known)->round, own_.round_) == own_.round_ && !own_time) return {};
    const SeriesId series = (*known)->series;
    points_.push_back({series, t_ms, sample.value});
    ++counts.kept;
    if (!own_time) seen.push_back(series);
    if (sample.exemplar) own_.exemplars_.add(series, *sample.exemplar, t_ms);
    return {};
  }

  Counts counts;
  std::vector<SeriesId> seen;

 private:
  std::optional<Known*> find(const ExpositionSample& sample) {
    const auto found = own_.known_.find(sample.series);
    if (found != own_.known_.end()) return &found->second;
    auto labels = own_.labels_of_target(sample.labels);
    if (settle(labels) != LabelFault::none) {
      ++counts.bad_labels;
      return std::nullopt;
    }
    const auto id = own_.store_.series(labels_of(labels));
    if (!id) {
      ++counts.no_room;
      return std::nullopt;
    }
    ++counts.added;
    return &own_.known_.emplace(std::string(sample.series), Known{*id}).first->second;
  }

  TargetSeries& own_;
  const std::int64_t t_ms_;
  std::vector<Point>& points_;
};

Result<TargetSeries::Counts> TargetSeries::take(std::string_view text, ExpositionFormat format,
                                                std::int64_t t_ms, std::vector<Point>& points) {
  const std::size_t before = points.size();
  follow_drops();
  ++round_;
  Sink sink(*this, t_ms, points);
  sink.seen.reserve(last_.size());
  if (auto read = read_exposition(text, format, sink); !read) {
    points.resize(before);
    // Or one that never succeeds would make more and more known.
    std::erase_if(known_, [&](const auto& one) { return one.second.round == round_; });
    return std::unexpected(std::move(read).error());
  }
  std::ranges::sort(sink.seen);
  add_stale(sink.seen, t_ms, points);
  last_ = std::move(sink.seen);
  std::erase_if(known_, [&](const auto& one) { return one.second.round != round_; });
  return sink.counts;
}

void TargetSeries::follow_drops() {
  if (store_.drops() == drops_) return;
  drops_ = store_.drops();
  known_.clear();
  reports_.clear();
}

void TargetSeries::lose(std::int64_t t_ms, std::vector<Point>& points) {
  add_stale({}, t_ms, points);
  last_.clear();
}

void TargetSeries::add_stale(const std::vector<SeriesId>& still, std::int64_t t_ms,
                             std::vector<Point>& points) {
  std::vector<SeriesId> gone;
  std::ranges::set_difference(last_, still, std::back_inserter(gone));
  for (const SeriesId series : gone) points.push_back({series, t_ms, stale_marker});
}

// Views into the scraped labels, the target's own and renamed_.
std::vector<Label> TargetSeries::labels_of_target(std::span<const Label> scraped) {
  std::vector<Label> all(scraped.begin(), scraped.end());
  renamed_.clear();
  renamed_.reserve(all.size());
  const auto has = [&](std::string_view name) {
    return std::ranges::find(all, name, &Label::name) != all.end();
  };
  for (const Label& own : target_.labels) {
    const auto said = std::ranges::find(all, own.name, &Label::name);
    if (said == all.end()) continue;
    if (job_.honor_labels) continue;
    std::string name = "exported_" + std::string(own.name);
    while (has(name) || !target_.labels.get(name).empty()) name.insert(0, "exported_");
    renamed_.push_back(std::move(name));
    said->name = renamed_.back();
  }
  for (const Label& own : target_.labels)
    if (!has(own.name)) all.push_back(own);
  return all;
}

void TargetSeries::report(bool up, double seconds, const Counts& counts, std::int64_t t_ms,
                          std::vector<Point>& points) {
  const std::pair<const char*, double> said[] = {
      {"up", up ? 1 : 0},
      {"scrape_duration_seconds", seconds},
      {"scrape_samples_scraped", static_cast<double>(counts.samples)},
      // There is no relabelling that could drop any.
      {"scrape_samples_post_metric_relabeling", static_cast<double>(counts.samples)},
      {"scrape_series_added", static_cast<double>(counts.added)}};
  follow_drops();
  reports_.resize(std::size(said));
  for (std::size_t i = 0; i < std::size(said); ++i) {
    if (!reports_[i]) {
      LabelsBuilder labels(target_.labels);
      labels.set(metric_name, said[i].first);
      const auto series = store_.series(labels.build());
      if (series) reports_[i] = *series;
    }
    if (reports_[i]) points.push_back({*reports_[i], t_ms, said[i].second});
  }
}

}  // namespace tallymill::collector
