#include "collector/promql/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "collector/labels_check.h"
#include "collector/promql/over_time.h"
#include "collector/promql/print.h"
#include "collector/promql/sums.h"

namespace tallymill::promql {
namespace {

Labels group_of(const Labels& labels, bool without, const std::vector<std::string>& names) {
  return labels.only([&](const Label& label) {
    const bool named = std::ranges::find(names, label.name) != names.end();
    return without ? !named && label.name != collector::metric_name : named;
  });
}

struct Group {
  Labels labels;
  std::vector<std::size_t> members;  // rows
};

std::vector<Group> groups_of(const Rows& rows, bool without,
                             const std::vector<std::string>& names) {
  std::vector<Group> groups;
  std::unordered_map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Labels labels = group_of(rows[i].labels, without, names);
    const auto [at, fresh] = known.emplace(labels.packed(), groups.size());
    if (fresh) groups.push_back({std::move(labels), {}});
    groups[at->second].members.push_back(i);
  }
  return groups;
}

// ---- one number of many, member by member ----

// sum, count, group, min, max: `start` makes the first number what is there, `add` takes a further
// one to it.
template <class Start, class Add>
std::vector<double> folded(const Rows& rows, const Group& group, std::size_t steps, Start start,
                           Add add) {
  std::vector<double> into(steps, absent);
  for (const std::size_t member : group.members) {
    const double* const values = rows[member].values.data();
    for (std::size_t step = 0; step < steps; ++step) {
      if (is_absent(values[step])) continue;
      into[step] = is_absent(into[step]) ? start(values[step]) : add(into[step], values[step]);
    }
  }
  return into;
}

std::vector<double> means(const Rows& rows, const Group& group, std::size_t steps) {
  std::vector<double> mean(steps, absent);
  std::vector<double> counts(steps, 0);
  for (const std::size_t member : group.members)
    for (std::size_t step = 0; step < steps; ++step) {
      const double value = rows[member].values[step];
      if (is_absent(value)) continue;
      const double count = ++counts[step];
      if (count == 1)
        mean[step] = value;
      else if (!keeps_infinite_mean(mean[step], value))
        mean[step] += value / count - mean[step] / count;
    }
  return mean;
}

std::vector<double> variances(const Rows& rows, const Group& group, std::size_t steps, bool root) {
  std::vector<double> squares(steps, absent);
  std::vector<double> mean(steps, 0);
  std::vector<double> counts(steps, 0);
  for (const std::size_t member : group.members)
    for (std::size_t step = 0; step < steps; ++step) {
      const double value = rows[member].values[step];
      if (is_absent(value)) continue;
      const double count = ++counts[step];
      if (count == 1) {
        mean[step] = value;
        squares[step] = 0;
        continue;
      }
      const double off = value - mean[step];
      mean[step] += off / count;
      squares[step] += off * (value - mean[step]);
    }
  for (std::size_t step = 0; step < steps; ++step)
    if (counts[step] > 0) {
      squares[step] /= counts[step];
      if (root) squares[step] = std::sqrt(squares[step]);
    }
  return squares;
}

Result<std::vector<double>> quantiles(const Rows& rows, const Group& group, std::size_t steps,
                                      std::span<const double> q, Allowance& allowance) {
  std::vector<double> into(steps, absent);
  std::vector<double> values;
  for (std::size_t step = 0; step < steps; ++step) {
    if (auto still = allowance.spend(group.members.size() * 8); !still)
      return std::unexpected(std::move(still).error());
    values.clear();
    for (const std::size_t member : group.members)
      if (!is_absent(rows[member].values[step])) values.push_back(rows[member].values[step]);
    if (!values.empty()) into[step] = quantile(q[step], values);
  }
  return into;
}

Result<std::vector<double>> one_of(Aggregation op, const Rows& rows, const Group& group,
                                   std::size_t steps, std::span<const double> parameters,
                                   Allowance& allowance) {
  constexpr auto itself = [](double value) { return value; };
  constexpr auto one = [](double) { return 1.0; };
  switch (op) {
    case Aggregation::sum:
      return folded(rows, group, steps, itself, [](double a, double b) { return a + b; });
    case Aggregation::count:
      return folded(rows, group, steps, one, [](double a, double) { return a + 1; });
    case Aggregation::group:
      return folded(rows, group, steps, one, [](double a, double) { return a; });
    case Aggregation::min:
      return folded(rows, group, steps, itself,
                    [](double a, double b) { return a > b || std::isnan(a) ? b : a; });
    case Aggregation::max:
      return folded(rows, group, steps, itself,
                    [](double a, double b) { return a < b || std::isnan(a) ? b : a; });
    case Aggregation::avg:
      return means(rows, group, steps);
    case Aggregation::stddev:
    case Aggregation::stdvar:
      return variances(rows, group, steps, op == Aggregation::stddev);
    default:
      return quantiles(rows, group, steps, parameters, allowance);
  }
}

// ---- some of many ----

// Whether `a` is listed before `b`: NaN last.
bool before(double a, double b, bool top) {
  if (std::isnan(a)) return false;
  if (std::isnan(b)) return true;
  return top ? a > b : a < b;
}

Result<Rows> best(const Aggregate& how, const Rows& rows, const std::vector<Group>& groups,
                  std::size_t steps, std::span<const double> parameters, Allowance& allowance) {
  const bool top = how.op == Aggregation::topk;
  Rows chosen(rows.size());
  std::vector<std::size_t> order;  // of rows, as they are first chosen
  std::vector<std::size_t> members;
  for (std::size_t step = 0; step < steps; ++step) {
    const double k = parameters[step];
    if (std::isnan(k) || k >= 9223372036854775808.0 || k < -9223372036854775808.0)
      return fail(Errc::bad_params, fmt::format("Scalar value {} overflows int64", number_text(k)));
    for (const Group& group : groups) {
      if (auto still = allowance.spend(group.members.size() * 8); !still)
        return std::unexpected(std::move(still).error());
      members.clear();
      for (const std::size_t member : group.members)
        if (!is_absent(rows[member].values[step])) members.push_back(member);
      const auto count =
          static_cast<std::size_t>(std::clamp(k, 0.0, static_cast<double>(members.size())));
      const auto end = members.begin() + static_cast<std::ptrdiff_t>(count);
      std::ranges::partial_sort(members, end, [&](std::size_t a, std::size_t b) {
        return before(rows[a].values[step], rows[b].values[step], top);
      });
      for (auto at = members.begin(); at != end; ++at) {
        Row& row = chosen[*at];
        if (row.values.empty()) {
          row = {rows[*at].labels, std::vector<double>(steps, absent)};
          order.push_back(*at);
        }
        row.values[step] = rows[*at].values[step];
      }
    }
  }
  Rows result;
  for (const std::size_t at : order) result.push_back(std::move(chosen[at]));
  return result;
}

Result<Rows> value_counts(const Aggregate& how, const Rows& rows, std::size_t steps,
                          const std::string& name, Allowance& allowance) {
  if (!collector::is_label_name(name))
    return fail(Errc::bad_params, fmt::format("invalid label name \"{}\"", name));
  std::vector<std::string> names = how.labels;
  if (!how.without) names.push_back(name);
  Rows result;
  std::unordered_map<std::string, std::size_t> known;
  for (const Row& row : rows) {
    for (std::size_t step = 0; step < steps; ++step) {
      if (is_absent(row.values[step])) continue;
      if (auto still = allowance.spend(64); !still)
        return std::unexpected(std::move(still).error());
      LabelsBuilder builder(row.labels);
      builder.set(name, number_text(row.values[step]));
      Labels labels = group_of(builder.build(), how.without, names);
      const auto [at, fresh] = known.emplace(labels.packed(), result.size());
      if (fresh) {
        if (auto held = allowance.hold(steps); !held)
          return std::unexpected(std::move(held).error());
        result.push_back({std::move(labels), std::vector<double>(steps, absent)});
      }
      double& count = result[at->second].values[step];
      count = is_absent(count) ? 1 : count + 1;
    }
  }
  return result;
}

}  // namespace

Result<Rows> aggregated(const Aggregate& how, Rows&& rows, std::size_t steps,
                        std::span<const double> parameters, const std::string& name,
                        Allowance& allowance) {
  if (how.op == Aggregation::count_values) return value_counts(how, rows, steps, name, allowance);
  const std::vector<Group> groups = groups_of(rows, how.without, how.labels);
  if (how.op == Aggregation::topk || how.op == Aggregation::bottomk)
    return best(how, rows, groups, steps, parameters, allowance);
  Rows result;
  for (const Group& group : groups) {
    if (auto still = allowance.spend(steps); !still)
      return std::unexpected(std::move(still).error());
    auto values = one_of(how.op, rows, group, steps, parameters, allowance);
    if (!values) return std::unexpected(std::move(values).error());
    result.push_back({group.labels, std::move(*values)});
  }
  return result;
}

}  // namespace tallymill::promql
