#include "collector/trends.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tallymill::collector {
namespace {

constexpr std::size_t least_window = 5;
constexpr std::size_t drift_windows = 8;
constexpr double least_share = 0.01;  // of the level
// Of the absolute value of a normal variable with deviation 1.
constexpr double normal_median = 0.6745;
constexpr double normal_p90 = 1.6449;

// REQUIRES: not empty.
double quantile(std::vector<double> values, double q) {
  const auto at = values.begin() + std::lround(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// The values of the last so many, kept sorted: the median of each window in the time that one value
// takes to go in and another out.
class SlidingMedian {
 public:
  void add(double value) { sorted_.insert(std::ranges::lower_bound(sorted_, value), value); }
  void remove(double value) { sorted_.erase(std::ranges::lower_bound(sorted_, value)); }
  [[nodiscard]] double median() const {
    const std::size_t n = sorted_.size();
    return n % 2 == 1 ? sorted_[n / 2] : (sorted_[n / 2 - 1] + sorted_[n / 2]) / 2;
  }

 private:
  std::vector<double> sorted_;
};

// median of [i, i + window) at i.
std::vector<double> medians(std::span<const double> values, std::size_t window) {
  std::vector<double> out;
  SlidingMedian sliding;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sliding.add(values[i]);
    if (i + 1 < window) continue;
    out.push_back(sliding.median());
    sliding.remove(values[i + 1 - window]);
  }
  return out;
}

// Each less the median of those around it, `reach` of them on each side.
std::vector<double> without_drift(const std::vector<double>& d, std::size_t reach) {
  std::vector<double> out;
  SlidingMedian around;
  for (std::size_t i = 0; i < std::min(reach, d.size()); ++i) around.add(d[i]);
  for (std::size_t i = 0; i < d.size(); ++i) {
    if (i + reach < d.size()) around.add(d[i + reach]);
    if (i > reach) around.remove(d[i - reach - 1]);
    out.push_back(d[i] - around.median());
  }
  return out;
}

double scale_of(const std::vector<double>& away) {
  return std::max(quantile(away, 0.5) / normal_median, quantile(away, 0.9) / normal_p90);
}

// Of the step at value i + window: near its ends the series must have half a window more.
bool lasts(std::span<const double> values, const std::vector<double>& levels, std::size_t i,
           std::size_t window) {
  const double before = levels[i];
  const double after = levels[i + window];
  const auto nearer = [](double value, double to, double than) {
    return std::abs(value - to) < std::abs(value - than);
  };
  const std::size_t behind = i + 2 * window;
  if (i < window / 2 || behind + window / 2 > values.size()) return false;
  const std::size_t early = i < window ? 0 : i - window;
  const std::size_t late = std::min(behind + window, values.size());
  const auto part = [&](std::size_t from, std::size_t to) {
    return quantile({values.begin() + static_cast<std::ptrdiff_t>(from),
                     values.begin() + static_cast<std::ptrdiff_t>(to)},
                    0.5);
  };
  return nearer(part(early, i), before, after) && nearer(part(behind, late), after, before);
}

// Where the values on both sides differ most from the other level: d is flat around its peak.
std::size_t edge(std::span<const double> values, std::size_t near, std::size_t window,
                 double before, double after) {
  const std::size_t from = near - window / 2;
  const std::size_t to = near + window / 2;
  const double middle = (before + after) / 2;
  std::size_t best = near;
  std::ptrdiff_t best_right = std::numeric_limits<std::ptrdiff_t>::min();
  std::ptrdiff_t right = 0;  // values up to here on the old side, less those on the new
  for (std::size_t i = from; i < to; ++i) {
    if (right > best_right) {
      best_right = right;
      best = i;
    }
    right += (values[i] < middle) == (before < middle) ? 1 : -1;
  }
  return right > best_right ? to : best;
}

}  // namespace

Result<std::vector<Step>> steps_in(std::span<const double> values, std::size_t window) {
  if (window < least_window)
    return fail(
        Errc::bad_params,
        fmt::format("a window of {} values is too short: {} at least", window, least_window),
        "/window");
  std::vector<double> known;
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    known.push_back(values[i]);
    at.push_back(i);
  }
  if (known.size() < trend_windows * window)
    return fail(Errc::bad_params,
                fmt::format("{} values are too few: {} windows of {} at least", known.size(),
                            trend_windows, window),
                "/window");

  const std::vector<double> levels = medians(known, window);
  std::vector<double> d;  // d[i] is at value i + window
  for (std::size_t i = 0; i + window < levels.size(); ++i)
    d.push_back(levels[i + window] - levels[i]);
  std::vector<double> away = without_drift(d, drift_windows * window);
  for (double& difference : away) difference = std::abs(difference);
  const double scale = scale_of(away);

  std::vector<Step> steps;
  for (std::size_t i = 0; i < away.size(); ++i) {
    const double before = levels[i];
    const double after = levels[i + window];
    if (away[i] <= step_strength * scale) continue;
    if (away[i] < least_share * std::max(std::abs(before), std::abs(after))) continue;
    const std::size_t from = i < window ? 0 : i - window;
    const std::size_t to = std::min(away.size(), i + window + 1);
    const auto largest = std::max_element(away.begin() + static_cast<std::ptrdiff_t>(from),
                                          away.begin() + static_cast<std::ptrdiff_t>(to));
    if (largest != away.begin() + static_cast<std::ptrdiff_t>(i)) continue;
    if (!lasts(known, levels, i, window)) continue;
    const std::size_t found = edge(known, i + window, window, before, after);
    steps.push_back({at[std::min(found, at.size() - 1)], before, after,
                     scale > 0 ? away[i] / scale : std::numeric_limits<double>::infinity()});
  }
  return steps;
}

}  // namespace tallymill::collector
