// Telemetry: tells a collector each second what this process counts, and never waits for it.
//
// One thread of its own takes a snapshot, makes a frame of what changed (bus/telemetry_frame.h) and
// pushes it: now, or not at all. The road has no part in it: it goes on writing its own slots. All
// is said again every limits::telemetry_whole_every frames and after each connect; so a collector
// that was away, or lost something, has every count exactly soon after.
//
//   invariant: at most limits::telemetry_out_queue frames wait for a collector; one more is dropped
//              and counted, and what it said is in the next
//   invariant: a series keeps its number as long as the process runs
//
// Threads: start() and its end on one; the sources are asked on its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "base/result.h"
#include "bus/msgpack_writer.h"
#include "bus/telemetry_frame.h"

namespace tallymill::bus {

// Makes frames of snapshots: knows the number of each series, and what was said of it last.
// Threads: a value.
class TelemetryWriter {
 public:
  TelemetryWriter(std::string job, std::string instance, std::int64_t incarnation);

  struct Wanted {
    std::int64_t t_ms = 0;
    bool whole = false;
    bool last = false;
  };
  // The next frame, in place of what `out` held; false: it is larger than one may be, and goes
  // nowhere. REQUIRES: a snapshot stands at the same place in each call, and its registry only
  // grows.
  [[nodiscard]] bool write(std::span<const metrics::Snapshot> snapshots, const Wanted& wanted,
                           Buffer& out);
  // The last frame went nowhere: what it said is said again.
  void not_sent();
  // No frame was made in its place.
  void skip() { ++frame_.sequence; }

  [[nodiscard]] std::size_t series() const { return known_.size(); }
  // Series that found no number; they are not told.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Known {
    bool told = false;  // what it is
    bool due = true;    // its value must be said, changed or not
    double value = 0;
    std::uint64_t count = 0;
    std::uint64_t sum_ns = 0;
  };
  using Numbers = std::vector<std::uint32_t>;  // by the place in a family
  void add_family(const metrics::Snapshot::Family& family, Numbers& numbers, bool whole);
  void add_value(std::uint32_t id, double value, bool whole);
  void add_distribution(std::uint32_t id, const metrics::Snapshot::Distribution& one, bool whole);
  void number(Numbers& numbers, std::size_t count);

  std::string job_;
  std::string instance_;
  TelemetryFrame frame_;
  std::vector<std::map<std::string, Numbers, std::less<>>> families_;  // by snapshot
  std::vector<Known> known_;                                           // by number
  std::int64_t told_ms_ = 0;                                           // of the frame before
  std::uint64_t refused_ = 0;
};

struct TelemetryOptions {
  std::string endpoint;       // of the collector's bus
  std::string job;            // what kind of process this is
  std::string instance = {};  // empty: host and pid
  // What there is to tell. A name of a metric is in one of them only.
  std::vector<std::function<metrics::Snapshot()>> sources = {};
  bool insecure = false;  // as SocketOptions
  bool process = true;    // tells also what this process takes of the machine
  Duration period = limits::telemetry_period;
};

class Telemetry {
 public:
  // Errors as open_socket. The context and the sources must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<Telemetry>> start(zmq::context_t& context,
                                                                TelemetryOptions options);
  // Says all a last time.
  ~Telemetry();
  Telemetry(const Telemetry&) = delete;
  Telemetry& operator=(const Telemetry&) = delete;

 private:
  class State;
  explicit Telemetry(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::bus
