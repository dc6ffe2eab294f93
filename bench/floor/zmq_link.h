// The floor under the bus: one ZeroMQ link between two processes over ipc, and nothing else. And
// the window that bare and wrapped senders keep alike, so that neither's queue grows without bound.
//
// Threads: each end a process of its own.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "bench/floor/processes.h"

namespace tallymill::bench {

// Reads a byte of every cache line, as a stage that looks at its input does.
[[nodiscard]] std::uint64_t look_at(std::string_view bytes);

// Jobs under way: enough for one to work while the other sends, and at most 16 MiB of them.
[[nodiscard]] inline int window_of(std::size_t bytes) {
  return static_cast<int>(std::clamp<std::size_t>((std::size_t{16} << 20) / bytes, 4, 2048));
}

// The way back, a word for every few jobs: the sender's end, and the receiver's.
class AckReader {
 public:
  AckReader(zmq::context_t& context, const std::filesystem::path& at);
  // Waits for one; how many jobs it stands for.
  [[nodiscard]] int wait();

 private:
  zmq::socket_t socket_;
};
class Acker {
 public:
  Acker(zmq::context_t& context, const std::filesystem::path& at);
  // A job of `bytes` was read.
  void got(std::size_t bytes);
  // Nothing more is there to read for now.
  void flush();

 private:
  zmq::socket_t socket_;
  int unsaid_ = 0;
};

// Jobs a second while `send` (which sends some and says how many) keeps `window` of them under way.
template <class Send>
double windowed_rate(AckReader& acks, double seconds, int window, Send&& send) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto until =
      begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::int64_t done = 0;
  int under_way = 0;
  while (Clock::now() < until) {
    while (under_way < window) under_way += send();
    const int acked = acks.wait();
    under_way -= acked;
    done += acked;
  }
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  while (under_way > 0) under_way -= acks.wait();
  return static_cast<double>(done) / took;
}

// PUSH to PULL.
class ZmqLink {
 public:
  explicit ZmqLink(const std::filesystem::path& folder);
  // Messages a second of `bytes` each.
  [[nodiscard]] double rate(double seconds, std::size_t bytes);

 private:
  void receive() const;
  std::filesystem::path folder_;
  Child receiver_;
  zmq::context_t context_;
  AckReader acks_;
  zmq::socket_t push_;
};

// DEALER to ROUTER and back.
class ZmqPing {
 public:
  ZmqPing(const std::filesystem::path& folder, std::size_t ask_bytes, std::size_t answer_bytes);
  // Microseconds each, one at a time.
  [[nodiscard]] std::vector<double> pings(int count);

 private:
  std::string endpoint_;
  std::size_t ask_bytes_;
  Child answerer_;
  zmq::context_t context_;
  zmq::socket_t client_;
};

}  // namespace tallymill::bench
