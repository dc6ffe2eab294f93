// Index: which series there are, and which of them some matchers fit.
//
// Each series has a number, from 0 in the order in which they came. For each value of each name the
// numbers of the series that have it (its postings) are kept sorted, which they are by themselves,
// since the newest has the highest. A selection starts with the shortest postings that an equality
// names and narrows them; what it cannot narrow by postings it decides by the values of a name,
// each judged once.
//
//   invariant: ids are those from 0 to size() - 1; labels of a series never change
//   invariant: postings are strictly ascending; none is empty
//
// Threads: one that adds, while nobody else reads; between two adds any number that read.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/query.h"
#include "collector/series.h"

namespace tallymill::collector {

class Index {
 public:
  // REQUIRES: there is no series with these labels.
  SeriesId add(const Labels& labels);
  // By Labels::packed().
  [[nodiscard]] std::optional<SeriesId> find(std::string_view packed) const;
  // REQUIRES: the series is there.
  [[nodiscard]] const Labels& labels(SeriesId series) const { return series_[series.raw()]; }
  [[nodiscard]] std::size_t size() const { return series_.size(); }

  // Ascending; all series when there is no matcher.
  [[nodiscard]] std::vector<SeriesId> select(std::span<const Matcher> matchers) const;

  // Names of labels, and values of one, of the series that all matchers fit; sorted.
  [[nodiscard]] std::vector<std::string> names(std::span<const Matcher> matchers = {}) const;
  [[nodiscard]] std::vector<std::string> values(std::string_view name,
                                                std::span<const Matcher> matchers = {}) const;
  // How many distinct values each name has, for who asks what fills the store.
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> values_per_name() const;

 private:
  using Ids = std::vector<SeriesId>;
  // Sorted, since lists of names and values are asked for so.
  using Values = std::map<std::string, Ids, std::less<>>;

  [[nodiscard]] const Values* values_of(std::string_view name) const;
  [[nodiscard]] const Ids* postings(const Matcher& equal) const;
  [[nodiscard]] Ids having(const Values& values, const Matcher& matcher) const;
  [[nodiscard]] Ids all() const;
  void narrow(Ids& ids, const Matcher& matcher) const;

  std::vector<Labels> series_;
  std::unordered_map<std::string_view, SeriesId>
      by_labels_;  // views into series_, which share them
  std::map<std::string, Values, std::less<>> names_;
};

}  // namespace tallymill::collector
