// Log records: what the payloads of the store's files say (collector/log.h): points, as columns,
// and which series there are.
//
// Points of one push mostly share their time, name neighbouring series, and are decimals: four
// columns of integers (collector/integers.h) hold them in 2 to 3 bytes each. No record leans on
// another, so that one that is damaged costs what is in it and nothing more.
//
// Bytes of points: 'P', count (varint), columns: ids, timestamps, digits behind the point (15: no
// decimal), integers; then the values that are no decimals (8 bytes each).
// Bytes of series: 'S', or 'B' when they are of our own bus; the first one's id (varint), bytes of
// the list (varint), and the list, as it is or as a zstd frame when that is shorter: for each
// series the bytes of its packed labels (varint), the labels. Of ids of which the series died: 'D',
// the first, how many (varints).
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/series.h"

namespace tallymill::collector {

// REQUIRES: at most limits::integers_column.
void pack_points(std::span<const Point> points, std::string& to);

// Into `into`, which is cleared before. corrupt: these bytes are no record of points.
[[nodiscard]] Status unpack_points(std::string_view untrusted, std::vector<Point>& into);

struct SeriesList {
  SeriesId first;
  std::vector<Definition> series;  // the first and those behind it
  std::uint32_t dead = 0;          // or so many of which none is left
};

// REQUIRES: all are of one origin; their packed labels take at most limits::series_list_bytes, or
// there is only one.
void pack_series(SeriesId first, std::span<const Definition> series, std::string& to);
void pack_dead(SeriesId first, std::uint32_t count, std::string& to);

// corrupt: these bytes are no record of series.
[[nodiscard]] Result<SeriesList> unpack_series(std::string_view untrusted);

// The labels that are packed so. corrupt: none are.
[[nodiscard]] Result<Labels> unpack_labels(std::string_view untrusted);

}  // namespace tallymill::collector
