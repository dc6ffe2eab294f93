#include "collector/promql/over_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "collector/promql/sums.h"

#include "collector/promql/mutant.h"

namespace tallymill::promql {
namespace {

double seconds(std::int64_t ms) { return static_cast<double>(ms) / 1000; }

// `into[step] = of(window)` for each window that is not empty. `each_sample`: that takes the longer
// the more samples it has.
template <class Of>
Status slide(const Column& samples, const Windows& windows, std::span<double> into,
             bool each_sample, Of of) {
  const std::size_t size = samples.size();
  const std::int64_t* const t_ms = samples.t_ms.data();
  Window window{.samples = &samples, .end_ms = windows.end_ms};
  for (std::size_t step = 0; step < into.size(); ++step, window.end_ms += windows.step_ms) {
    window.begin_ms = window.end_ms - windows.range_ms;
    while (window.last < size && t_ms[window.last] <= window.end_ms) ++window.last;
    while (window.first < window.last && t_ms[window.first] < window.begin_ms) ++window.first;
    if (auto still = windows.allowance->spend(each_sample ? window.size() + 1 : 1); !still)
      return still;
    into[step] = window.size() == 0 ? absent : of(window, step);
  }
  return {};
}

// rate, increase, delta: the change over the samples, stretched to the window's ends as far as they
// are likely to have gone on.
class Extrapolated final : public OverTime {
 public:
  Extrapolated(bool counter, bool per_second) : counter_(counter), per_second_(per_second) {}
  Status of(const Column& samples, const Windows& windows, std::span<double> into) override {
    if (counter_) sum_resets(samples.value);
    return slide(samples, windows, into, !summed_,
                 [this](const Window& window, std::size_t) { return change_over(window); });
  }

 private:
  // What follows from the times in a window alone. It is mostly that of the window before.
  struct Times {
    std::int64_t before_ms = -1;  // from the begin to the first sample
    std::int64_t between_ms = 0;  // from the first to the last
    std::int64_t after_ms = 0;    // from the last to the end
    std::size_t count = 0;
    double sampled = 0;  // seconds
    double gap = 0;
    double to_start = 0;
    double behind = 0;  // that it is stretched by at the end
    double factor = 0;  // of the change
  };

  void sum_resets(std::span<const double> values) {
    has_resets_ = false;
    for (std::size_t i = 1; i < values.size(); ++i)
      has_resets_ = has_resets_ || values[i] < values[i - 1];
    if (!has_resets_) return;
    resets_.resize(values.size());
    double lost = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0 && values[i] < values[i - 1]) lost += values[i - 1];
      resets_[i] = lost;
    }
    summed_ = std::isfinite(lost);
  }

  double change_over(const Window& window) {
    const std::size_t count = window.size();
    if (count < 2) return absent;
    const double first = window.value(0);
    double change = window.value(count - 1) - first;
    if (has_resets_ && !plants(Mutant::reset_not_seen)) change += lost_in(window);
    const std::int64_t before_ms = window.t_ms(0) - window.begin_ms;
    const std::int64_t between_ms = window.t_ms(count - 1) - window.t_ms(0);
    const std::int64_t after_ms = window.end_ms - window.t_ms(count - 1);
    if (before_ms != times_.before_ms || between_ms != times_.between_ms ||
        after_ms != times_.after_ms || count != times_.count)
      read_times(window, {before_ms, between_ms, after_ms, count});
    // A counter was not below zero. When it was at its change or above, it has not been there for
    // as long as the samples last.
    if (counter_ && change > 0 && first >= 0 && !plants(Mutant::counter_below_zero) &&
        (first < change || times_.to_start > times_.sampled)) {
      const double to_zero = times_.sampled * (first / change);
      if (to_zero < times_.to_start) return change * factor_of(window, to_zero);
    }
    return change * times_.factor;
  }

  void read_times(const Window& window, const Times& ms) {
    times_ = ms;
    times_.sampled = seconds(ms.between_ms);
    times_.gap = times_.sampled / static_cast<double>(ms.count - 1);
    times_.to_start = seconds(ms.before_ms);
    times_.behind = stretch(seconds(ms.after_ms));
    times_.factor = factor_of(window, times_.to_start);
  }
  // By the distance to the end, unless that is far: then by half of what lies between two samples.
  [[nodiscard]] double stretch(double seconds) const {
    const bool far = plants(Mutant::extrapolates_to_the_edge);
    return far || seconds < times_.gap * 1.1 ? seconds : times_.gap / 2;
  }
  [[nodiscard]] double factor_of(const Window& window, double to_start) const {
    double covered = times_.sampled;
    covered += stretch(to_start);
    covered += times_.behind;
    double factor = covered / times_.sampled;
    if (per_second_) factor /= seconds(window.end_ms - window.begin_ms);
    return factor;
  }

  // Infinity less infinity is not what was lost between them.
  [[nodiscard]] double lost_in(const Window& window) const {
    if (summed_) return resets_[window.last - 1] - resets_[window.first];
    double lost = 0;
    for (std::size_t i = 1; i < window.size(); ++i)
      if (window.value(i) < window.value(i - 1)) lost += window.value(i - 1);
    return lost;
  }

  bool counter_;
  bool per_second_;
  bool has_resets_ = false;
  bool summed_ = true;
  std::vector<double> resets_;  // what was lost to resets up to each sample
  Times times_;                 // of the window before; its range is that of all
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
  using Refused = std::optional<Error> (*)(std::span<const double> arguments);
  explicit Plain(Of function, Refused refused) : of_(function), refused_(refused) {}
  Status of(const Column& samples, const Windows& windows, std::span<double> into) override {
    std::optional<Error> error;
    const auto one = [&](Window& window, std::size_t step) {
      arguments_.clear();
      for (const std::vector<double>& argument : windows.arguments)
        arguments_.push_back(argument[step]);
      if (refused_ != nullptr && !error) error = refused_(arguments_);
      window.arguments = arguments_;
      window.now_ms = windows.grid.at(step);
      return of_(window);
    };
    if (auto still = slide(samples, windows, into, true, one); !still) return still;
    return error ? std::unexpected(std::move(*error)) : Status();
  }

 private:
  Of of_;
  Refused refused_;  // may be null
  std::vector<double> arguments_;
};

std::optional<Error> factors_refused(std::span<const double> arguments) {
  constexpr std::string_view factors[] = {"smoothing", "trend"};
  for (std::size_t i = 0; i < 2; ++i)
    if (arguments[i] <= 0 || arguments[i] >= 1)  // NaN is taken
      return Error{Errc::bad_params,
                   fmt::format("invalid {} factor. Expected: 0 < factor < 1, got: {}", factors[i],
                               arguments[i])};
  return std::nullopt;
}

struct Named {
  std::string_view name;
  Plain::Of of;
  Plain::Refused refused = nullptr;
};
constexpr Named plain[] = {
    {"avg_over_time", mean_of},
    {"changes",
     [](const Window& w) {
       return pairs_of(w, [](double a, double b) { return a != b && !(a != a && b != b); });
     }},
    {"count_over_time", [](const Window& w) { return static_cast<double>(w.size()); }},
    {"deriv", slope_of},
    {"holt_winters", smoothed, factors_refused},
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
  return found == std::end(plain) ? nullptr : std::make_unique<Plain>(found->of, found->refused);
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
