// Egress: where the jobs of one handler thread go when their hop is over: to the front, or into the
// lane of the next hop that the front chose.
//
// What comes while more work waits is gathered and sent in one message; flush() sends all. A result
// is kept at the desk, as it was sent, before it leaves. A job for a lane that is not there goes
// back to the front: the worker never chooses and never waits.
//
//   invariant: a job given to add() is after the next flush() retained, gone, or voided
//
// Threads: the handler thread that made it; it owns its sockets.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "bus/envelope.h"
#include "bus/lane.h"
#include "stages/desk.h"
#include "stages/runner.h"
#include "stages/shared.h"

namespace tallymill::stages {

class Egress {
 public:
  // `results`: the socket to the front's results door.
  Egress(Shared& shared, HandlerProbe& probe, zmq::socket_t&& results)
      : shared_(shared), probe_(probe), results_(std::move(results)) {}

  // Connects the new ones, closes those not named. Waits for the new ones to be connected, but not
  // longer than limits::lane_connect: they are announced ahead of the first job for them.
  void set_lanes(const LaneSet& lanes);

  void add(Outcome&& outcome);

  // Whether what was gathered must leave before a job of `expected` length is run.
  [[nodiscard]] bool due(Duration expected) const;
  void flush();

 private:
  struct Way {                        // to a later hop's worker
    std::unique_ptr<bus::Lane> lane;  // null: it could not even begin to connect
    std::vector<Outcome> gathered;
  };
  // Null when there is none that can take a job.
  [[nodiscard]] Way* usable(std::string_view endpoint);
  void flush_results(Instant now);
  void flush_way(Way& way, Instant now);
  // Adds the job to packer_; false when it does not fit into a message, and it ends here.
  [[nodiscard]] bool pack_next(Way& way, Outcome& outcome, Instant now);
  void send_on(Way& way, std::vector<bus::Token>& packed, Instant now);
  void send_results(std::span<const HeldPtr> jobs, Instant now);
  void hand_back(const HeldJob& job, Instant now);
  [[nodiscard]] std::vector<bus::Hop> hops_of(Outcome& outcome, Instant handed) const;

  Shared& shared_;
  HandlerProbe& probe_;
  zmq::socket_t results_;
  std::map<std::string, Way, std::less<>> ways_;  // by endpoint
  std::vector<Outcome> to_front_;
  std::size_t gathered_ = 0;  // in to_front_ and all ways
  Instant oldest_{};
  bus::Packer packer_;
};

}  // namespace tallymill::stages
