#include "collector/index.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/check.h"

namespace tallymill::collector {
namespace {

bool is_lookup(const Matcher& matcher) {
  return matcher.kind() == Matcher::Kind::equal && !matcher.value().empty();
}

// Of `ids` those that are in `others`, which has as many or more. A few are looked up: a rule about
// one series names its metric, too, which ten thousand others have.
void keep_common(Index::Ids& ids, const Index::Ids& others) {
  constexpr std::size_t a_search = 32;  // costs about so many steps
  if (ids.size() * a_search < others.size()) {
    std::erase_if(ids, [&](SeriesId id) { return !std::ranges::binary_search(others, id); });
    return;
  }
  Index::Ids both;
  std::ranges::set_intersection(ids, others, std::back_inserter(both));
  ids = std::move(both);
}

}  // namespace

SeriesId Index::add(const Labels& labels, Origin origin) {
  const SeriesId id(next_);
  put(id, labels, origin);
  return id;
}

void Index::put(SeriesId series, const Labels& labels, Origin origin, bool lost) {
  const std::size_t page = series.raw() / page_size;
  if (page >= pages_.size()) pages_.resize(page + 1);
  if (!pages_[page]) pages_[page] = std::make_unique<Page>();
  TM_CHECK(!has(series));
  entry(series) = {labels, origin, true, false};
  ++pages_[page]->used;
  ++size_;
  labels_bytes_ += labels.packed().size();
  skip_to(series.raw() + 1);
  TM_CHECK(by_labels_.emplace(labels.packed(), series).second);
  for (const Label& label : labels) {
    auto name = names_.find(label.name);
    if (name == names_.end()) name = names_.emplace(label.name, Values()).first;
    auto value = name->second.find(label.value);
    if (value == name->second.end()) value = name->second.emplace(label.value, Ids()).first;
    Ids& ids = value->second;
    TM_CHECK(lost || ids.empty() || ids.back() < series);
    ids.insert(lost ? std::ranges::lower_bound(ids, series) : ids.end(), series);
  }
}

void Index::remove(std::span<const SeriesId> series) {
  // The postings of each label that one of them has, once.
  std::set<std::pair<std::string, std::string>> labels_gone;
  for (const SeriesId id : series)
    for (const Label& label : labels(id)) labels_gone.emplace(label.name, label.value);
  for (const auto& [name, value] : labels_gone) {
    const auto values = names_.find(name);
    const auto postings = values->second.find(value);
    std::erase_if(postings->second,
                  [&](SeriesId id) { return std::ranges::binary_search(series, id); });
    if (postings->second.empty()) values->second.erase(postings);
    if (values->second.empty()) names_.erase(values);
  }
  for (const SeriesId id : series) {
    labels_bytes_ -= labels(id).packed().size();
    by_labels_.erase(labels(id).packed());
    entry(id) = {};
    auto& page = pages_[id.raw() / page_size];
    if (--page->used == 0) page.reset();
    --size_;
  }
}

std::optional<SeriesId> Index::find(std::string_view packed) const {
  const auto found = by_labels_.find(packed);
  if (found == by_labels_.end()) return std::nullopt;
  return found->second;
}

std::vector<SeriesId> Index::select(std::span<const Matcher> matchers) const {
  std::vector<const Ids*> equal;
  std::vector<const Matcher*> others;
  for (const Matcher& matcher : matchers) {
    if (!is_lookup(matcher)) {
      others.push_back(&matcher);
      continue;
    }
    equal.push_back(postings(matcher));
    if (equal.back() == nullptr) return {};
  }
  std::ranges::sort(equal, {}, [](const Ids* ids) { return ids->size(); });
  // The fewest values to judge first.
  std::ranges::sort(others, {}, [&](const Matcher* matcher) {
    const Values* values = values_of(matcher->name());
    return values == nullptr ? 0 : values->size();
  });

  Ids ids;
  if (!equal.empty()) {
    ids = *equal[0];
    for (std::size_t i = 1; i < equal.size(); ++i) keep_common(ids, *equal[i]);
  } else {
    // One that "" does not fit names what it takes; else all are candidates.
    const auto first = std::ranges::find_if(others, [](const Matcher* m) { return !m->fits(""); });
    if (first == others.end()) {
      ids = all();
    } else {
      const Values* values = values_of((*first)->name());
      if (values == nullptr) return {};
      ids = having(*values, **first);
      others.erase(first);
    }
  }
  for (const Matcher* matcher : others) {
    if (ids.empty()) break;
    narrow(ids, *matcher);
  }
  return ids;
}

std::vector<std::string> Index::names(std::span<const Matcher> matchers) const {
  std::vector<std::string> found;
  if (matchers.empty()) {
    for (const auto& [name, values] : names_) found.push_back(name);
    return found;
  }
  std::set<std::string_view> distinct;
  for (const SeriesId id : select(matchers))
    for (const Label& label : labels(id)) distinct.insert(label.name);
  found.assign(distinct.begin(), distinct.end());
  return found;
}

std::vector<std::string> Index::values(std::string_view name,
                                       std::span<const Matcher> matchers) const {
  std::vector<std::string> found;
  if (matchers.empty()) {
    if (const Values* values = values_of(name))
      for (const auto& [value, ids] : *values) found.push_back(value);
    return found;
  }
  std::set<std::string_view> distinct;
  for (const SeriesId id : select(matchers)) distinct.insert(labels(id).get(name));
  distinct.erase("");
  found.assign(distinct.begin(), distinct.end());
  return found;
}

std::vector<std::pair<std::string, std::size_t>> Index::values_per_name() const {
  std::vector<std::pair<std::string, std::size_t>> counts;
  for (const auto& [name, values] : names_) counts.emplace_back(name, values.size());
  return counts;
}

const Index::Values* Index::values_of(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : &found->second;
}

const Index::Ids* Index::postings(const Matcher& equal) const {
  const Values* values = values_of(equal.name());
  if (values == nullptr) return nullptr;
  const auto found = values->find(equal.value());
  return found == values->end() ? nullptr : &found->second;
}

// The series with a value that fits.
Index::Ids Index::having(const Values& values, const Matcher& matcher) const {
  Ids ids;
  std::size_t lists = 0;
  for (const auto& [value, postings] : values) {
    if (!matcher.fits(value)) continue;
    ids.insert(ids.end(), postings.begin(), postings.end());
    ++lists;
  }
  // A series has one value of a name: there is nothing twice.
  if (lists > 1) std::ranges::sort(ids);
  return ids;
}

Index::Ids Index::all() const {
  Ids ids;
  ids.reserve(size_);
  for (std::size_t page = 0; page < pages_.size(); ++page)
    for (std::size_t i = 0; pages_[page] && i < page_size; ++i)
      if (pages_[page]->all[i].used)
        ids.emplace_back(static_cast<std::uint32_t>(page * page_size + i));
  return ids;
}

void Index::narrow(Ids& ids, const Matcher& matcher) const {
  const Values* values = values_of(matcher.name());
  const bool fits_none = matcher.fits("");
  if (values == nullptr) {
    if (!fits_none) ids.clear();
    return;
  }
  // Few series: their own values are judged. Many: each value of the name is, once.
  if (ids.size() <= values->size()) {
    std::erase_if(ids, [&](SeriesId id) { return !matcher.fits(labels(id).get(matcher.name())); });
    return;
  }
  Ids left;
  if (!fits_none) {
    std::ranges::set_intersection(ids, having(*values, matcher), std::back_inserter(left));
  } else {
    Ids out;
    for (const auto& [value, postings] : *values)
      if (!matcher.fits(value)) out.insert(out.end(), postings.begin(), postings.end());
    std::ranges::sort(out);
    std::ranges::set_difference(ids, out, std::back_inserter(left));
  }
  ids = std::move(left);
}

Index::Cardinality Index::cardinality(std::size_t most) const {
  Cardinality found;
  // The least of those that are kept is in front, so that most are told to go by one look.
  const auto above = [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  };
  const auto push = [&](Cardinality::Counts& counts, std::uint64_t count, auto name) {
    if (counts.size() == most && (most == 0 || count < counts.front().second)) return;
    counts.emplace_back(name(), count);
    std::ranges::push_heap(counts, above);
    if (counts.size() <= most) return;
    std::ranges::pop_heap(counts, above);
    counts.pop_back();
  };
  for (const auto& [name, values] : names_) {
    const auto own_name = [&] { return name; };
    std::uint64_t bytes = 0;
    for (const auto& [value, ids] : values) {
      if (name == metric_name) push(found.series_by_metric, ids.size(), [&] { return value; });
      push(found.series_by_pair, ids.size(), [&] { return fmt::format("{}={}", name, value); });
      bytes += value.size();
    }
    found.pairs += values.size();
    push(found.values_by_name, values.size(), own_name);
    push(found.bytes_by_name, bytes, own_name);
  }
  for (auto* counts : {&found.series_by_metric, &found.values_by_name, &found.bytes_by_name,
                       &found.series_by_pair})
    std::ranges::sort(*counts, above);
  return found;
}

}  // namespace tallymill::collector
