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
  const std::size_t page = point.series.raw() / page_size;
  if (page >= pages_.size()) pages_.resize(page + 1);
  if (!pages_[page]) pages_[page] = std::make_unique<Page>();
  Series& series = (*pages_[page])[point.series.raw() % page_size];
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
  for (const SeriesId id : this->series()) series[id.raw()] = true;
}

std::vector<SeriesId> Head::series() const {
  std::vector<SeriesId> ids;
  for (std::size_t page = 0; page < pages_.size(); ++page)
    for (std::size_t i = 0; pages_[page] && i < page_size; ++i)
      if (!(*pages_[page])[i].open.empty())
        ids.emplace_back(static_cast<std::uint32_t>(page * page_size + i));
  return ids;
}

void Head::read(SeriesId id, std::int64_t from_ms, std::int64_t to_ms, Column& into) const {
  const std::size_t page = id.raw() / page_size;
  if (page >= pages_.size() || !pages_[page]) return;
  const Series& series = (*pages_[page])[id.raw() % page_size];
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

void Head::span(std::int64_t& first_ms, std::int64_t& last_ms) const {
  const auto widen = [&](std::int64_t first, std::int64_t last) {
    first_ms = std::min(first_ms, first);
    last_ms = std::max(last_ms, last);
  };
  for (const auto& page : pages_) {
    if (!page) continue;
    for (const Series& series : *page) {
      for (const Chunk& chunk : series.chunks) widen(chunk.first_ms, chunk.last_ms);
      for (const Sample& sample : series.open) widen(sample.t_ms, sample.t_ms);
    }
  }
}

}  // namespace tallymill::collector
