// ProcessProbe: what this process takes of the machine, as metrics: CPU, memory, files, threads.
//
// Whoever exports looks once a second, from a thread that no job waits for: reading /proc and the
// allocator's numbers takes some tenths of a millisecond. It also has an idle process give free
// memory back (base/heap.h).
//
// Names are those that Prometheus' own clients use, behind this project's prefix.
//
// Threads: one, that calls look().
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/heap.h"
#include "base/metrics.h"

namespace tallymill {

class ProcessProbe {
 public:
  // Looks once, so that no export is without numbers.
  explicit ProcessProbe(metrics::Registry& registry);
  void look();

 private:
  void look_at_usage();
  void look_at_stat();
  void look_at_heap();

  metrics::Counter& user_;
  metrics::Counter& system_;
  metrics::Counter& minor_faults_;
  metrics::Counter& major_faults_;
  metrics::Counter& voluntary_;
  metrics::Counter& involuntary_;
  metrics::Gauge& resident_;
  metrics::Gauge& virtual_;
  metrics::Gauge& threads_;
  metrics::Gauge& start_;
  metrics::Gauge& open_fds_;
  metrics::Gauge& max_fds_;
  metrics::Gauge& allocated_;
  metrics::Gauge& held_;
  metrics::Counter& trims_;
  IdleTrim idle_;
  std::uint64_t looks_ = 0;
};

}  // namespace tallymill
