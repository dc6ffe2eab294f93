#include "apps/store_sink.h"

#include <fmt/format.h>

#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "alerting/limits.h"

namespace tallymill::apps {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();

bool is_same(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

}  // namespace

Status StoreSink::append(std::span<const Sample> samples) {
  const std::lock_guard lock(mutex_);
  if (const std::uint64_t drops = store_.drops(); drops != drops_) {
    last_.clear();
    drops_ = drops;
  }
  points_.clear();
  std::size_t refused = 0;
  std::optional<Error> failed;
  for (const Sample& sample : samples) {
    auto last = last_of(sample);
    if (!last) {
      failed = std::move(last).error();
      continue;
    }
    if ((*last)->t_ms < sample.t_ms) {
      **last = {(*last)->series, sample.t_ms, sample.value};
      points_.push_back({(*last)->series, sample.t_ms, sample.value});
    } else if ((*last)->t_ms > sample.t_ms || !is_same((*last)->value, sample.value)) {
      ++refused;
    }
  }
  if (!samples.empty()) forget(samples.front().t_ms);
  if (!points_.empty()) {
    if (auto stored = store_.append(points_); !stored) {
      last_.clear();  // none of it was stored
      return stored;
    }
  }
  if (failed) return std::unexpected(std::move(*failed));
  if (refused == 0) return {};
  return fail(Errc::bad_params,
              fmt::format("{} samples are older than, or others at the time of, the last of their "
                          "series",
                          refused));
}

std::size_t StoreSink::series() const {
  const std::lock_guard lock(mutex_);
  return last_.size();
}

Result<StoreSink::Last*> StoreSink::last_of(const Sample& sample) {
  const auto found = last_.find(sample.labels);
  if (found != last_.end()) return &found->second;
  auto series = store_.series(sample.labels);
  if (!series) return std::unexpected(std::move(series).error());
  return &last_.emplace(sample.labels, Last{*series, never, 0}).first->second;
}

void StoreSink::forget(std::int64_t now_ms) {
  constexpr std::int64_t after = limits::rule_series_forgotten.count();
  if (now_ms - forgot_ms_ < after) return;
  forgot_ms_ = now_ms;
  std::erase_if(last_, [&](const auto& one) { return now_ms - one.second.t_ms > after; });
}

}  // namespace tallymill::apps
