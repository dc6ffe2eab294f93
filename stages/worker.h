// Worker: one worker process of a stage, from its hello to its leave.
//
//   lane PULL -> LaneIn -> Desk -> HandlerThread (Runner) -> Egress -> front, or the next lane
//                  loop thread  |  handler threads, each with sockets of its own
//
// It says hello to the front and binds a lane; jobs come in there and are put on the desk; handler
// threads run them and send on what they made. The loop lists every job held in its beats, does as
// the front tells it (keep, settled, void, cancel, expire, drain), and says hello again, with all
// that it holds, when the connection was lost or another front is there. A handler that gives no
// sign of life within its job's bound ends the process: nothing else stops a thread.
//
//   invariant: a finished result is kept until the front says that it has it, or wants it no more
//
// Threads: make() and run() on one, which becomes the loop's; drain() and stop() from any.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "base/result.h"
#include "stages/handler.h"

namespace tallymill::stages {

// The exit code of a worker whose handler stalled; its supervisor starts another.
inline constexpr int stalled_exit = 71;

struct WorkerOptions {
  std::string stage;                    // "compute"
  std::string control;                  // the front's control door
  std::string results;                  // and its results door
  std::filesystem::path run_dir = {};   // of ipc sockets, for lanes unless an address is given
  std::string lane_address = {};        // of tcp lanes; empty: ipc, or loopback without run_dir
  std::filesystem::path data_dir = {};  // where the blob store is here; empty: as the front
  int concurrency = 1;                  // handler threads
  std::int32_t places = limits::worker_places;  // jobs it will hold
  Bytes place_bytes = limits::worker_place_bytes;
  std::int32_t unsettled = limits::worker_unsettled;  // results it will keep
  std::vector<StageKind> kinds = {};
  bool insecure = false;        // addresses that other hosts can reach are allowed
  bool handle_signals = false;  // SIGTERM and SIGINT drain; a second one ends the process
};

class Worker {
 public:
  // Binds its lane and starts its threads. bad_params: an option, named in the text; away: an
  // endpoint could not be used; and as bus::open_socket.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> make(WorkerOptions options,
                                                            const Clock& clock);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Until it was drained or stopped.
  void run();

  // Hands back what has not started, finishes the rest, and returns from run() when the front has
  // all results, or after limits::drain_wait.
  void drain();
  // Returns from run() without waiting for the front; what it holds is redelivered.
  void stop();

  [[nodiscard]] const std::string& incarnation() const;
  // From any thread.
  [[nodiscard]] metrics::Snapshot metrics() const;
  [[nodiscard]] zmq::context_t& context();

 private:
  class State;
  explicit Worker(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::stages
