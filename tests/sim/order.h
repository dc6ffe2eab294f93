// Order: which of the jobs that were ready went first, seen from outside.
//
//   - on a route the highest priority goes first; one that was passed over goes before it, once in
//     limits::starvation_turn dispatches at most
//   - in a priority clients take turns: while one waits, no other goes twice
//   - of a client the nearest deadline goes first, then the older job
//
// A broken law throws Broken.
//
// Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "front/machine.h"
#include "tests/sim/events.h"
#include "tests/sim/model.h"

namespace tallymill::sim {

class Order {
 public:
  void front_started();
  // Accepted, or found again at a start; until it ends.
  void joins(std::int64_t job, int kind, int priority, int client, Instant deadline);
  void ends(std::int64_t job) { live_.erase(job); }
  // `alone`: it was lost before, and goes before all others.
  void sent(std::int64_t job, bool alone);
  // What was sent in this turn, against what could have been.
  void turn_ends(const front::Machine& machine);

 private:
  struct Waiting {
    int kind = 0;  // each has a route of its own
    int priority = 0;
    int client = 0;
    Instant deadline;
    std::map<int, int> passed_by;  // client -> its jobs of this queue sent while this one waited
  };
  using Waits = std::pair<const std::int64_t, Waiting>;
  void goes_first(const Waits& sent, const std::vector<Waits*>& others);

  std::map<std::int64_t, Waiting> live_;
  std::vector<std::int64_t> sent_;  // in this turn
  std::array<int, kinds> since_overtaking_{};
};

}  // namespace tallymill::sim
