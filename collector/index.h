// Index: which series there are, and which of them some matchers fit.
//
// Each series has a number, from 0 in the order in which they came. One that dies is taken out and
// its number is never given again. Numbers are held in pages, which go when all in them are gone:
// what died long ago costs a fraction of a byte. For each value of each name the numbers of the
// series that have it (its postings) are kept sorted, which they are by themselves, since the
// newest has the highest. A selection starts with the shortest postings that an equality
// names and narrows them; what it cannot narrow by postings it decides by the values of a name,
// each judged once.
//
//   invariant: ids are below next(); labels of a series never change
//   invariant: postings are strictly ascending; none is empty
//
// Threads: one that adds, while nobody else reads; between two adds any number that read.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/query.h"
#include "collector/seeded_hash.h"
#include "collector/series.h"

namespace tallymill::collector {

class Index {
 public:
  using Ids = std::vector<SeriesId>;

  // With the next id. REQUIRES: there is no series with these labels.
  SeriesId add(const Labels& labels, Origin origin = Origin::other);
  // With this one. REQUIRES: also that no series has it, and in the postings none has a later one
  // unless it is `lost`, which sorts anew.
  void put(SeriesId series, const Labels& labels, Origin origin, bool lost = false);
  // No id below this one is given from now on.
  void skip_to(std::uint32_t next) { next_ = std::max(next_, next); }
  // REQUIRES: ascending, all are there.
  void remove(std::span<const SeriesId> series);

  // By Labels::packed().
  [[nodiscard]] std::optional<SeriesId> find(std::string_view packed) const;
  [[nodiscard]] bool has(SeriesId series) const {
    const std::size_t page = series.raw() / page_size;
    return page < pages_.size() && pages_[page] && pages_[page]->all[series.raw() % page_size].used;
  }
  // REQUIRES: the series is there.
  [[nodiscard]] const Labels& labels(SeriesId series) const { return entry(series).labels; }
  [[nodiscard]] Origin origin(SeriesId series) const { return entry(series).origin; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint32_t next() const { return next_; }
  // Of all labels, as packed.
  [[nodiscard]] std::uint64_t labels_bytes() const { return labels_bytes_; }
  [[nodiscard]] Ids all() const;

  // A mark for its owner, which is not set at first.
  void mark(SeriesId series, bool marked) { entry(series).marked = marked; }
  [[nodiscard]] bool is_marked(SeriesId series) const { return entry(series).marked; }

  // Ascending; all series when there is no matcher.
  [[nodiscard]] std::vector<SeriesId> select(std::span<const Matcher> matchers) const;

  // Names of labels, and values of one, of the series that all matchers fit; sorted.
  [[nodiscard]] std::vector<std::string> names(std::span<const Matcher> matchers = {}) const;
  [[nodiscard]] std::vector<std::string> values(std::string_view name,
                                                std::span<const Matcher> matchers = {}) const;
  // How many distinct values each name has, for who asks what fills the store.
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> values_per_name() const;
  // The same in full: what there is most of, each at most `most` long, the largest first.
  struct Cardinality {
    using Counts = std::vector<std::pair<std::string, std::uint64_t>>;
    std::uint64_t pairs = 0;  // distinct names with their values
    Counts series_by_metric;
    Counts values_by_name;
    Counts bytes_by_name;   // of distinct values
    Counts series_by_pair;  // "name=value"
  };
  [[nodiscard]] Cardinality cardinality(std::size_t most) const;

 private:
  static constexpr std::size_t page_size = 256;
  struct Entry {
    Labels labels;
    Origin origin = Origin::other;
    bool used = false;
    bool marked = false;
  };
  struct Page {
    std::array<Entry, page_size> all;
    std::size_t used = 0;
  };
  // Sorted, since lists of names and values are asked for so.
  using Values = std::map<std::string, Ids, std::less<>>;

  [[nodiscard]] const Values* values_of(std::string_view name) const;
  [[nodiscard]] const Ids* postings(const Matcher& equal) const;
  [[nodiscard]] Ids having(const Values& values, const Matcher& matcher) const;
  [[nodiscard]] const Entry& entry(SeriesId series) const {
    return pages_[series.raw() / page_size]->all[series.raw() % page_size];
  }
  [[nodiscard]] Entry& entry(SeriesId series) {
    return pages_[series.raw() / page_size]->all[series.raw() % page_size];
  }
  void narrow(Ids& ids, const Matcher& matcher) const;

  std::vector<std::unique_ptr<Page>> pages_;
  std::size_t size_ = 0;
  std::uint32_t next_ = 0;
  std::uint64_t labels_bytes_ = 0;
  // Views into what the entries hold. Senders choose labels.
  std::unordered_map<std::string_view, SeriesId, SeededHash> by_labels_;
  std::map<std::string, Values, std::less<>> names_;
};

}  // namespace tallymill::collector
