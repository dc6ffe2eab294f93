// Links: which worker cannot reach which, as far as handed-back jobs have shown.
//
// Compute pushes straight to the image worker that the front chose; what it cannot push it hands
// back. The front does not see that link. So a job that came back shuts it for a while (full
// jitter, longer each time in a row), and for that while no route over it has a place: its jobs
// wait in their queue, in their order, uncharged, as they would for a stage without a worker. They
// do so for as long as it lasts: an end as failed would make dead letters of a pulled cable.
//
// A few jobs come back whenever a lane is new. More than that, and the lane is given up so that
// another is bound, for one that broke is never used again; and the operator is told when none came
// through in between. A sender has a socket for each of its threads and only one of them may be
// broken: so a job that comes through opens the link, but what its lane refused is forgotten only
// when nothing came back for some time.
//
//   invariant: a link is between two living workers
//
// Threads: the front's loop.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <utility>

#include "base/clock.h"

namespace tallymill::front {

// A worker incarnation's slot; never reused while the front lives.
using WorkerId = std::uint32_t;
inline constexpr WorkerId no_worker = ~WorkerId{0};

class Links {
 public:
  // Whether nothing is to be sent over this one now.
  [[nodiscard]] bool shut(WorkerId from, WorkerId to, Instant now) const {
    if (links_.empty()) return false;
    const auto link = links_.find({from, to});
    return link != links_.end() && now < link->second.until;
  }
  [[nodiscard]] bool empty() const { return links_.empty(); }

  struct Refused {
    bool give_up = false;  // the lane of `to`
    bool tell = false;     // the operator; at most once in limits::link_told
  };
  // A job came back because `from` could not push it into this lane of `to`. Jobs of one burst
  // count as one.
  [[nodiscard]] Refused refused(WorkerId from, WorkerId to, std::int32_t lane, Instant now,
                                std::mt19937_64& jitter);
  // A job came through. True: the operator was told that none does.
  bool reached(WorkerId from, WorkerId to, Instant now);
  // The worker is dead or struck off.
  void forget(WorkerId worker);

  // Links that refused more than a new lane explains, and were not reached since.
  [[nodiscard]] std::int64_t broken() const;
  // When the next of them opens by itself; Instant::max() when none is shut.
  [[nodiscard]] Instant next_open(Instant now) const;

 private:
  struct Link {
    int refusals = 0;       // in a row
    std::int32_t lane = 0;  // the last one that refused
    int of_lane = 0;        // its refusals, not in a row
    Instant refused_at{};
    Instant until{};
    Instant told_at{};
    bool broken = false;  // more refusals in a row than a new lane explains
    bool told = false;    // and not yet that it is reached again
  };
  std::map<std::pair<WorkerId, WorkerId>, Link> links_;
  // Not after the next `until` that is to come: every turn of the loop asks.
  mutable Instant next_open_ = Instant::max();
};

}  // namespace tallymill::front
