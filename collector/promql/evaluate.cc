// 1. evaluate() goes down the tree with a grid of moments and comes back with rows.
// 2. A selector asks the source once for all of its samples, series by series; an instant vector
//    takes at each moment the last sample that is not older than the lookback; a range vector hands
//    a window for each moment to its function.
// 3. A subquery is the same expression on a grid of its own, whose rows become samples.
#include "collector/promql/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <utility>

#include "collector/promql/aggregate.h"
#include "collector/promql/allowance.h"
#include "collector/promql/classic_histogram.h"
#include "collector/promql/elementwise.h"
#include "collector/promql/function_table.h"
#include "collector/promql/label_functions.h"
#include "collector/promql/match.h"
#include "collector/promql/mutant.h"
#include "collector/promql/over_time.h"
#include "collector/stable_sort.h"

namespace tallymill::promql {
namespace {

using collector::Source;

const Node& without_parens(const Node& node) {
  const Node* at = &node;
  while (const auto* paren = std::get_if<Paren>(&at->is)) at = paren->of.get();
  return *at;
}

// The same at every step, whatever the data.
bool is_constant(const Node& node) {
  struct {
    bool operator()(const Number&) const { return true; }
    bool operator()(const Text&) const { return true; }
    bool operator()(const Selector& selector) const { return selector.shift.at.has_value(); }
    bool operator()(const Subquery& subquery) const { return subquery.shift.at.has_value(); }
    bool operator()(const Call& call) const {
      static constexpr std::array<std::string_view, 3> of_now = {"predict_linear", "time",
                                                                 "timestamp"};
      if (std::ranges::find(of_now, call.function->name) != of_now.end()) return false;
      // hour() and its like, of now.
      if (call.arguments.empty() && call.function->optional > 0) return false;
      return std::ranges::all_of(call.arguments, [](const auto& a) { return is_constant(*a); });
    }
    bool operator()(const Aggregate& aggregate) const {
      return is_constant(*aggregate.of) &&
             (aggregate.parameter == nullptr || is_constant(*aggregate.parameter));
    }
    bool operator()(const Binary& binary) const {
      return is_constant(*binary.left) && is_constant(*binary.right);
    }
    bool operator()(const Signed& node) const { return is_constant(*node.of); }
    bool operator()(const Paren& paren) const { return is_constant(*paren.of); }
  } visitor;
  return std::visit(visitor, node.is);
}

// Where a selector looks, at each step of a grid.
class Moments {
 public:
  Moments(const Shift& shift, const Grid& grid, const Grid& query) : grid_(grid) {
    if (shift.at) {
      std::int64_t at = shift.at->t_ms;
      if (shift.at->kind == At::Kind::start) at = query.at(0);
      if (shift.at->kind == At::Kind::end) at = query.end_ms();
      fixed_ = before(at, plants(Mutant::offset_after_at) ? 0 : shift.offset_ms);
    }
    offset_ = shift.offset_ms;
  }
  [[nodiscard]] std::int64_t at(std::size_t step) const {
    return fixed_ ? *fixed_ : before(grid_.at(step), offset_);
  }
  [[nodiscard]] std::int64_t first() const { return at(0); }
  [[nodiscard]] std::int64_t last() const { return at(grid_.count - 1); }

 private:
  // Never so far away that a range or a step beyond it would be no time any more.
  static std::int64_t before(std::int64_t at_ms, std::int64_t offset_ms) {
    constexpr std::int64_t most = std::int64_t{1} << 61;
    return std::clamp(at_ms, -most, most) - std::clamp(offset_ms, -most, most);
  }

  const Grid& grid_;
  std::optional<std::int64_t> fixed_;
  std::int64_t offset_ = 0;
};

class Evaluator {
 public:
  Evaluator(const Source& source, const EvaluateOptions& options, const Grid& query)
      : source_(source),
        options_(options),
        query_(query),
        allowance_(options.until, options.cancelled, options.samples) {}

  Result<Value> of(const Node& node, const Grid& grid) {
    if (auto still = allowance_.check(); !still) return std::unexpected(std::move(still).error());
    if (grid.count == 1 || !is_constant(node)) return step_by_step(node, grid);
    auto once = step_by_step(node, Grid{grid.start_ms, 1, 1});
    if (!once) return once;
    if (auto held = allowance_.hold(once->rows.size() * grid.count); !held)
      return std::unexpected(std::move(held).error());
    if (node.type == Type::scalar) once->scalars.resize(grid.count, once->scalars[0]);
    for (Row& row : once->rows) row.values.resize(grid.count, row.values[0]);
    return once;
  }

  // For each series of a range vector: its labels and samples, and where the vector looks.
  using Each = std::function<Status(const Labels&, const Column&)>;
  Status each_series(const Node& matrix, const Grid& grid, const Moments& moments,
                     const Each& each) {
    if (const auto* selector = std::get_if<Selector>(&matrix.is))
      return each_selected(*selector, moments.first() - selector->range_ms, moments.last(), each);
    return each_of_subquery(std::get<Subquery>(matrix.is), grid, moments, each);
  }
  static std::int64_t range_of(const Node& matrix) {
    if (const auto* selector = std::get_if<Selector>(&matrix.is)) return selector->range_ms;
    return std::get<Subquery>(matrix.is).range_ms;
  }
  Status hold(std::size_t numbers) { return allowance_.hold(numbers); }
  Moments moments_of(const Node& matrix, const Grid& grid) const {
    if (const auto* selector = std::get_if<Selector>(&matrix.is))
      return {selector->shift, grid, query_};
    return {std::get<Subquery>(matrix.is).shift, grid, query_};
  }

 private:
  Result<Value> step_by_step(const Node& node, const Grid& grid) {
    return std::visit([&](const auto& is) { return value_of(is, node, grid); }, node.is);
  }

  Result<Value> scalar(std::vector<double> values) {
    if (auto held = allowance_.hold(values.size()); !held)
      return std::unexpected(std::move(held).error());
    Value value;
    value.type = Type::scalar;
    value.scalars = std::move(values);
    return value;
  }
  static Result<Value> vector(Result<Rows>&& rows) {
    if (!rows) return std::unexpected(std::move(rows).error());
    Value value;
    value.rows = std::move(*rows);
    return value;
  }

  Result<Value> value_of(const Number& number, const Node&, const Grid& grid) {
    return scalar(std::vector<double>(grid.count, number.value));
  }
  Result<Value> value_of(const Text& text, const Node&, const Grid&) {
    Value value;
    value.type = Type::string;
    value.text = text.value;
    return value;
  }
  Result<Value> value_of(const Paren& paren, const Node&, const Grid& grid) {
    return of(*paren.of, grid);
  }
  Result<Value> value_of(const Subquery&, const Node&, const Grid&) {
    return fail(Errc::bad_params, "a range vector stands where it cannot");
  }
  Result<Value> value_of(const Signed& node, const Node&, const Grid& grid) {
    auto value = of(*node.of, grid);
    if (!value || !node.minus) return value;
    for (double& number : value->scalars) number = -number;
    for (Row& row : value->rows) {
      row.labels = without_name(row.labels);
      for (double& number : row.values)
        if (!is_absent(number)) number = -number;
    }
    if (auto checked = check_distinct(value->rows); !checked)
      return std::unexpected(std::move(checked).error());
    return value;
  }

  // ---- selectors ----

  enum class Wanted : std::uint8_t { all, last };
  Status each_selected(const Selector& selector, std::int64_t from_ms, std::int64_t to_ms,
                       const Each& each, Wanted wanted = Wanted::all) {
    auto found = source_.select(selector.matchers, from_ms, to_ms);
    if (!found) return std::unexpected(std::move(found).error());
    Column samples;
    for (const Source::Found& one : *found) {
      auto read = wanted == Wanted::all ? source_.read(one.series, from_ms, to_ms, samples)
                                        : source_.read_last(one.series, from_ms, to_ms, samples);
      if (!read) return read;
      if (auto still = allowance_.spend(samples.size() + 64); !still) return still;
      if (samples.size() == 0) continue;
      if (auto held = allowance_.hold(samples.size()); !held) return held;
      if (auto done = each(one.labels, samples); !done) return done;
      allowance_.give_back(samples.size());
    }
    return {};
  }

  // At each step the last sample that is not too old; its time instead, of timestamp().
  Result<Rows> instant(const Selector& selector, const Grid& grid, bool times) {
    const Moments moments(selector.shift, grid, query_);
    const std::int64_t begin = moments.first() - options_.lookback.count();
    Rows rows;
    const auto add = [&](const Labels& labels, const Column& samples) -> Status {
      Row row{labels, latest(samples, moments, grid.count, times)};
      if (is_all_absent(row.values)) return {};
      if (auto held = allowance_.hold(grid.count); !held) return held;
      rows.push_back(std::move(row));
      return allowance_.spend(grid.count);
    };
    const Wanted wanted = grid.count == 1 ? Wanted::last : Wanted::all;
    if (auto read = each_selected(selector, begin, moments.last(), add, wanted); !read)
      return std::unexpected(std::move(read).error());
    std::ranges::sort(rows, [](const Row& a, const Row& b) { return a.labels < b.labels; });
    return rows;
  }
  std::vector<double> latest(const Column& samples, const Moments& moments, std::size_t steps,
                             bool times) const {
    std::vector<double> values(steps, absent);
    std::size_t next = 0;  // the first that is later than the step
    for (std::size_t step = 0; step < steps; ++step) {
      const std::int64_t now = moments.at(step);
      while (next < samples.size() && samples.t_ms[next] <= now) ++next;
      if (next == 0) continue;
      const std::int64_t t_ms = samples.t_ms[next - 1];
      const double value = samples.value[next - 1];
      if (is_too_old(t_ms, now) || ends_series(value)) continue;
      values[step] = times ? static_cast<double>(t_ms) / 1000 : canonical(value);
    }
    return values;
  }
  bool is_too_old(std::int64_t t_ms, std::int64_t now_ms) const {
    const std::int64_t oldest = now_ms - options_.lookback.count();
    return plants(Mutant::lookback_without_its_end) ? t_ms <= oldest : t_ms < oldest;
  }
  static bool ends_series(double value) {
    return collector::is_stale(value) && !plants(Mutant::stale_is_a_number);
  }

  Result<Value> value_of(const Selector& selector, const Node&, const Grid& grid) {
    return vector(instant(selector, grid, false));
  }

  Status each_of_subquery(const Subquery& subquery, const Grid&, const Moments& moments,
                          const Each& each) {
    const std::int64_t step =
        subquery.step_ms == 0 ? options_.subquery_step.count() : subquery.step_ms;
    const std::int64_t from = moments.first() - subquery.range_ms;
    Grid grid{from / step * step, step, 0};
    if (grid.start_ms < from) grid.start_ms += step;
    if (plants(Mutant::subquery_from_its_begin)) grid.start_ms = from;
    if (grid.start_ms > moments.last()) return {};
    grid.count = static_cast<std::size_t>((moments.last() - grid.start_ms) / step) + 1;
    if (auto held = allowance_.hold(grid.count); !held) return held;
    auto value = of(*subquery.of, grid);
    if (!value) return std::unexpected(std::move(value).error());
    Column samples;
    for (const Row& row : value->rows) {
      samples.clear();
      if (auto still = allowance_.spend(grid.count); !still) return still;
      for (std::size_t i = 0; i < grid.count; ++i)
        if (!is_absent(row.values[i])) samples.add(grid.at(i), row.values[i]);
      if (auto done = each(row.labels, samples); !done) return done;
    }
    return {};
  }

  // ---- calls ----

  Result<Value> value_of(const Call& call, const Node&, const Grid& grid) {
    for (const NodePtr& argument : call.arguments)
      if (argument->type == Type::matrix) return over_time(call, without_parens(*argument), grid);
    const std::string_view name = call.function->name;
    if (name == "time") {
      std::vector<double> times(grid.count);
      for (std::size_t i = 0; i < grid.count; ++i)
        times[i] = static_cast<double>(grid.at(i)) / 1000;
      return scalar(std::move(times));
    }
    if (name == "pi") return scalar(std::vector<double>(grid.count, std::numbers::pi));
    if (name == "timestamp") return timestamps(without_parens(*call.arguments[0]), grid);
    std::vector<Value> arguments;
    for (const NodePtr& argument : call.arguments) {
      auto value = of(*argument, grid);
      if (!value) return value;
      arguments.push_back(std::move(*value));
    }
    return called(call, arguments, grid);
  }

  Result<Value> called(const Call& call, std::vector<Value>& arguments, const Grid& grid) {
    const std::string_view name = call.function->name;
    if (name == "vector") return vector(Rows{{Labels(), std::move(arguments[0].scalars)}});
    if (name == "scalar") return scalar(only_one(arguments[0].rows, grid.count));
    if (name == "absent")
      return absents(arguments[0].rows, without_parens(*call.arguments[0]), grid.count);
    if (name == "sort" || name == "sort_desc")
      return sorted(std::move(arguments[0]), name == "sort_desc", grid.count);
    if (name == "histogram_quantile")
      return vector(histogram_quantiles(arguments[0].scalars, arguments[1].rows));
    if (name == "label_replace" || name == "label_join") {
      std::vector<std::string> texts;
      for (std::size_t i = 1; i < arguments.size(); ++i)
        texts.push_back(std::move(arguments[i].text));
      auto& rows = arguments[0].rows;
      return vector(name == "label_join" ? label_joined(std::move(rows), texts)
                                         : label_replaced(std::move(rows), texts, allowance_));
    }
    return elementwise(elementwise_named(name), arguments, grid);
  }

  Result<Value> elementwise(Elementwise function, std::vector<Value>& arguments, const Grid& grid) {
    Rows rows;
    if (arguments.empty()) {  // of now
      Row row{Labels(), std::vector<double>(grid.count)};
      for (std::size_t i = 0; i < grid.count; ++i)
        row.values[i] = static_cast<double>(grid.at(i)) / 1000;
      rows.push_back(std::move(row));
    } else {
      rows = std::move(arguments[0].rows);
    }
    std::vector<double> scalars(arguments.empty() ? 0 : arguments.size() - 1);
    for (Row& row : rows) {
      row.labels = without_name(row.labels);
      for (std::size_t step = 0; step < grid.count; ++step) {
        if (is_absent(row.values[step])) continue;
        for (std::size_t i = 0; i < scalars.size(); ++i)
          scalars[i] = arguments[i + 1].scalars[step];
        row.values[step] = function(row.values[step], scalars);
      }
    }
    drop_absent(rows);
    if (auto merged = merge_equal(rows); !merged) return std::unexpected(std::move(merged).error());
    return vector(std::move(rows));
  }

  Result<Value> timestamps(const Node& argument, const Grid& grid) {
    Result<Rows> rows = Rows();
    if (const auto* selector = std::get_if<Selector>(&argument.is)) {
      rows = instant(*selector, grid, true);
    } else {
      auto value = of(argument, grid);
      if (!value) return value;
      rows = std::move(value->rows);
      for (Row& row : *rows)
        for (std::size_t step = 0; step < grid.count; ++step)
          if (!is_absent(row.values[step]))
            row.values[step] = static_cast<double>(grid.at(step)) / 1000;
    }
    if (!rows) return std::unexpected(std::move(rows).error());
    for (Row& row : *rows) row.labels = without_name(row.labels);
    if (auto merged = merge_equal(*rows); !merged)
      return std::unexpected(std::move(merged).error());
    return vector(std::move(rows));
  }

  static std::vector<double> only_one(const Rows& rows, std::size_t steps) {
    std::vector<double> values(steps, nan_value);
    std::vector<int> counts(steps, 0);
    for (const Row& row : rows)
      for (std::size_t step = 0; step < steps; ++step)
        if (!is_absent(row.values[step]))
          values[step] = ++counts[step] == 1 ? row.values[step] : nan_value;
    return values;
  }

  static Result<Value> absents(const Rows& rows, const Node& argument, std::size_t steps) {
    Row row{labels_of_absent(argument), std::vector<double>(steps, 1)};
    for (const Row& one : rows)
      for (std::size_t step = 0; step < steps; ++step)
        if (!is_absent(one.values[step])) row.values[step] = absent;
    Rows result;
    if (!is_all_absent(row.values)) result.push_back(std::move(row));
    return vector(std::move(result));
  }

  // Only a moment's elements have an order.
  static Result<Value> sorted(Value&& value, bool descending, std::size_t steps) {
    if (steps == 1)
      collector::stable_sort(value.rows, [&](const Row& a, const Row& b) {
        const double left = a.values[0];
        const double right = b.values[0];
        if (std::isnan(left)) return false;
        if (std::isnan(right)) return true;
        return descending ? left > right : left < right;
      });
    return std::move(value);
  }

  // ---- over time ----

  Result<std::vector<std::vector<double>>> scalars_of(const Call& call, const Grid& grid) {
    std::vector<std::vector<double>> scalars;
    for (const NodePtr& argument : call.arguments) {
      if (argument->type == Type::matrix) continue;
      auto value = of(*argument, grid);
      if (!value) return std::unexpected(std::move(value).error());
      scalars.push_back(std::move(value->scalars));
    }
    return scalars;
  }

  Result<Value> over_time(const Call& call, const Node& matrix, const Grid& grid) {
    const std::string_view name = call.function->name;
    const bool absence = name == "absent_over_time";
    const auto function = over_time_named(absence ? "present_over_time" : name);
    auto scalars = scalars_of(call, grid);
    if (!scalars) return std::unexpected(std::move(scalars).error());
    const Moments moments = moments_of(matrix, grid);
    const Windows windows{.grid = grid,
                          .end_ms = moments.first(),
                          .step_ms = grid.count > 1 ? moments.at(1) - moments.at(0) : 0,
                          .range_ms = range_of(matrix),
                          .arguments = *scalars,
                          .allowance = &allowance_};
    Column live;
    std::vector<double> values(grid.count);
    Rows rows;
    auto done = each_series(
        matrix, grid, moments, [&](const Labels& labels, const Column& samples) -> Status {
          if (auto had = function->of(*without_stale(samples, live), windows, values); !had)
            return had;
          if (is_all_absent(values)) return {};
          if (auto held = allowance_.hold(grid.count); !held) return held;
          rows.push_back({name == "last_over_time" ? labels : without_name(labels), values});
          return {};
        });
    if (!done) return std::unexpected(std::move(done).error());
    if (absence) return absents(rows, matrix, grid.count);
    if (auto checked = check_distinct(rows); !checked)
      return std::unexpected(std::move(checked).error());
    std::ranges::sort(rows, [](const Row& a, const Row& b) { return a.labels < b.labels; });
    return vector(std::move(rows));
  }

  // A window has no stale markers, and no NaN that could be taken for `absent`.
  static const Column* without_stale(const Column& samples, Column& into) {
    const bool plain =
        std::ranges::all_of(samples.value, [](double value) { return value == value; });
    if (plain) return &samples;
    into.clear();
    for (std::size_t i = 0; i < samples.size(); ++i)
      if (!collector::is_stale(samples.value[i]))
        into.add(samples.t_ms[i], canonical(samples.value[i]));
    return &into;
  }

  // ---- operators ----

  Result<Value> value_of(const Aggregate& aggregate, const Node&, const Grid& grid) {
    Value parameter;
    if (aggregate.parameter) {
      auto value = of(*aggregate.parameter, grid);
      if (!value) return value;
      parameter = std::move(*value);
    }
    auto value = of(*aggregate.of, grid);
    if (!value) return value;
    return vector(aggregated(aggregate, std::move(value->rows), grid.count, parameter.scalars,
                             parameter.text, allowance_));
  }

  Result<Value> value_of(const Binary& binary, const Node&, const Grid& grid) {
    auto left = of(*binary.left, grid);
    if (!left) return left;
    auto right = of(*binary.right, grid);
    if (!right) return right;
    const bool scalar_left = left->type == Type::scalar;
    if (scalar_left && right->type == Type::scalar) {
      for (std::size_t i = 0; i < grid.count; ++i)
        left->scalars[i] = operated(binary.op, left->scalars[i], right->scalars[i]);
      return left;
    }
    if (scalar_left)
      return vector(with_scalar(binary, std::move(right->rows), left->scalars, true));
    if (right->type == Type::scalar)
      return vector(with_scalar(binary, std::move(left->rows), right->scalars, false));
    return vector(
        matched(binary, std::move(left->rows), std::move(right->rows), grid.count, allowance_));
  }

  const Source& source_;
  const EvaluateOptions& options_;
  const Grid& query_;
  Allowance allowance_;
};

}  // namespace

Result<Value> evaluate(const Node& node, const Grid& grid, const collector::Source& source,
                       const EvaluateOptions& options) {
  return Evaluator(source, options, grid).of(node, grid);
}

Result<std::vector<RawSeries>> evaluate_raw(const Node& node, std::int64_t at_ms,
                                            const collector::Source& source,
                                            const EvaluateOptions& options) {
  const Grid grid{at_ms, 1, 1};
  Evaluator evaluator(source, options, grid);
  const Node& matrix = without_parens(node);
  const Moments moments = evaluator.moments_of(matrix, grid);
  const std::int64_t end = moments.last();
  const std::int64_t begin = end - Evaluator::range_of(matrix);
  std::vector<RawSeries> all;
  auto done = evaluator.each_series(matrix, grid, moments,
                                    [&](const Labels& labels, const Column& samples) -> Status {
                                      RawSeries one{labels, {}};
                                      for (std::size_t i = 0; i < samples.size(); ++i)
                                        if (samples.t_ms[i] >= begin && samples.t_ms[i] <= end &&
                                            !collector::is_stale(samples.value[i]))
                                          one.samples.add(samples.t_ms[i], samples.value[i]);
                                      if (one.samples.size() == 0) return {};
                                      all.push_back(std::move(one));
                                      return evaluator.hold(all.back().samples.size());
                                    });
  if (!done) return std::unexpected(std::move(done).error());
  std::ranges::sort(all, [](const auto& a, const auto& b) { return a.labels < b.labels; });
  return all;
}

}  // namespace tallymill::promql
