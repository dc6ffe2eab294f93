// LogHistogram: the one histogram, log-linear, of nanoseconds, merged by adding.
//
// Every octave of values is cut into 2^SubBits buckets of equal width, so that a value is known to
// one part in 2^SubBits at any magnitude: 2^4 in probes (a quantile is at most 6.25 % high), 2^7 in
// the load generator (0.8 %). Recording is a shift and an add. A histogram is its slab of counts
// and a sum; two of them are merged by adding, never by averaging quantiles.
//
// A bucket holds its upper bound and not its lower one, (lo, hi], as a Prometheus `le` bucket does.
// The 25 `le` bounds below are each the edge of a bucket, so a classic histogram cut from a slab
// has exact counts; that is why they read 0.000024576 and not 0.000025.
//
//   invariant: bounds of neighbours meet: upper(i) == lower(i + 1); index(upper(i)) == i
//   invariant: count() is the sum of all buckets
//
// Threads: a value; base/metrics.h has the one that another thread may read.
// Source: HdrHistogram (Gil Tene), with its bucket limits closed on the other side.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tallymill {

// Which bucket a value falls into and what that bucket spans.
template <int SubBits>
struct SlabLayout {
  static_assert(SubBits >= 1 && SubBits <= 12);
  // 2^45 ns is 9.8 h. What lasted longer is counted in the last bucket, which has no upper bound.
  static constexpr int octave_max = 45;
  static constexpr std::size_t buckets = std::size_t{octave_max - SubBits + 1} << SubBits;

  [[nodiscard]] static constexpr std::size_t index(std::uint64_t ns) {
    const std::uint64_t below = ns - (ns != 0);  // closes the bucket above instead of below
    // The first two octaves share the width 1, so that small values are exact.
    const int shift =
        static_cast<int>(std::bit_width(below | ((std::uint64_t{2} << SubBits) - 1))) - 1 - SubBits;
    const std::size_t at = (static_cast<std::size_t>(shift) << SubBits) + (below >> shift);
    return at < buckets ? at : buckets - 1;
  }

  // The largest value in the bucket (the last one's: in name only).
  [[nodiscard]] static constexpr std::uint64_t upper(std::size_t index) { return lower(index + 1); }

  // The largest value below the bucket.
  [[nodiscard]] static constexpr std::uint64_t lower(std::size_t index) {
    const std::size_t row = index >> SubBits;
    if (row == 0) return index;
    const std::uint64_t mantissa = (index & ((std::size_t{1} << SubBits) - 1)) + (1u << SubBits);
    return mantissa << (row - 1);
  }
};

// The classic bounds, as on /metrics and in the store: near 1, 2.5, 5 a decade from 25 us to
// 500 s, then 1,000 s and 30 min. Each the edge of a 2^4 slab (and so of any finer one) nearest to
// the round number.
inline constexpr std::size_t le_bound_count = 25;
inline constexpr std::array<std::uint64_t, le_bound_count> le_bounds_ns = [] {
  using Layout = SlabLayout<4>;
  std::array<std::uint64_t, le_bound_count> bounds{};
  std::size_t n = 0;
  const auto add = [&](std::uint64_t wanted) {
    const std::size_t i = Layout::index(wanted);
    const bool down = wanted - Layout::lower(i) < Layout::upper(i) - wanted;
    bounds[n++] = down ? Layout::lower(i) : Layout::upper(i);
  };
  add(25'000);
  add(50'000);
  for (std::uint64_t decade = 100'000; decade <= 100'000'000'000; decade *= 10) {
    add(decade);
    add(decade * 5 / 2);
    add(decade * 5);
  }
  add(1'000'000'000'000);
  add(1'800'000'000'000);
  if (n != le_bound_count) throw "le_bound_count is wrong";
  return bounds;
}();

// Which of the classic buckets a slab's bucket is part of: the first whose bound is not below it;
// le_bound_count is +Inf.
template <int SubBits>
inline constexpr auto le_of_bucket = [] {
  using Layout = SlabLayout<SubBits>;
  std::array<std::uint8_t, Layout::buckets> of{};
  std::uint8_t le = 0;
  for (std::size_t i = 0; i < Layout::buckets; ++i) {
    while (le < le_bound_count && Layout::upper(i) > le_bounds_ns[le]) ++le;
    of[i] = le;
  }
  of.back() = le_bound_count;
  return of;
}();

template <int SubBits>
class LogHistogram {
 public:
  using Layout = SlabLayout<SubBits>;

  void record(std::uint64_t ns) {
    ++slab_[Layout::index(ns)];
    ++count_;
    sum_ns_ += ns;
  }

  // For a histogram that comes in pieces: from the wire, or from a slab that another thread writes.
  // REQUIRES: index < Layout::buckets (checked by whoever took it from the wire).
  void add_bucket(std::size_t index, std::uint64_t times) {
    slab_[index] += times;
    count_ += times;
  }
  void add_sum(std::uint64_t ns) { sum_ns_ += ns; }

  void merge(const LogHistogram& other) {
    for (std::size_t i = 0; i < Layout::buckets; ++i) slab_[i] += other.slab_[i];
    count_ += other.count_;
    sum_ns_ += other.sum_ns_;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t sum_ns() const { return sum_ns_; }
  [[nodiscard]] std::uint64_t at(std::size_t index) const { return slab_[index]; }

  // The upper bound of the bucket that holds the value of rank ceil(q * count): never below the
  // true quantile, at most one bucket above it. 0 when nothing was recorded.
  // REQUIRES: 0 <= q <= 1.
  [[nodiscard]] std::uint64_t quantile_ns(double q) const {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
    const std::uint64_t rank = wanted < 1 ? 1 : wanted > count_ ? count_ : wanted;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < Layout::buckets; ++i) {
      seen += slab_[i];
      if (seen >= rank) return Layout::upper(i);
    }
    return Layout::upper(Layout::buckets - 1);
  }

  // How many were <= each of le_bounds_ns, cumulative as Prometheus wants them; all of them is
  // count(), the bound +Inf.
  [[nodiscard]] std::array<std::uint64_t, le_bound_count> le_counts() const {
    static_assert(SubBits >= 4, "the bounds are edges of a 2^4 slab");
    std::array<std::uint64_t, le_bound_count> counts{};
    std::uint64_t seen = 0;
    std::size_t i = 0;
    for (std::size_t b = 0; b < le_bound_count; ++b) {
      for (; i < Layout::buckets && Layout::upper(i) <= le_bounds_ns[b]; ++i) seen += slab_[i];
      counts[b] = seen;
    }
    return counts;
  }

  // visit(index, count) for each bucket that is not empty: the form on the wire.
  template <class Visit>
  void each_filled(Visit visit) const {
    for (std::size_t i = 0; i < Layout::buckets; ++i) {
      if (slab_[i] != 0) visit(i, slab_[i]);
    }
  }

  friend bool operator==(const LogHistogram&, const LogHistogram&) = default;

 private:
  std::array<std::uint64_t, Layout::buckets> slab_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
};

using ProbeHistogram = LogHistogram<4>;  // 5.4 KB
using LoadHistogram = LogHistogram<7>;   // 40 KB

}  // namespace tallymill
