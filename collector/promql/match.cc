#include "collector/promql/match.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "collector/promql/mutant.h"

namespace tallymill::promql {
namespace {

bool holds(Operator op, double left, double right) {
  switch (op) {
    case Operator::equal:
      return left == right;
    case Operator::not_equal:
      return left != right;
    case Operator::less:
      return left < right;
    case Operator::less_equal:
      return left <= right;
    case Operator::greater:
      return left > right;
    default:
      return left >= right;
  }
}

// atan2 keeps it in Prometheus 2.42, and so here.
bool drops_name(const Binary& how) {
  if (how.return_bool) return !plants(Mutant::bool_keeps_the_name);
  return !(is_comparison(how.op) || how.op == Operator::atan2);
}

// The labels by which two elements find one another.
Labels match_group(const Labels& labels, const Matching& matching) {
  Labels::Pairs kept;
  for (const Label& label : labels) {
    const bool named = std::ranges::find(matching.labels, label.name) != matching.labels.end();
    const bool is_name = label.name == collector::metric_name && !plants(Mutant::name_matches);
    if (matching.on ? !named : named || is_name) continue;
    kept.emplace_back(label.name, label.value);
  }
  return Labels::of(std::move(kept));
}
std::string signature(const Labels& labels, const Matching& matching) {
  return std::string(match_group(labels, matching).packed());
}

using Members = std::vector<std::size_t>;
using BySignature = std::unordered_map<std::string, Members>;
BySignature by_signature(const Rows& rows, const Matching& matching) {
  BySignature by;
  for (std::size_t i = 0; i < rows.size(); ++i)
    by[signature(rows[i].labels, matching)].push_back(i);
  return by;
}

// Whether any of them is there, step by step.
std::vector<bool> presence(const Rows& rows, const Members& members, std::size_t steps) {
  std::vector<bool> there(steps, false);
  for (const std::size_t member : members)
    for (std::size_t step = 0; step < steps; ++step)
      if (!is_absent(rows[member].values[step])) there[step] = true;
  return there;
}
std::vector<bool> presence(const Rows& rows, std::size_t steps) {
  Members all(rows.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return presence(rows, all, steps);
}

// ---- and, or, unless ----

// What is left of the row where `there` is so, or is not.
void keep_where(Row& row, const std::vector<bool>* there, bool wanted) {
  for (std::size_t step = 0; step < row.values.size(); ++step)
    if ((there != nullptr && (*there)[step]) != wanted) row.values[step] = absent;
}

// Each row where the other side has, or has not, one of its signature.
void keep_by(Rows& rows, const Rows& others, const Matching& matching, std::size_t steps,
             bool wanted) {
  std::unordered_map<std::string, std::vector<bool>> there;
  for (const auto& [sign, members] : by_signature(others, matching))
    there.emplace(sign, presence(others, members, steps));
  for (Row& row : rows) {
    const auto at = there.find(signature(row.labels, matching));
    keep_where(row, at == there.end() ? nullptr : &at->second, wanted);
  }
}

Result<Rows> set_operation(const Binary& how, Rows&& left, Rows&& right, std::size_t steps) {
  if (how.op == Operator::lor) {
    keep_by(right, left, how.matching, steps, false);
    std::ranges::move(right, std::back_inserter(left));
  } else {
    keep_by(left, right, how.matching, steps, how.op == Operator::land);
  }
  drop_absent(left);
  if (auto merged = merge_equal(left); !merged) return std::unexpected(std::move(merged).error());
  return std::move(left);
}

// ---- arithmetic and comparisons ----

// The "one" side of a match: at each step, which of its rows each signature has.
class OneSide {
 public:
  OneSide(const Rows& rows, const Matching& matching) : rows_(rows), matching_(matching) {
    by_ = by_signature(rows, matching);
  }
  // Two of one signature at a step at which the other side is there at all.
  [[nodiscard]] Status check(const std::vector<bool>& other_there, std::string_view side) const {
    for (const auto& [sign, members] : by_) {
      if (members.size() < 2) continue;
      for (std::size_t step = 0; step < other_there.size(); ++step) {
        const auto count = std::ranges::count_if(
            members, [&](std::size_t m) { return !is_absent(rows_[m].values[step]); });
        if (count > 1 && other_there[step])
          return fail(
              Errc::bad_params,
              fmt::format("found duplicate series for the match group {} on the {} hand-side "
                          "of the operation: [{}, {}];many-to-many matching not allowed: "
                          "matching labels must be unique on one side",
                          match_group(rows_[members[0]].labels, matching_).text(), side,
                          rows_[members[0]].labels.text(), rows_[members[1]].labels.text()));
      }
    }
    return {};
  }
  [[nodiscard]] const Members* of(const std::string& sign) const {
    const auto at = by_.find(sign);
    return at == by_.end() ? nullptr : &at->second;
  }

 private:
  const Rows& rows_;
  const Matching& matching_;
  BySignature by_;
};

Labels result_labels(const Binary& how, const Labels& many, const Labels& one) {
  const Matching& matching = how.matching;
  LabelsBuilder builder(many);
  if (drops_name(how)) builder.erase(collector::metric_name);
  if (matching.card == Matching::Card::one_to_one) {
    for (const Label& label : many) {
      const bool named = std::ranges::find(matching.labels, label.name) != matching.labels.end();
      if (named != matching.on) builder.erase(label.name);
    }
  }
  for (const std::string& name : matching.include) builder.set(name, one.get(name));
  return builder.build();
}

// What a signature has given so far.
struct Group {
  std::size_t rows = 0;  // of the many side
  // By their labels, of all results; several rows that take turns give one.
  std::unordered_map<std::string, std::size_t> results;
  std::vector<bool> made;  // at which steps there is one: of one-to-one, where there are more rows
};

class Arithmetic {
 public:
  Arithmetic(const Binary& how, const Rows& many, const Rows& one, std::size_t steps,
             Allowance& allowance)
      : how_(how),
        allowance_(allowance),
        many_(many),
        one_(one),
        steps_(steps),
        swapped_(how.matching.card == Matching::Card::one_to_many),
        sides_(one, how.matching) {}

  Result<Rows> run() {
    const auto there = presence(many_, steps_);
    if (auto checked = sides_.check(there, swapped_ ? "left" : "right"); !checked)
      return std::unexpected(std::move(checked).error());
    for (const Row& row : many_) ++groups_[signature(row.labels, how_.matching)].rows;
    for (const Row& row : many_) {
      const std::string sign = signature(row.labels, how_.matching);
      const Members* others = sides_.of(sign);
      if (others == nullptr) continue;
      for (const std::size_t other : *others)
        if (auto made = pair(groups_[sign], row, one_[other]); !made)
          return std::unexpected(std::move(made).error());
    }
    if (auto merged = merge_equal(result_); !merged)
      return std::unexpected(std::move(merged).error());
    return std::move(result_);
  }

 private:
  Status pair(Group& group, const Row& many, const Row& one) {
    if (auto still = allowance_.spend(steps_ + 64); !still) return still;
    Labels labels = result_labels(how_, many.labels, one.labels);
    const auto [at, fresh] =
        group.results.try_emplace(std::string(labels.packed()), result_.size());
    if (fresh) {
      if (auto held = allowance_.hold(steps_); !held) return held;
      result_.push_back({std::move(labels), std::vector<double>(steps_, absent)});
    }
    Row& into = result_[at->second];
    if (auto filled = fill(group, many, one, into); !filled) return filled;
    if (!fresh || !is_all_absent(into.values)) return {};
    result_.pop_back();
    group.results.erase(at);
    allowance_.give_back(steps_);
    return {};
  }

  // With one-to-one any second result of a signature at a step is an error, else one of the same
  // labels.
  Status fill(Group& group, const Row& many, const Row& one, Row& into) const {
    const bool one_to_one = how_.matching.card == Matching::Card::one_to_one;
    const bool marks = one_to_one && group.rows > 1;
    if (marks) group.made.resize(steps_);
    for (std::size_t step = 0; step < steps_; ++step) {
      if (is_absent(many.values[step]) || is_absent(one.values[step])) continue;
      const double left = swapped_ ? one.values[step] : many.values[step];
      const double right = swapped_ ? many.values[step] : one.values[step];
      const bool filters = is_comparison(how_.op) && !how_.return_bool;
      if (filters && !holds(how_.op, left, right)) continue;
      if (marks ? group.made[step] : !is_absent(into.values[step]))
        return fail(
            Errc::bad_params,
            one_to_one ? "multiple matches for labels: many-to-one matching must be explicit "
                         "(group_left/group_right)"
                       : "multiple matches for labels: grouping labels must ensure unique matches");
      into.values[step] = filters ? left : operated(how_.op, left, right);
      if (marks) group.made[step] = true;
    }
    return {};
  }

  const Binary& how_;
  Allowance& allowance_;
  const Rows& many_;
  const Rows& one_;
  std::size_t steps_;
  bool swapped_;  // the many side is the right one
  OneSide sides_;
  std::unordered_map<std::string, Group> groups_;  // by signature
  Rows result_;
};

}  // namespace

double operated(Operator op, double left, double right) {
  switch (op) {
    case Operator::add:
      return left + right;
    case Operator::sub:
      return left - right;
    case Operator::mul:
      return left * right;
    case Operator::div:
      return left / right;
    case Operator::mod:
      return std::fmod(left, right);
    case Operator::pow:
      return std::pow(left, right);
    case Operator::atan2:
      return std::atan2(left, right);
    default:
      return holds(op, left, right) ? 1 : 0;
  }
}

Result<Rows> with_scalar(const Binary& how, Rows&& rows, std::span<const double> scalars,
                         bool scalar_left) {
  const bool filters = is_comparison(how.op) && !how.return_bool;
  for (Row& row : rows) {
    if (drops_name(how)) row.labels = without_name(row.labels);
    for (std::size_t step = 0; step < row.values.size(); ++step) {
      double& value = row.values[step];
      if (is_absent(value)) continue;
      const double left = scalar_left ? scalars[step] : value;
      const double right = scalar_left ? value : scalars[step];
      if (!filters)
        value = operated(how.op, left, right);
      else if (!holds(how.op, left, right))
        value = absent;
    }
  }
  if (filters) drop_absent(rows);
  if (auto merged = merge_equal(rows); !merged) return std::unexpected(std::move(merged).error());
  return std::move(rows);
}

Result<Rows> matched(const Binary& how, Rows&& left, Rows&& right, std::size_t steps,
                     Allowance& allowance) {
  if (is_set(how.op)) return set_operation(how, std::move(left), std::move(right), steps);
  const bool swapped = how.matching.card == Matching::Card::one_to_many;
  return Arithmetic(how, swapped ? right : left, swapped ? left : right, steps, allowance).run();
}

}  // namespace tallymill::promql
