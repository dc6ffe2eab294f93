// LeakWatch: looks for leaks in what the processes told of their memory, by the clock.
//
// It reads tallymill_process_resident_memory_bytes and ..._heap_allocated_bytes of the store, as
// any query does, less what the process says that its caches hold (..._cache_bytes: they have a
// bound, but may take hours to get there), and tells for each process how fast each grows, and
// whether that looks like a leak (collector/leak.h). What only the first shows is memory that the
// allocator cannot give back, or that did not come from it.
//
//   invariant: at most limits::leak_processes processes are watched; the others are counted
//
// Threads: one, that calls look().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "collector/leak.h"
#include "collector/query.h"

namespace tallymill::collector {

class LeakWatch {
 public:
  // REQUIRES: `source` outlives this.
  LeakWatch(const Source& source, metrics::Registry& registry, std::chrono::seconds window);
  void look(std::int64_t now_ms);

 private:
  using OnColumn = std::function<void(const Labels& process, Column& bytes)>;
  void read(const char* metric, std::int64_t now_ms, const OnColumn& found) const;
  void look_at(const char* metric, const char* memory, std::int64_t now_ms);
  void tell(const Labels& process, const char* memory, const Leak& leak);

  struct Told {
    std::string key;
    metrics::Gauge* slope;
    metrics::Gauge* suspected;
    bool seen = false;
  };
  const Source& source_;
  metrics::Registry& registry_;
  const std::chrono::seconds window_;
  metrics::Gauge& left_out_;
  std::size_t left_out_now_ = 0;
  std::vector<Told> told_;
  std::map<std::string, Column, std::less<>> caches_;  // of this look, by process
};

}  // namespace tallymill::collector
