// Overlay: what rules give in a backtest, in memory, laid over the samples that are stored.
//
// Whoever reads sees what is stored, and from the begin of the backtest on, of the series that its
// rules give, what they gave in it instead of what they gave when they ran for real.
//
//   invariant: it holds at most as many samples as it was told; one more is an error
//   invariant: the samples of a series are in the order of their times, which are distinct
//
// Threads: reading from any while nobody writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "alerting/rule_file.h"
#include "collector/query.h"

namespace tallymill::alerting {

class Overlay final : public collector::Source {
 public:
  using Labels = collector::Labels;
  using Column = collector::Column;
  using SeriesId = collector::SeriesId;

  // REQUIRES: `under` and the rules outlive it.
  Overlay(const collector::Source& under, std::vector<const Rule*> rules, std::int64_t from_ms,
          std::size_t samples);

  // The number of a series of its own, for add().
  [[nodiscard]] std::size_t series(const Labels& labels);
  // bad_params: there is another sample at this time, which stays. too_big: it is full.
  [[nodiscard]] Status add(std::size_t series, std::int64_t t_ms, double value);
  // Whether a series that select() found is one that rules give.
  [[nodiscard]] static bool is_given(SeriesId series) { return series.raw() >= own; }
  // What is older is not read any more.
  void drop_before(std::int64_t t_ms);
  [[nodiscard]] std::size_t samples() const { return samples_; }

  [[nodiscard]] Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers,
                                                  std::int64_t from_ms,
                                                  std::int64_t to_ms) const override;
  [[nodiscard]] Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                            Column& into) const override;
  [[nodiscard]] Status read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                                 Column& into) const override;

 private:
  struct Entry {
    Labels labels;
    std::optional<SeriesId> under = {};  // the same series there
    Column samples = {};
  };
  // Ids of its own; those below it do not come so far (limits::series_ids).
  static constexpr std::uint32_t own = 1U << 31;

  [[nodiscard]] bool is_given_by_rules(const Labels& labels) const;
  [[nodiscard]] std::size_t entry_of(const Labels& labels) const;  // as series()

  const collector::Source& under_;
  const std::int64_t from_ms_;
  const std::size_t most_samples_;
  std::unordered_multimap<std::string_view, const Rule*> rules_;  // by their series' names
  std::size_t samples_ = 0;

  mutable std::mutex mutex_;  // guards which entries there are
  mutable std::vector<std::unique_ptr<Entry>> entries_;
  mutable std::unordered_map<Labels, std::size_t, collector::LabelsHash> numbers_;
};

}  // namespace tallymill::alerting
