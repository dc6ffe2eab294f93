// The floor: the same number of ZeroMQ links, and nothing else. Client DEALER -> ROUTER, PUSH ->
// worker, PUSH -> PULL, ROUTER -> client; four links in three processes over ipc, no ledger, no
// leases, one job a message.
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
  // `job_bytes` in each job; the worker reads them all and answers with a word.
  ZmqChain(const std::filesystem::path& folder, std::size_t job_bytes);
  [[nodiscard]] double throughput(double seconds, int window);
  [[nodiscard]] std::vector<double> latencies(int jobs);

 private:
  std::string folder_;
  std::size_t bytes_;
  Child front_;
  Child worker_;
};

// 400 jobs pushed blindly to a worker that takes `fast` and one that takes `slow` a job; seconds.
[[nodiscard]] double push_to_two(const std::filesystem::path& folder, int jobs, double fast_ms,
                                 double slow_ms);

}  // namespace tallymill::bench
