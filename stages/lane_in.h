// LaneIn: the lane that this worker binds, and the jobs that come in on it.
//
// One endpoint per incarnation and lane number, never used twice: what was sent to a dead worker
// must not reach its successor. A lane that broke is replaced by the next number; the old one is
// read for a while longer, for those who had it from the front before.
//
//   invariant: a sender's numbers on a lane rise by one; each that is skipped is counted as missing
//
// Threads: the loop's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"
#include "bus/loop.h"
#include "stages/desk.h"
#include "stages/shared.h"

namespace tallymill::stages {

class LaneIn {
 public:
  using OnJobs = std::function<void(std::vector<HeldPtr>&)>;

  // `base`: as for bus::lane_endpoint.
  LaneIn(Shared& shared, bus::Loop& loop, std::string base, bool insecure, OnJobs on_jobs);
  ~LaneIn();

  // Binds the next lane. Errors as bus::open_socket.
  [[nodiscard]] Status bind_next();

  // Stops reading; what is in the sockets is lost with them.
  void close();
  // Takes what is there now, without waiting.
  void drain();

  [[nodiscard]] const std::string& endpoint() const { return lanes_.back()->endpoint; }
  [[nodiscard]] std::int32_t number() const { return number_; }
  [[nodiscard]] std::int64_t missing() const { return missing_; }

 private:
  struct Source {
    std::int64_t epoch = 0;  // a new front counts from 1 again
    std::int64_t last = 0;
  };
  struct Lane {
    zmq::socket_t socket;
    std::string endpoint;
    std::map<std::string, Source, std::less<>> sources;
  };
  void receive(Lane& lane);
  void close(Lane& lane);
  void take_message(Lane& lane, bus::Frames&& untrusted);
  void count_number(Lane& lane, const bus::Work& work);
  void retire_old();

  Shared& shared_;
  bus::Loop& loop_;
  const std::string base_;
  const bool insecure_;
  const OnJobs on_jobs_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // the last one is the present one
  std::int32_t number_ = 0;
  std::int64_t missing_ = 0;
  std::vector<HeldPtr> came_;
};

}  // namespace tallymill::stages
