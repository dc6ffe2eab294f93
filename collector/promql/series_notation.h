// Series notation: series as unit tests write them, a value for each step of time:
//
//   up{job="mill"} 1 1 0x3 _ _x2 stale 1+2x3 10-1x4 NaN
//
// "ax3" is a and three more of it, "a+bx3" goes up by b each time, "_" is a step without a sample,
// "_x3" are three such, "stale" is a stale marker. Values are never written out: who takes so many
// as he can use walks over them (NotedSamples), so that "0x1000000000" is as small as it looks.
//
//   invariant: what Prometheus takes is taken, and means the same samples, bit for bit
//
// Threads: values.
// Source: Prometheus 2.42, the notation of promtool's unit tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/series.h"

namespace tallymill::promql {

// Values that follow one another, each `by` more than the one before.
struct NotedRun {
  double first = 0;
  double by = 0;
  std::uint64_t count = 1;
  bool omitted = false;  // steps without a sample
};
struct NotedSeries {
  collector::Labels labels;
  std::vector<NotedRun> runs;
};

// bad_params, "1:5: parse error: ...": it is none.
[[nodiscard]] Result<NotedSeries> parse_series(std::string_view line);
// Labels alone, as results show them: up{job="mill"}, {job="mill"}, {} or nothing at all.
[[nodiscard]] Result<collector::Labels> parse_labels(std::string_view text);

struct NotedSample {
  std::int64_t t_ms;
  double value;
};
// The samples of a series in the order of their times, the first at 0.
class NotedSamples {
 public:
  // REQUIRES: a step is not negative. With no step all samples are at 0, where only the first
  // counts: there are no more.
  NotedSamples(std::vector<NotedRun> runs, std::int64_t step_ms);

  // Nothing: there are no more.
  [[nodiscard]] const std::optional<NotedSample>& peek() const { return next_; }
  void pop();  // REQUIRES: peek()

 private:
  void settle();
  // The time so many steps later; false: it is later than all times.
  [[nodiscard]] bool go_on(std::uint64_t steps);

  std::vector<NotedRun> runs_;
  std::int64_t step_ms_;
  std::size_t run_ = 0;
  std::uint64_t taken_ = 0;  // of this run
  std::int64_t t_ms_ = 0;
  double value_ = 0;
  std::optional<NotedSample> next_;
};

}  // namespace tallymill::promql
