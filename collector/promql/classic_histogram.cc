// 1. Rows that agree in all labels but `le` and the name are one histogram.
// 2. At each step its buckets that are there are brought in order, equal bounds are added up, and a
//    count below the one before is raised to it: buckets are read one after another, and more may
//    have come in between.
// 3. Within the bucket that the rank falls into, values are taken to be spread evenly.
#include "collector/promql/classic_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "collector/promql/go_text.h"
#include "collector/promql/mutant.h"
#include "collector/stable_sort.h"

namespace tallymill::promql {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Bucket {
  double bound = 0;
  const std::vector<double>* counts = nullptr;
};
struct Histogram {
  Labels labels;
  std::vector<Bucket> buckets;  // by their bounds
};

std::vector<Histogram> histograms_of(const Rows& rows) {
  std::vector<Histogram> all;
  std::unordered_map<std::string, std::size_t> known;
  for (const Row& row : rows) {
    const auto bound = go_float(row.labels.get("le"));
    if (!bound) continue;
    LabelsBuilder builder(row.labels);
    builder.erase("le");
    builder.erase(collector::metric_name);
    Labels labels = builder.build();
    const auto [at, fresh] = known.emplace(labels.packed(), all.size());
    if (fresh) all.push_back({std::move(labels), {}});
    all[at->second].buckets.push_back({*bound, &row.values});
  }
  // NaN, which is no bound, last: so that there is an order.
  const auto before = [](const Bucket& a, const Bucket& b) {
    return a.bound < b.bound || (std::isnan(b.bound) && !std::isnan(a.bound));
  };
  for (Histogram& one : all) collector::stable_sort(one.buckets, before);
  return all;
}

struct Edge {
  double bound = 0;
  double count = 0;  // of all that is not above it
};

void take_step(const Histogram& histogram, std::size_t step, std::vector<Edge>& edges) {
  edges.clear();
  for (const Bucket& bucket : histogram.buckets) {
    const double count = (*bucket.counts)[step];
    if (is_absent(count)) continue;
    if (!edges.empty() && edges.back().bound == bucket.bound)
      edges.back().count += count;
    else
      edges.push_back({bucket.bound, count});
  }
}

double quantile_of(double q, std::vector<Edge>& edges) {
  if (std::isnan(q)) return nan_value;
  if (q < 0) return -infinity;
  if (q > 1) return infinity;
  if (edges.back().bound != infinity || edges.size() < 2) return nan_value;
  double most = edges.front().count;
  for (Edge& edge : edges) {
    if (edge.count > most)
      most = edge.count;
    else if (edge.count < most && !plants(Mutant::buckets_as_they_are))
      edge.count = most;
  }
  const double observed = edges.back().count;
  if (observed == 0) return nan_value;
  double rank = q * observed;
  const auto last = edges.end() - 1;
  // By halves, as Go's sort.Search: with NaN among the counts it matters.
  const auto at = std::partition_point(edges.begin(), last,
                                       [&](const Edge& edge) { return !(edge.count >= rank); });
  if (at == last) return (last - 1)->bound;
  if (at == edges.begin() && at->bound <= 0) return at->bound;
  double begin = 0;
  double count = at->count;
  if (at != edges.begin()) {
    begin = (at - 1)->bound;
    count -= (at - 1)->count;
    rank -= (at - 1)->count;
  }
  return begin + (at->bound - begin) * (rank / count);
}

}  // namespace

Result<Rows> histogram_quantiles(std::span<const double> q, const Rows& buckets) {
  Rows result;
  std::vector<Edge> edges;
  for (const Histogram& histogram : histograms_of(buckets)) {
    Row row{histogram.labels, std::vector<double>(q.size(), absent)};
    for (std::size_t step = 0; step < q.size(); ++step) {
      take_step(histogram, step, edges);
      if (!edges.empty()) row.values[step] = canonical(quantile_of(q[step], edges));
    }
    if (!is_all_absent(row.values)) result.push_back(std::move(row));
  }
  return result;
}

}  // namespace tallymill::promql
