#include "collector/tiers.h"

#include <limits>

namespace tallymill::collector {
namespace {

// Where the bucket of `t_ms` begins, rounded down also before 1970.
std::int64_t bucket_of(std::int64_t t_ms, std::int64_t step) {
  const std::int64_t into = t_ms % step;
  return t_ms - (into < 0 ? into + step : into);
}

}  // namespace

std::int64_t Tiers::step_ms(std::int64_t t_ms, std::int64_t now_ms) const {
  std::int64_t found = 0;
  for (const Tier& tier : tiers_) {
    const std::int64_t step = tier.step.count();
    const std::int64_t end = now_ms - tier.after.count();
    // Sums of times may overflow at the ends of time; these do not.
    if (t_ms >= end || t_ms < std::numeric_limits<std::int64_t>::min() + step ||
        bucket_of(t_ms, step) > end - step)
      break;
    found = step;
  }
  return found;
}

void Tiers::thin(Column& samples, std::int64_t now_ms) const {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::int64_t t_ms = samples.t_ms[i];
    const std::int64_t step = step_ms(t_ms, now_ms);
    if (step != 0 && i + 1 < samples.size() &&
        bucket_of(samples.t_ms[i + 1], step) == bucket_of(t_ms, step))
      continue;
    samples.t_ms[kept] = t_ms;
    samples.value[kept++] = samples.value[i];
  }
  samples.t_ms.resize(kept);
  samples.value.resize(kept);
}

}  // namespace tallymill::collector
