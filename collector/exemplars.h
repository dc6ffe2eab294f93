// ExemplarStore: the newest exemplars of each series: from a bucket to the very job that it
// counted.
//
// In memory alone, as Prometheus keeps them: each source has new ones soon.
//
//   invariant: of one series they are in the order of their times, at most
//              limits::exemplars_per_series, none twice; the oldest makes room
//   invariant: at most limits::exemplars_kept in all; the one that came first makes room
//
// Threads: any.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "collector/incoming.h"

namespace tallymill::collector {

class ExemplarStore {
 public:
  struct Kept {
    Labels labels;
    double value = 0;
    std::int64_t t_ms = 0;
  };
  struct Stats {
    std::size_t exemplars = 0;
    std::uint64_t added = 0;
  };

  // Bounds that tests lower.
  explicit ExemplarStore(std::size_t per_series = limits::exemplars_per_series,
                         std::size_t kept = limits::exemplars_kept)
      : per_series_(per_series), kept_(kept) {}

  // `t_ms`: of its sample, for one that does not say when it was. One that is there already, or is
  // older than all that its series may keep, is left.
  void add(SeriesId series, const Exemplar& exemplar, std::int64_t t_ms);
  // Those from `from_ms` to `to_ms`, both in it, by their times.
  [[nodiscard]] std::vector<Kept> read(SeriesId series, std::int64_t from_ms,
                                       std::int64_t to_ms) const;
  [[nodiscard]] Stats stats() const;

 private:
  struct Arrived {
    SeriesId series;
    Kept kept;
  };
  using All = std::list<Arrived>;  // in the order in which they came
  struct Hash {
    std::size_t operator()(SeriesId series) const { return series.raw(); }
  };
  void drop(All::iterator one);

  const std::size_t per_series_;
  const std::size_t kept_;
  mutable std::mutex mutex_;  // guards what is below
  All all_;
  std::unordered_map<SeriesId, std::deque<All::iterator>, Hash> by_series_;
  std::uint64_t added_ = 0;
};

}  // namespace tallymill::collector
