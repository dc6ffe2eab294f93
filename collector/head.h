// Head: the samples that are not sealed yet, in memory.
//
// Of each series the newest ones as they came, and packed chunks (collector/codec.h) of those
// before: ten thousand series with two million samples take some 15 MB. Out of order is fine: a
// chunk is sorted when it is packed, and who reads puts chunks in order (collector/columns.h).
//
//   invariant: chunks, and open samples behind them, are in the order in which they came: of two
//   with
//              one timestamp the later one counts
//   invariant: a chunk is strictly ascending in time
//
// Threads: one that adds, while nobody else reads; between two adds any number that read.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "collector/query.h"
#include "collector/series.h"

namespace tallymill::collector {

class Head {
 public:
  void add(const Point& point);

  // Adds the samples from `from_ms` to `to_ms` behind those in `into`, as they came.
  void read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms, Column& into) const;

  // Sets those of its series. REQUIRES: `series` has series() bits or more.
  void mark(std::vector<bool>& series) const;
  // Ids of its series are below this.
  [[nodiscard]] std::uint32_t series() const { return static_cast<std::uint32_t>(series_.size()); }
  // As they came: one that came twice counts twice.
  [[nodiscard]] std::uint64_t samples() const { return samples_; }
  [[nodiscard]] bool empty() const { return samples_ == 0; }

 private:
  struct Chunk {
    std::int64_t first_ms;
    std::int64_t last_ms;
    std::unique_ptr<char[]> bytes;
    std::size_t size;
  };
  struct Series {
    std::vector<Sample> open;
    std::vector<Chunk> chunks;
  };
  static void pack(Series& series);

  std::vector<Series> series_;  // by id
  std::uint64_t samples_ = 0;
};

}  // namespace tallymill::collector
