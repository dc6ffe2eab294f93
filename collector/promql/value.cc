#include "collector/promql/value.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace tallymill::promql {

bool is_all_absent(const std::vector<double>& values) {
  return std::ranges::all_of(values, is_absent);
}

void drop_absent(Rows& rows) {
  std::erase_if(rows, [](const Row& row) { return is_all_absent(row.values); });
}

Labels without_name(const Labels& labels) {
  if (labels.metric().empty()) return labels;
  return labels.only([](const Label& label) { return label.name != collector::metric_name; });
}

Error same_labelset() {
  return {Errc::bad_params, "vector cannot contain metrics with the same labelset"};
}

Status merge_equal(Rows& rows) {
  std::unordered_map<std::string_view, std::size_t> first;
  first.reserve(rows.size());
  bool merged = false;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto [at, fresh] = first.emplace(rows[i].labels.packed(), i);
    if (fresh) continue;
    merged = true;
    auto& into = rows[at->second].values;
    for (std::size_t step = 0; step < into.size(); ++step) {
      const double value = rows[i].values[step];
      if (is_absent(value)) continue;
      if (!is_absent(into[step])) return std::unexpected(same_labelset());
      into[step] = value;
    }
    rows[i].values.clear();
  }
  if (merged) std::erase_if(rows, [](const Row& row) { return row.values.empty(); });
  return {};
}

Status check_distinct(const Rows& rows) {
  std::unordered_set<std::string_view> seen;
  seen.reserve(rows.size());
  for (const Row& row : rows)
    if (!seen.insert(row.labels.packed()).second) return std::unexpected(same_labelset());
  return {};
}

}  // namespace tallymill::promql
