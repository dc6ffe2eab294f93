// stable_sort: what std::stable_sort does, without the temporary buffer of libstdc++ that clang
// calls deprecated.
//
// Threads: any, each with its own vectors.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace tallymill::collector {

// The places of `count` elements in the order of `less(a, b)` of two places; equal ones as they
// came.
template <class Less>
[[nodiscard]] std::vector<std::uint32_t> stable_order(std::size_t count, const Less& less) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    if (less(a, b)) return true;
    return !less(b, a) && a < b;
  });
  return order;
}

template <class Element, class Less>
void stable_sort(std::vector<Element>& all, const Less& less) {
  std::vector<Element> sorted;
  sorted.reserve(all.size());
  for (const std::uint32_t place : stable_order(
           all.size(), [&](std::uint32_t a, std::uint32_t b) { return less(all[a], all[b]); }))
    sorted.push_back(std::move(all[place]));
  all = std::move(sorted);
}

}  // namespace tallymill::collector
