// The peer: jobs over two Redis Streams, as its users do it. A client adds to `jobs`, a worker of a
// consumer group reads, adds the result and acknowledges, the client reads the results. Commands
// are pipelined and read in batches of 100: the best configuration that was found.
//
// Threads: each function a process of its own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/floor/processes.h"

namespace tallymill::bench {

enum class Append : std::uint8_t { no, always };

class RedisStreams {
 public:
  // Starts redis-server on a unix socket in `folder`, and a worker that does nothing to each job.
  RedisStreams(const std::filesystem::path& folder, Append append);

  // Round trips a second with `window` jobs outstanding, for `seconds`; 200-byte jobs.
  [[nodiscard]] double throughput(double seconds, int window);
  // Round trip of one job at a time, in microseconds each.
  [[nodiscard]] std::vector<double> latencies(int jobs);

 private:
  std::string socket_;
  Child server_;
  Child worker_;
};

}  // namespace tallymill::bench
