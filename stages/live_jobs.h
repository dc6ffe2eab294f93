// LiveJobs: tells the front about jobs while they are here, if they stay.
//
// Most jobs are over within a few milliseconds, and their Done says all. Those that stay longer are
// reported: received, started, and then how far they are, thinned out. Nothing is looked at while
// nothing stays.
//
// Threads: the loop's.
#pragma once

#include <deque>
#include <vector>

#include "base/clock.h"
#include "bus/loop.h"
#include "stages/control.h"
#include "stages/desk.h"
#include "stages/shared.h"

namespace tallymill::stages {

class LiveJobs {
 public:
  LiveJobs(Shared& shared, bus::Loop& loop, Control& control);

  // Jobs that were just put on the desk.
  void came(const std::vector<HeldPtr>& jobs);

 private:
  struct Staying {
    HeldPtr job;
    bool started = false;  // told
    float fraction = 0;    // told last
    Instant told{};
  };
  void look();
  void arm();
  // False when the job is over.
  bool report(Staying& staying, Instant now);
  void tell_hop(const HeldJob& job, std::string_view what, std::int64_t at_ns);

  Shared& shared_;
  bus::Loop& loop_;
  Control& control_;
  std::deque<HeldPtr> young_;  // by time of arrival
  std::vector<Staying> staying_;
  bool armed_ = false;
};

}  // namespace tallymill::stages
