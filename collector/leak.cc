#include "collector/leak.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tallymill::collector {
namespace {

constexpr std::size_t slots = 16;
constexpr std::size_t slots_needed = 13;  // a window that is mostly there
// One-sided, 1 in 30,000 by the normal distribution; 16 slots of which each is above the one before
// give 5.4.
constexpr double trend_needed = 4;
constexpr double bytes_needed = 4 << 20;
constexpr double share_needed = 0.05;
constexpr double later_share = 0.5;

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// Of the number of rising less falling pairs among n values in random order, of which some are
// equal.
double variance_of_pairs(std::vector<double> y) {
  const auto term = [](double n) { return n * (n - 1) * (2 * n + 5); };
  double sum = term(static_cast<double>(y.size()));
  std::ranges::sort(y);
  for (auto from = y.begin(); from != y.end();) {
    const auto to = std::upper_bound(from, y.end(), *from);
    sum -= term(static_cast<double>(to - from));
    from = to;
  }
  return sum / 18;
}

struct Floor {
  std::vector<double> seconds;
  std::vector<double> bytes;
};

Floor floor_of(const Column& bytes, std::int64_t from_ms, std::int64_t window_ms) {
  Floor floor;
  std::size_t last_slot = slots;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::int64_t into_ms = bytes.t_ms[i] - from_ms;
    if (into_ms < 0 || into_ms > window_ms || !std::isfinite(bytes.value[i])) continue;
    const auto slot = std::min(
        slots - 1, static_cast<std::size_t>(into_ms) * slots / static_cast<std::size_t>(window_ms));
    const double seconds = static_cast<double>(into_ms) / 1000;
    if (slot != last_slot) {
      floor.seconds.push_back(seconds);
      floor.bytes.push_back(bytes.value[i]);
    } else if (bytes.value[i] < floor.bytes.back()) {
      floor.seconds.back() = seconds;
      floor.bytes.back() = bytes.value[i];
    }
    last_slot = slot;
  }
  return floor;
}

}  // namespace

LineFit theil_sen(std::span<const double> x, std::span<const double> y) {
  TM_CHECK(x.size() == y.size());
  if (x.size() < 3) return {};
  std::vector<double> slopes;
  slopes.reserve(x.size() * (x.size() - 1) / 2);
  double rising = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = i + 1; j < x.size(); ++j) {
      slopes.push_back((y[j] - y[i]) / (x[j] - x[i]));
      rising += y[j] > y[i] ? 1 : y[j] < y[i] ? -1 : 0;
    }
  }
  LineFit fit{.slope = median(slopes)};
  const double variance = variance_of_pairs({y.begin(), y.end()});
  // One less, since a count is compared with a continuous distribution.
  if (variance > 0 && rising != 0)
    fit.trend = (rising - std::copysign(1.0, rising)) / std::sqrt(variance);
  return fit;
}

Leak leak_in(const Column& bytes, std::int64_t to_ms, std::chrono::seconds window) {
  const std::int64_t window_ms = std::chrono::milliseconds(window).count();
  TM_CHECK(window_ms > 0);
  const Floor floor = floor_of(bytes, to_ms - window_ms, window_ms);
  if (floor.bytes.size() < slots_needed) return {};
  const LineFit whole = theil_sen(floor.seconds, floor.bytes);
  const std::size_t half = floor.bytes.size() / 2;
  const LineFit later =
      theil_sen(std::span(floor.seconds).subspan(half), std::span(floor.bytes).subspan(half));
  const double rose = whole.slope * (floor.seconds.back() - floor.seconds.front());
  const bool matters = rose >= bytes_needed && rose >= share_needed * floor.bytes.front();
  return {whole.slope,
          whole.trend >= trend_needed && matters && later.slope >= later_share * whole.slope};
}

}  // namespace tallymill::collector
