// The floor: the same number of ZeroMQ links, and nothing else. Client DEALER -> ROUTER, PUSH ->
// worker, PUSH -> PULL, ROUTER -> client; four links in three processes over ipc, no ledger, no
// leases, one job a message or many.
//
// Threads: each part a process of its own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/floor/processes.h"

namespace tallymill::bench {

class ZmqChain {
 public:
  explicit ZmqChain(const std::filesystem::path& folder);
  [[nodiscard]] double throughput(double seconds, int window);
  [[nodiscard]] std::vector<double> latencies(int jobs);

 private:
  std::string folder_;
  Child front_;
  Child worker_;
};

// 400 jobs pushed blindly to a worker that takes `fast` and one that takes `slow` a job; seconds.
[[nodiscard]] double push_to_two(const std::filesystem::path& folder, int jobs, double fast_ms,
                                 double slow_ms);

}  // namespace tallymill::bench
