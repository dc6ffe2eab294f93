#include "collector/columns.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "collector/stable_sort.h"

namespace tallymill::collector {

void keep_between(Column& column, std::size_t at, std::int64_t from_ms, std::int64_t to_ms) {
  const auto begin = column.t_ms.begin();
  const auto start = begin + static_cast<std::ptrdiff_t>(at);
  const auto first = std::lower_bound(start, column.t_ms.end(), from_ms) - begin;
  const auto last = std::upper_bound(begin + first, column.t_ms.end(), to_ms) - begin;
  const auto cut = [&](auto& side) {
    side.resize(static_cast<std::size_t>(std::max(first, last)));
    side.erase(side.begin() + static_cast<std::ptrdiff_t>(at), side.begin() + first);
  };
  cut(column.t_ms);
  cut(column.value);
}

void put_in_order(Column& column) {
  const auto& t = column.t_ms;
  if (std::ranges::adjacent_find(t, std::greater_equal()) == t.end()) return;
  Column sorted;
  const auto earlier = [&](std::uint32_t a, std::uint32_t b) { return t[a] < t[b]; };
  for (const std::uint32_t i : stable_order(t.size(), earlier)) {
    if (sorted.size() > 0 && sorted.t_ms.back() == t[i])
      sorted.value.back() = column.value[i];
    else
      sorted.add(t[i], column.value[i]);
  }
  column = std::move(sorted);
}

}  // namespace tallymill::collector
