#include "collector/head.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/limits.h"
#include "collector/codec.h"
#include "collector/columns.h"

namespace tallymill::collector {

void Head::add(const Point& point) {
  if (point.series.raw() >= series_.size()) series_.resize(point.series.raw() + 1);
  Series& series = series_[point.series.raw()];
  if (series.open.size() == limits::open_samples) pack(series);
  series.open.push_back({point.t_ms, point.value});
  ++samples_;
}

void Head::pack(Series& series) {
  static thread_local Column column;
  static thread_local std::string bytes;
  column.clear();
  bytes.clear();
  for (const Sample& sample : series.open) column.add(sample.t_ms, sample.value);
  put_in_order(column);
  pack_block(column.t_ms, column.value, bytes);
  auto copy = std::make_unique_for_overwrite<char[]>(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  series.chunks.push_back({column.t_ms.front(), column.t_ms.back(), std::move(copy), bytes.size()});
  series.open.clear();
}

void Head::mark(std::vector<bool>& series) const {
  for (std::size_t id = 0; id < series_.size(); ++id)
    if (!series_[id].open.empty()) series[id] = true;
}

void Head::read(SeriesId id, std::int64_t from_ms, std::int64_t to_ms, Column& into) const {
  if (id.raw() >= series_.size()) return;
  const Series& series = series_[id.raw()];
  for (const Chunk& chunk : series.chunks) {
    if (chunk.first_ms > to_ms || chunk.last_ms < from_ms) continue;
    const std::size_t before = into.size();
    // Bytes that never left memory.
    TM_CHECK(unpack_block({chunk.bytes.get(), chunk.size}, into).has_value());
    if (chunk.first_ms < from_ms || chunk.last_ms > to_ms)
      keep_between(into, before, from_ms, to_ms);
  }
  for (const Sample& sample : series.open)
    if (sample.t_ms >= from_ms && sample.t_ms <= to_ms) into.add(sample.t_ms, sample.value);
}

}  // namespace tallymill::collector
