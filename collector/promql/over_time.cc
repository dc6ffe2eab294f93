#include "collector/promql/over_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "collector/promql/sums.h"

#include "collector/promql/mutant.h"

namespace tallymill::promql {
namespace {

double seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

// rate, increase, delta: the change over the samples, stretched to the window's ends as far as they
// are likely to have gone on.
class Extrapolated final : public OverTime {
 public:
  Extrapolated(bool counter, bool per_second) : counter_(counter), per_second_(per_second) {}
  void begin(const Column& samples) override {
    if (!counter_) return;
    resets_.resize(samples.size());
    double lost = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (i > 0 && samples.value[i] < samples.value[i - 1]) lost += samples.value[i - 1];
      resets_[i] = lost;
    }
    summed_ = std::isfinite(lost);
  }
  double of(const Window& window) override {
    const std::size_t count = window.size();
    if (count < 2) return absent;
    const double first = window.value(0);
    double change = window.value(count - 1) - first;
    if (counter_ && !plants(Mutant::reset_not_seen)) change += lost_in(window);
    const double sampled = seconds(window.t_ms(count - 1) - window.t_ms(0));
    const double gap = sampled / static_cast<double>(count - 1);
    double to_start = seconds(window.t_ms(0) - window.begin_ms);
    const double to_end = seconds(window.end_ms - window.t_ms(count - 1));
    // A counter was not below zero.
    if (counter_ && change > 0 && first >= 0 && !plants(Mutant::counter_below_zero))
      to_start = std::min(to_start, sampled * (first / change));
    const double threshold = gap * 1.1;
    double covered = sampled;
    const bool far = plants(Mutant::extrapolates_to_the_edge);
    covered += far || to_start < threshold ? to_start : gap / 2;
    covered += far || to_end < threshold ? to_end : gap / 2;
    double factor = covered / sampled;
    if (per_second_) factor /= seconds(window.end_ms - window.begin_ms);
    return change * factor;
  }

 private:
  // Infinity less infinity is not what was lost between them.
  double lost_in(const Window& window) const {
    if (summed_) return resets_[window.last - 1] - resets_[window.first];
    double lost = 0;
    for (std::size_t i = 1; i < window.size(); ++i)
      if (window.value(i) < window.value(i - 1)) lost += window.value(i - 1);
    return lost;
  }

  bool counter_;
  bool per_second_;
  bool summed_ = true;
  std::vector<double> resets_;  // what was lost to resets up to each sample
};

// irate, idelta: between the last two samples.
double between_last(const Window& window, bool per_second) {
  const std::size_t count = window.size();
  if (count < 2) return absent;
  const double last = window.value(count - 1);
  const double before = window.value(count - 2);
  const std::int64_t ms = window.t_ms(count - 1) - window.t_ms(count - 2);
  if (ms == 0) return absent;
  if (!per_second) return last - before;
  return (last < before ? last : last - before) / seconds(ms);
}

double sum_of(const Window& window) {
  CompensatedSum sum;
  for (std::size_t i = 0; i < window.size(); ++i) sum.add(window.value(i));
  return std::isinf(sum.raw()) ? sum.raw() : sum.sum();
}

double mean_of(const Window& window) {
  CompensatedSum mean;
  double count = 0;
  for (std::size_t i = 0; i < window.size(); ++i) {
    const double value = window.value(i);
    ++count;
    if (keeps_infinite_mean(mean.raw(), value)) continue;
    mean.add(value / count - mean.raw() / count);
  }
  return std::isinf(mean.raw()) ? mean.raw() : mean.sum();
}

double variance_of(const Window& window) {
  CompensatedSum mean;
  CompensatedSum squares;
  double count = 0;
  for (std::size_t i = 0; i < window.size(); ++i) {
    const double value = window.value(i);
    const double off = value - mean.sum();
    mean.add(off / ++count);
    squares.add(off * (value - mean.sum()));
  }
  return squares.sum() / (plants(Mutant::variance_of_a_sample) ? count - 1 : count);
}

template <class Better>
double best_of(const Window& window, Better better) {
  double best = window.value(0);
  for (std::size_t i = 1; i < window.size(); ++i) {
    const double value = window.value(i);
    if (better(value, best) || std::isnan(best)) best = value;
  }
  return best;
}

// Of neighbours, how many pairs are so.
template <class Counts>
double pairs_of(const Window& window, Counts counts) {
  double n = 0;
  for (std::size_t i = 1; i < window.size(); ++i) n += counts(window.value(i - 1), window.value(i));
  return n;
}

struct Line {
  double slope = 0;
  double intercept = 0;  // at the time asked for
};
Line least_squares(const Window& window, std::int64_t at_ms) {
  CompensatedSum x, y, xy, xx;
  const double first = window.value(0);
  bool constant = true;
  for (std::size_t i = 0; i < window.size(); ++i) {
    const double value = window.value(i);
    const double time = seconds(window.t_ms(i) - at_ms);
    constant = constant && (i == 0 || value == first);
    x.add(time);
    y.add(value);
    xy.add(time * value);
    xx.add(time * time);
  }
  if (constant && std::isinf(first)) return {nan_value, nan_value};
  if (constant) return {0, first};
  const auto n = static_cast<double>(window.size());
  const double covariance = xy.sum() - x.sum() * y.sum() / n;
  const double variance = xx.sum() - x.sum() * x.sum() / n;
  const double slope = covariance / variance;
  return {slope, y.sum() / n - slope * x.sum() / n};
}

// Double exponential smoothing: arguments are the factors of level and trend.
double smoothed(const Window& window) {
  if (window.size() < 2) return absent;
  const double level = window.arguments[0];
  const double trend_factor = window.arguments[1];
  double before = 0;
  double now = window.value(0);
  double trend = window.value(1) - window.value(0);
  for (std::size_t i = 1; i < window.size(); ++i) {
    if (i > 1) trend = trend_factor * (now - before) + (1 - trend_factor) * trend;
    const double next = level * window.value(i) + (1 - level) * (now + trend);
    before = now;
    now = next;
  }
  return now;
}

double quantile_of(const Window& window) {
  std::vector<double> values;
  for (std::size_t i = 0; i < window.size(); ++i) values.push_back(window.value(i));
  return quantile(window.arguments[0], values);
}

double slope_of(const Window& window) {
  return window.size() < 2 ? absent : least_squares(window, window.t_ms(0)).slope;
}
double predicted(const Window& window) {
  if (window.size() < 2) return absent;
  const Line line = least_squares(window, window.now_ms);
  return line.slope * window.arguments[0] + line.intercept;
}

class Plain final : public OverTime {
 public:
  using Of = double (*)(const Window&);
  explicit Plain(Of function) : of_(function) {}
  double of(const Window& window) override { return of_(window); }

 private:
  Of of_;
};

struct Named {
  std::string_view name;
  Plain::Of of;
};
constexpr Named plain[] = {
    {"avg_over_time", mean_of},
    {"changes",
     [](const Window& w) {
       return pairs_of(w, [](double a, double b) { return a != b && !(a != a && b != b); });
     }},
    {"count_over_time", [](const Window& w) { return static_cast<double>(w.size()); }},
    {"deriv", slope_of},
    {"holt_winters", smoothed},
    {"idelta", [](const Window& w) { return between_last(w, false); }},
    {"irate", [](const Window& w) { return between_last(w, true); }},
    {"last_over_time", [](const Window& w) { return w.value(w.size() - 1); }},
    {"max_over_time",
     [](const Window& w) { return best_of(w, [](double a, double b) { return a > b; }); }},
    {"min_over_time",
     [](const Window& w) { return best_of(w, [](double a, double b) { return a < b; }); }},
    {"predict_linear", predicted},
    {"present_over_time", [](const Window&) { return 1.0; }},
    {"quantile_over_time", quantile_of},
    {"resets",
     [](const Window& w) { return pairs_of(w, [](double a, double b) { return b < a; }); }},
    {"stddev_over_time", [](const Window& w) { return std::sqrt(variance_of(w)); }},
    {"stdvar_over_time", variance_of},
    {"sum_over_time", sum_of},
};

}  // namespace

std::unique_ptr<OverTime> over_time_named(std::string_view name) {
  if (name == "rate") return std::make_unique<Extrapolated>(true, true);
  if (name == "increase") return std::make_unique<Extrapolated>(true, false);
  if (name == "delta") return std::make_unique<Extrapolated>(false, false);
  const auto* found = std::ranges::find(plain, name, &Named::name);
  return found == std::end(plain) ? nullptr : std::make_unique<Plain>(found->of);
}

std::optional<Error> arguments_refused(std::string_view name, std::span<const double> arguments) {
  if (name != "holt_winters") return std::nullopt;
  constexpr std::string_view factors[] = {"smoothing", "trend"};
  for (std::size_t i = 0; i < 2; ++i)
    if (arguments[i] <= 0 || arguments[i] >= 1)  // NaN is taken
      return Error{Errc::bad_params,
                   fmt::format("invalid {} factor. Expected: 0 < factor < 1, got: {}", factors[i],
                               arguments[i])};
  return std::nullopt;
}

double quantile(double q, std::vector<double>& values) {
  if (values.empty() || std::isnan(q)) return nan_value;
  if (q < 0) return -std::numeric_limits<double>::infinity();
  if (q > 1) return std::numeric_limits<double>::infinity();
  std::ranges::sort(values, [](double a, double b) {
    return std::isnan(a) ? !std::isnan(b) : a < b;  // NaN first
  });
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<std::size_t>(rank);
  const std::size_t upper = std::min(lower + 1, values.size() - 1);
  const double weight = rank - std::floor(rank);
  return values[lower] * (1 - weight) + values[upper] * weight;
}

}  // namespace tallymill::promql
