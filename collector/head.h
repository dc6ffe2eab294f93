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

#include <array>
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

  // Sets those of its series. REQUIRES: `series` has a bit for each.
  void mark(std::vector<bool>& series) const;
  // Widens the times to those of its samples.
  void span(std::int64_t& first_ms, std::int64_t& last_ms) const;
  // Its series, ascending.
  [[nodiscard]] std::vector<SeriesId> series() const;
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
  // Ids of series that died leave gaps: so they are held in pages.
  static constexpr std::size_t page_size = 256;
  using Page = std::array<Series, page_size>;
  static void pack(Series& series);

  std::vector<std::unique_ptr<Page>> pages_;  // by id
  std::uint64_t samples_ = 0;
};

}  // namespace tallymill::collector
