// Probe of the front: its metrics, and their names and labels only here.
//
// Everything that a job's life is made of is counted for all jobs, never sampled. The values of the
// conservation law are not counted here but copied from one snapshot of the machine when somebody
// asks, so that they agree with each other.
//
// Threads: the front's loop.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "front/machine.h"
#include "front/timeline.h"

namespace tallymill::front {

// How full the front is, and what others than the machine count.
struct Measures {
  std::int64_t connections = 0;
  std::int64_t clients = 0;  // names that the front counts by
  std::int64_t kinds = 0;
  std::int64_t stages = 0;
  std::int64_t behind = 0;  // of the connections, who lost ends and could not be told yet
  Bytes client_out{};       // that libzmq holds for clients
  std::int64_t commit_queue = 0;
  Bytes sqlite{};  // that SQLite holds
  Bytes live_bytes{};
  Bytes kept_bodies{};
  std::int64_t idempotency_keys = 0;
  std::int64_t waterfalls = 0;  // kept in the ledger
  std::int64_t questions = 0;   // that wait for the ledger
  std::int64_t blobs = 0;       // that wait to be stored or read
  Bytes unstored{};             // of these, what is to be stored
  std::int64_t messages_dropped = 0;
  std::int64_t control_refused = 0;  // messages at the control door
};

class Probe {
 public:
  explicit Probe(metrics::Registry& registry);

  // A job ended and its end was announced: `whole` by the front's own two readings, `parts` by the
  // stamps, which are right within `clock_error`; `at` is when.
  struct Ended {
    JobId job;
    std::string_view kind;
    Duration whole;
    Instant at;
  };
  void job_ended(const Ended& ended, const std::vector<Part>& parts, Duration clock_error);
  // The waterfall of a job that ended so will outlive it.
  void waterfall_kept(EndState state);
  void submit_refused(Errc code);
  void message_refused() { ++messages_refused_; }
  // What is counted of the connections of one door.
  struct Door {
    metrics::Counter* ended;
    metrics::Counter* handshake_failed;
  };
  [[nodiscard]] Door door(std::string_view name);

  // Copies what others count.
  void copy(const Snapshot& snapshot, const MachineCounts& counts, const Measures& measures);

 private:
  metrics::Histogram& part(std::string_view name, std::string_view stage);

  metrics::Registry& registry_;
  metrics::Counter* anomalies_;
  std::array<metrics::Counter*, 3> kept_{};                           // failed, expired, drawn
  std::map<std::string, metrics::Histogram*, std::less<>> response_;  // by kind
  struct OfPart {
    std::string name;
    std::string stage;
    metrics::Histogram* histogram;
  };
  std::int64_t messages_refused_ = 0;
  std::vector<OfPart> parts_;
  std::size_t next_part_ = 0;
  std::unordered_map<int, metrics::Counter*> refused_;  // by code
};

}  // namespace tallymill::front
