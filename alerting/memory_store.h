// Memory store: series in memory, to be read as a Source and written as a SampleSink, for rules
// whose clock is the caller's: unit tests of rules, and backtests.
//
// It keeps what Prometheus keeps: of two samples of a series at the same time the first, and none
// that is older than the last.
//
//   invariant: the samples of a series are in the order of their times, which are distinct
//
// Threads: reading from any while nobody writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "alerting/group.h"
#include "collector/query.h"

namespace tallymill::alerting {

class MemoryStore : public collector::Source, public SampleSink {
 public:
  using Labels = collector::Labels;
  using Column = collector::Column;
  using SeriesId = collector::SeriesId;

  // False: it was not stored, for there is another one at this time, or a later one.
  bool add(const Labels& labels, std::int64_t t_ms, double value);
  // bad_params: some of them were not stored.
  [[nodiscard]] Status append(std::span<const Sample> samples) override;

  // Whatever their times.
  [[nodiscard]] Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers,
                                                  std::int64_t from_ms,
                                                  std::int64_t to_ms) const override;
  [[nodiscard]] Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                            Column& into) const override;
  [[nodiscard]] Status read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                                 Column& into) const override;

  [[nodiscard]] const std::vector<Labels>& all() const { return labels_; }
  [[nodiscard]] std::size_t samples() const { return samples_; }
  // Nothing: there is none at this time, or no such series.
  [[nodiscard]] std::optional<double> at(const Labels& labels, std::int64_t t_ms) const;

 private:
  using Ids = std::vector<std::size_t>;

  std::size_t id_of(const Labels& labels);
  // The shortest list of those that equal values name; null: no matcher says one.
  [[nodiscard]] const Ids* fewest(std::span<const collector::Matcher> matchers) const;

  std::vector<Labels> labels_;
  std::vector<Column> columns_;
  std::size_t samples_ = 0;  // in all of them
  std::unordered_map<Labels, std::size_t, collector::LabelsHash> ids_;
  std::unordered_map<std::string, Ids> index_;  // by "name=value"
};

}  // namespace tallymill::alerting
