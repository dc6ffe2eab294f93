// Watch: what the collector does by the clock: it looks at the host, at itself and for leaks.
//
// Once a second the probes look; what they find is in the registry, and goes from there where all
// that this process counts goes. Leaks are looked for each few seconds.
//
// Threads: made, started and stopped by one; works on a thread of its own, so that neither a
// request nor a seal waits for /proc.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/metrics.h"
#include "base/process_probe.h"
#include "collector/host_probe.h"
#include "collector/leak_watch.h"
#include "collector/store.h"

namespace tallymill::collector {

class Watch {
 public:
  // `folder`: whose file system is watched. REQUIRES: store and registry outlive this.
  Watch(Store& store, metrics::Registry& registry, const std::string& folder,
        std::chrono::seconds leak_window);
  ~Watch();  // stops
  void start();
  void stop();

 private:
  void run();
  void look();
  void look_at_store();

  Store& store_;
  ProcessProbe process_;
  HostProbe host_;
  LeakWatch leaks_;
  log::Limited disk_;
  log::Limited clock_;
  std::uint64_t looks_ = 0;
  std::uint64_t failed_seals_ = 0;
  std::uint64_t clock_jumps_ = 0;

  std::mutex mutex_;  // guards stopping_
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tallymill::collector
