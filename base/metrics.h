// Metrics: Counter, Gauge and Histogram, each written by one thread; a Registry that names them;
// snapshot() as the only way out.
//
// A probe class (bus/probe.h, front/probe.h ...) registers its metrics once and keeps references;
// from then on an event costs a relaxed load and store into a cache line of its own: no lock, no
// system call, no allocation. Whoever exports (Prometheus text here, telemetry frames in bus/) asks
// for a snapshot and never sees the live values.
//
// Names follow Prometheus practice and are checked when registered: tallymill_<thing>_<unit>, with
// _total for counters, in base units. Each stands in docs/metrics.md.
//
//   invariant: a name has one type, one help text and one set of label names
//   invariant: a family has at most limits::series_per_metric series; what would be one more is
//   counted in a series whose label values are all "other"
//
// Threads: registering and snapshot() from any; a metric is written by one thread, the one that
// owns the probe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/units.h"

namespace tallymill::metrics {

inline constexpr std::size_t cache_line = 64;

// Only ever goes up. One that is named ..._seconds_total counts nanoseconds; it is told in seconds.
class alignas(cache_line) Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// What is so now.
class alignas(cache_line) Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double by) { set(value() + by); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// How long things took, every one of them, never sampled; and of each classic bucket the job that
// was counted in it last.
class alignas(cache_line) Histogram {
 public:
  using Layout = ProbeHistogram::Layout;

  // A negative length (two clocks that disagree) counts as 0.
  void record(Duration length) {
    if (length.count() <= 0) [[unlikely]]
      return count_nothing();
    const auto ns = static_cast<std::uint64_t>(length.count());
    (void)count(ns, ns + sum_ns_.load(std::memory_order_relaxed));
  }
  // The same, and `job` is its bucket's exemplar unless it took no time at all. `at`: when it was
  // over, a reading that the caller has anyway.
  void record(Duration length, JobId job, Instant at) {
    if (length.count() <= 0) [[unlikely]]
      return count_nothing();
    const auto ns = static_cast<std::uint64_t>(length.count());
    const std::uint64_t before = sum_ns_.load(std::memory_order_relaxed);
    const std::size_t bucket = count(ns, before + ns);
    slots_[le_of_bucket<4>[bucket]].write(before, job.raw(), to_ns(at), before + ns);
  }

  // Count and buckets agree with one another; the sum may be ahead or behind by one event.
  [[nodiscard]] ProbeHistogram read() const;

  struct Exemplar {
    std::size_t le = 0;  // which bucket; le_bound_count is +Inf
    std::uint64_t ns = 0;
    JobId job;
    Instant at;
  };
  // Of each bucket that has one; one that is being written at this very moment is left out.
  [[nodiscard]] std::vector<Exemplar> exemplars() const;

 private:
  // What was counted last, between the sums of before and after it: their difference is its length.
  // Sums only grow, so that `after` of one event and `before` of a later one do not differ by more
  // than 0: who reads `after` first and `before` last, and finds a length, has read what belongs
  // together. Each store but the first releases those before it.
  struct alignas(32) Slot {
    std::atomic<std::uint64_t> before{0};
    std::atomic<std::int64_t> job{0};
    std::atomic<std::int64_t> at{0};
    std::atomic<std::uint64_t> after{0};

    void write(std::uint64_t sum_before, std::int64_t new_job, std::int64_t new_at,
               std::uint64_t sum_after) {
      before.store(sum_before, std::memory_order_relaxed);
      job.store(new_job, std::memory_order_release);
      at.store(new_at, std::memory_order_release);
      after.store(sum_after, std::memory_order_release);
    }
  };

  std::size_t count(std::uint64_t ns, std::uint64_t sum_after) {
    const std::size_t bucket = Layout::index(ns);
    bump(slab_[bucket]);
    sum_ns_.store(sum_after, std::memory_order_relaxed);
    return bucket;
  }
  void count_nothing() { bump(slab_[Layout::index(0)]); }
  using Cell = std::atomic<std::uint64_t>;
  static void bump(Cell& cell) {
    cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  Cell sum_ns_{0};
  std::array<Cell, Layout::buckets> slab_{};
  std::array<Slot, le_bound_count + 1> slots_{};
};

enum class Type : std::uint8_t { counter, gauge, histogram };
enum class Unit : std::uint8_t { none, seconds, bytes, ratio };

// Name and value. Values come from a bounded set: a stage, a kind, a reason; never a job id.
using Labels = std::vector<std::pair<std::string, std::string>>;

// What a Registry held at one moment.
struct Snapshot {
  struct Sample {
    Labels labels;
    double value = 0;
  };
  struct Exemplar {
    std::size_t le = 0;  // as Histogram::Exemplar
    double seconds = 0;
    JobId job;
    std::int64_t t_ms = 0;  // since 1970
  };
  struct Distribution {
    Labels labels;
    ProbeHistogram histogram;
    std::vector<Exemplar> exemplars;  // by bucket
  };
  struct Family {
    std::string name;
    std::string help;
    Type type = Type::counter;
    Unit unit = Unit::none;
    std::vector<Sample> samples;              // counters and gauges
    std::vector<Distribution> distributions;  // histograms
  };
  std::vector<Family> families;  // by name
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The metric of this name and these labels, made at the first call; it lives as long as the
  // registry. The unit is read from the name.
  // REQUIRES: the name is tallymill_[a-z0-9_]+ and ends in _total for a counter and only there, in
  // _seconds for a histogram; no unit but a base unit; help is a sentence; a name is always used
  // with the same type and label names.
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, Labels labels = {});

  // Cost: a copy of every value, 5 KB a histogram.
  [[nodiscard]] Snapshot snapshot() const;

 private:
  struct Family;
  Family& family(std::string_view name, std::string_view help, Type type, const Labels& labels);

  mutable std::mutex families_mutex_;  // guards the list, not the values
  std::vector<std::unique_ptr<Family>> families_;
};

// The text exposition format 0.0.4: what /metrics answers and `snapshot --prometheus` prints.
[[nodiscard]] std::string to_prometheus(const Snapshot& snapshot);

// OpenMetrics 1.0.0, with exemplars, but for its last line, which goes behind the last of several
// snapshots.
[[nodiscard]] std::string to_openmetrics(const Snapshot& snapshot);
inline constexpr std::string_view openmetrics_end = "# EOF\n";

}  // namespace tallymill::metrics
