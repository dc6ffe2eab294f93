// The peer: jobs over two Redis Streams, as its users do it. A client adds to `jobs`, a worker of a
// consumer group reads, adds the result, acknowledges and removes, the client reads the results.
//
// The best configuration that was found: a unix socket; no snapshots, no rewriting of the file
// while it is timed; commands written ready-made; jobs added while results are read, by two
// threads; batches of 500 both ways, which share a sync (of 100, 500 and 1,000 the fastest without
// AOF; with it 100 was 8 % faster in 3 rounds on a busy machine); a batch is
// acknowledged by one XACK and removed by one XDEL.
//
// Threads: each function a process of its own, but for the client's two.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bench/floor/processes.h"

namespace tallymill::bench {

inline constexpr std::size_t job_bytes = 200;

enum class Append : std::uint8_t { no, always };

class RedisStreams {
 public:
  // Starts redis-server on a unix socket in `folder`, and a worker that does nothing to each job.
  RedisStreams(const std::filesystem::path& folder, Append append);

  // Round trips a second with at most `window` jobs outstanding, for `seconds`.
  [[nodiscard]] double throughput(double seconds, int window);
  // Round trip of one job at a time, in microseconds each.
  [[nodiscard]] std::vector<double> latencies(int jobs);

 private:
  std::string socket_;
  Child server_;
  Child worker_;
};

}  // namespace tallymill::bench
