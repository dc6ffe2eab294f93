#include "collector/log_records.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "collector/bytes.h"
#include "collector/decimal.h"
#include "collector/integers.h"

namespace tallymill::collector {
namespace {

constexpr std::int64_t no_decimal = 15;
static_assert(most_decimals < no_decimal);
constexpr int zstd_level = 3;

struct Columns {
  std::vector<std::int64_t> ids, times, decimals, integers;
  void resize(std::size_t count) {
    for (auto* column : {&ids, &times, &decimals, &integers}) column->resize(count);
  }
};

// Fewest digits first, but those that the last value with some had before all others: neighbours
// are of one kind, and a column that does not change costs nothing.
std::pair<std::int64_t, std::int64_t> decimal_of(double value, std::int64_t& usual) {
  if (const auto integer = decimal_integer(value, 0)) return {0, *integer};
  if (const auto integer = decimal_integer(value, static_cast<unsigned>(usual)))
    return {usual, *integer};
  for (unsigned decimals = 1; decimals <= most_decimals; ++decimals)
    if (const auto integer = decimal_integer(value, decimals)) {
      usual = decimals;
      return {decimals, *integer};
    }
  return {no_decimal, 0};
}

}  // namespace

void pack_points(std::span<const Point> points, std::string& to) {
  TM_CHECK(points.size() <= limits::integers_column);
  static thread_local Columns columns;
  columns.resize(points.size());
  std::string raw;
  std::int64_t usual = 1;
  for (std::size_t i = 0; i < points.size(); ++i) {
    columns.ids[i] = points[i].series.raw();
    columns.times[i] = points[i].t_ms;
    std::tie(columns.decimals[i], columns.integers[i]) = decimal_of(points[i].value, usual);
    if (columns.decimals[i] == no_decimal) append_word(raw, points[i].value);
  }
  to += 'P';
  append_varint(to, points.size());
  for (const auto* column : {&columns.ids, &columns.times, &columns.decimals, &columns.integers})
    pack_integers(*column, to);
  to += raw;
}

Status unpack_points(std::string_view untrusted, std::vector<Point>& into) {
  static thread_local Columns columns;
  into.clear();
  Reader from(untrusted);
  const bool is_points = from.byte() == 'P';
  const std::uint64_t count = from.varint();
  bool good = is_points && from.ok() && count <= limits::integers_column;
  if (good) {
    columns.resize(count);
    for (auto* column : {&columns.ids, &columns.times, &columns.decimals, &columns.integers})
      good = good && unpack_integers(from, *column);
  }
  for (std::size_t i = 0; good && i < count; ++i) {
    const std::int64_t decimals = columns.decimals[i];
    good = std::in_range<std::uint32_t>(columns.ids[i]) && decimals >= 0 &&
           (decimals <= most_decimals || decimals == no_decimal);
    if (!good) break;
    into.push_back({SeriesId(static_cast<std::uint32_t>(columns.ids[i])), columns.times[i],
                    decimals == no_decimal
                        ? from.word<double>()
                        : decimal_value(columns.integers[i], static_cast<unsigned>(decimals))});
  }
  if (good && from.ok() && from.at_end()) return {};
  into.clear();
  return fail(Errc::corrupt, "these bytes are no record of points");
}

void pack_series(SeriesId first, std::span<const Definition> series, std::string& to) {
  TM_CHECK(!series.empty());
  const Origin origin = series[0].origin;
  std::string list;
  for (const Definition& each : series) {
    TM_CHECK(each.origin == origin);
    append_varint(list, each.labels.packed().size());
    list += each.labels.packed();
  }
  to += origin == Origin::own_bus ? 'B' : 'S';
  append_varint(to, first.raw());
  append_varint(to, list.size());
  std::string shorter(ZSTD_compressBound(list.size()), '\0');
  const std::size_t size =
      ZSTD_compress(shorter.data(), shorter.size(), list.data(), list.size(), zstd_level);
  if (ZSTD_isError(size) == 0 && size < list.size())
    to.append(shorter, 0, size);
  else
    to += list;
}

void pack_dead(SeriesId first, std::uint32_t count, std::string& to) {
  to += 'D';
  append_varint(to, first.raw());
  append_varint(to, count);
}

Result<SeriesList> unpack_series(std::string_view untrusted) {
  const auto refused = fail(Errc::corrupt, "these bytes are no record of series");
  Reader from(untrusted);
  const auto kind = static_cast<char>(from.byte());
  const std::uint64_t first = from.varint();
  const std::uint64_t size = from.varint();
  if (kind == 'D' && from.ok() && from.at_end() && std::in_range<std::uint32_t>(first) &&
      std::in_range<std::uint32_t>(size))
    return SeriesList{
        SeriesId(static_cast<std::uint32_t>(first)), {}, static_cast<std::uint32_t>(size)};
  if ((kind != 'S' && kind != 'B') || !from.ok() || !std::in_range<std::uint32_t>(first) ||
      size > limits::series_list_bytes + limits::series_labels_bytes)
    return refused;
  std::string list(from.rest());
  if (list.size() != size) {
    list.resize(size);
    const std::string_view frame = from.rest();
    if (ZSTD_decompress(list.data(), size, frame.data(), frame.size()) != size) return refused;
  }
  SeriesList found{SeriesId(static_cast<std::uint32_t>(first)), {}};
  const Origin origin = kind == 'B' ? Origin::own_bus : Origin::other;
  Reader each(list);
  while (!each.at_end()) {
    const std::string_view packed = each.take(each.varint());
    auto labels = unpack_labels(packed);
    if (!each.ok() || !labels) return refused;
    found.series.push_back({*std::move(labels), origin});
  }
  return each.ok() ? Result<SeriesList>(std::move(found)) : refused;
}

Result<Labels> unpack_labels(std::string_view untrusted) {
  Reader from(untrusted);
  Labels::Pairs pairs;
  while (!from.at_end()) {
    const std::string_view name = from.take(from.varint());
    const std::string_view value = from.take(from.varint());
    pairs.emplace_back(name, value);
  }
  Labels labels = Labels::of(std::move(pairs));
  if (!from.ok() || labels.packed() != untrusted)
    return fail(Errc::corrupt, "these bytes are no labels");
  return labels;
}

}  // namespace tallymill::collector
