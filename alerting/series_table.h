// SeriesTable: something of each of a few series, found by their ids among the samples of all.
//
// A bit for each id says whether there is something, so that most samples are passed at once; what
// there is of 64 ids stands together, in their order.
//
// Memory: 32 bytes for 64 ids up to the highest that is in it.
//
// Threads: none of its own.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collector/series.h"

namespace tallymill::alerting {

template <class T>
class SeriesTable {
 public:
  // For who looks at many ids: those for which there is something, until one is added or erased.
  class Ids {
   public:
    explicit Ids(std::span<const std::uint64_t> bits) : bits_(bits) {}
    [[nodiscard]] bool has(collector::SeriesId series) const {
      const std::size_t word = series.raw() / 64;
      return word < bits_.size() && (bits_[word] & bit(series)) != 0;
    }

   private:
    std::span<const std::uint64_t> bits_;
  };
  [[nodiscard]] Ids ids() const { return Ids(bits_); }
  // Null: there is none. It stays where it is until another is added or erased.
  [[nodiscard]] T* find(collector::SeriesId series) {
    return ids().has(series) ? &all_[series.raw() / 64][before(series)] : nullptr;
  }
  // The one that is there, or a new one.
  T& operator[](collector::SeriesId series) {
    if (T* const there = find(series)) return *there;
    const std::size_t word = series.raw() / 64;
    if (word >= bits_.size()) {
      bits_.resize(word + 1);
      all_.resize(word + 1);
    }
    const auto at = all_[word].begin() + static_cast<std::ptrdiff_t>(before(series));
    bits_[word] |= bit(series);
    return *all_[word].emplace(at);
  }
  // REQUIRES: it is there.
  void erase(collector::SeriesId series) {
    const std::size_t word = series.raw() / 64;
    all_[word].erase(all_[word].begin() + static_cast<std::ptrdiff_t>(before(series)));
    bits_[word] &= ~bit(series);
  }
  void clear() {
    bits_.clear();
    all_.clear();
  }

 private:
  static std::uint64_t bit(collector::SeriesId series) {
    return std::uint64_t{1} << (series.raw() % 64);
  }
  // How many of its word stand before it.
  [[nodiscard]] std::size_t before(collector::SeriesId series) const {
    return static_cast<std::size_t>(std::popcount(bits_[series.raw() / 64] & (bit(series) - 1)));
  }

  std::vector<std::uint64_t> bits_;
  std::vector<std::vector<T>> all_;
};

}  // namespace tallymill::alerting
