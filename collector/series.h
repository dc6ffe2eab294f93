// Series: what a sample belongs to, and what it is.
//
// Labels are a set of names and values that never changes, held as one packed string and shared by
// everybody who copies it: a query that takes ten thousand series copies ten thousand pointers.
// Whoever changes some makes others (LabelsBuilder).
//
//   invariant: names are distinct and in the order of their bytes; no value is empty, for to have a
//              label without a value is not to have it
//
// Threads: values; the packed string is shared and never written.
#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/units.h"
#include "collector/seeded_hash.h"

namespace tallymill::collector {

inline constexpr std::string_view metric_name = "__name__";

struct Label {
  std::string_view name;
  std::string_view value;
  friend auto operator<=>(const Label&, const Label&) = default;
};

class Labels {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  Labels() = default;
  // Sorted here; of a name that is there twice the last counts.
  [[nodiscard]] static Labels of(Pairs pairs);

  // Empty: there is none of this name.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] std::string_view metric() const { return get(metric_name); }
  [[nodiscard]] bool empty() const { return packed_ == nullptr; }
  [[nodiscard]] std::size_t size() const;
  // What tells these from all others: a key for maps.
  [[nodiscard]] std::string_view packed() const {
    return packed_ ? std::string_view(*packed_) : std::string_view();
  }
  // Those of which `keep(label)` is true.
  template <class Keep>
  [[nodiscard]] Labels only(Keep keep) const;
  // As PromQL writes them: metric{a="b"}.
  [[nodiscard]] std::string text() const;

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Label;
    using difference_type = std::ptrdiff_t;
    using pointer = const Label*;
    using reference = const Label&;
    Iterator() = default;
    explicit Iterator(std::string_view rest) : rest_(rest) { read(); }
    const Label& operator*() const { return label_; }
    const Label* operator->() const { return &label_; }
    Iterator& operator++() {
      rest_.remove_prefix(size_);
      read();
      return *this;
    }
    void operator++(int) { ++*this; }
    // The label as it is packed.
    [[nodiscard]] std::string_view packed() const { return rest_.substr(0, size_); }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.rest_.size() == b.rest_.size();
    }

   private:
    void read();
    std::string_view rest_;
    Label label_;
    std::size_t size_ = 0;
  };
  [[nodiscard]] Iterator begin() const { return Iterator(packed()); }
  [[nodiscard]] static Iterator end() { return {}; }

  friend bool operator==(const Labels& a, const Labels& b) {
    return a.packed_ == b.packed_ || a.packed() == b.packed();
  }
  // Label by label, as Prometheus sorts results.
  friend std::strong_ordering operator<=>(const Labels& a, const Labels& b);

 private:
  friend class LabelsBuilder;
  std::shared_ptr<const std::string> packed_;  // null: there are none
};

template <class Keep>
Labels Labels::only(Keep keep) const {
  Labels labels;
  std::string packed;
  for (Iterator at = begin(); at != end(); ++at)
    if (keep(*at)) packed += at.packed();
  if (!packed.empty()) labels.packed_ = std::make_shared<const std::string>(std::move(packed));
  return labels;
}

// Some labels, made from others.
class LabelsBuilder {
 public:
  LabelsBuilder() = default;
  explicit LabelsBuilder(const Labels& from);
  // An empty value takes the label away.
  void set(std::string_view name, std::string_view value);
  void erase(std::string_view name) { set(name, {}); }
  [[nodiscard]] Labels build() const;

 private:
  Labels::Pairs pairs_;  // sorted, without empty values
};

// As PromQL and the text format quote it: "a\\nb".
void append_quoted(std::string& to, std::string_view value);

struct LabelsHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view packed) const { return hash(packed); }
  std::size_t operator()(const Labels& labels) const { return hash(labels.packed()); }
  SeededHash hash;
};

// Of one store: 0, 1, 2, ... in the order in which they came.
using SeriesId = Quantity<struct SeriesTag, std::uint32_t>;

// Who wrote a series. Of what came over our own bus old samples are thinned (collector/tiers.h);
// what others wrote is kept as it was sent.
enum class Origin : std::uint8_t { other, own_bus };

// What makes a series.
struct Definition {
  Labels labels;
  Origin origin = Origin::other;
  friend bool operator==(const Definition&, const Definition&) = default;
};

struct Sample {
  std::int64_t t_ms = 0;  // since 1970; any is data, also one before
  double value = 0;
};

// What an ingest hands to the store.
struct Point {
  SeriesId series;
  std::int64_t t_ms = 0;
  double value = 0;
};

// The end of a series: a NaN that no calculation makes. Compared by its bits.
inline constexpr std::uint64_t stale_bits = 0x7ff0000000000002;
inline constexpr double stale_marker = std::bit_cast<double>(stale_bits);
[[nodiscard]] constexpr bool is_stale(double value) {
  return std::bit_cast<std::uint64_t>(value) == stale_bits;
}

}  // namespace tallymill::collector
