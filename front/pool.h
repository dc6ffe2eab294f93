// Pool: the workers that said hello, the places at them, and the choice of a lane.
//
// A route is taken whole or not at all: one place on every hop, before the job leaves its queue. Of
// several workers of a stage the one with the least expected work is chosen: its outstanding jobs
// times the measured service time of their kinds. Outstanding work is kept shallow (limits::
// lane_work_ahead), so that a slow worker does not hoard jobs that a fast one could do, and a job's
// priority still means something after it was sent.
//
// A place at a later hop is counted apart from the places of jobs that are there already: the job
// arrives only after the hops before it, and a slow first stage must not idle a fast second. Both
// counts are kept shallow, so that a fast first stage does not flood a slow second either.
//
// A worker whose jobs cannot reach the next hop's worker (front/links.h) has no place for that
// route meanwhile; another that can takes it.
//
//   invariant: the places taken are exactly those of the live leases (the machine checks it)
//
// Threads: the front's loop.
// Source: Little's law for the depth; "join the shortest expected queue" for the choice.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"
#include "front/credit.h"
#include "front/links.h"

namespace tallymill::front {

using KindId = std::uint16_t;
using StageId = std::uint16_t;
struct WorkerInfo {
  std::string incarnation;
  StageId stage = 0;
  Places limit{};
  Credits unsettled_limit{};  // finished results that it keeps until told
  std::int32_t concurrency = 1;
  std::int32_t lane = 1;
};

struct Worker {
  WorkerInfo info;
  bool open = false;      // its lane is up: jobs may be sent
  bool broken = false;    // its lane was closed: it must bind another
  bool leaving = false;   // it drains: no new jobs
  bool gone = false;      // dead or lapsed; the slot is history
  CreditWindow here;      // jobs that were sent to it
  Credits ahead{};        // places taken for jobs that are still at an earlier hop
  Credits unsettled{};    // results it keeps
  Duration work_here{};   // expected, of the places in `here`
  Duration work_ahead{};  // expected, of the places in `ahead`
  JobId alone{};          // reserved for this job until it ends; 0: for none
  Instant last_seen;
  Instant steady_since;  // its beats came in time since then
  Instant told_to_rebind{};
  double busy_ratio = 0;
  std::int64_t missing = 0;                      // lane numbers that it never got
  std::unordered_map<KindId, Duration> service;  // measured, moving average

  void seen(Instant now) {
    if (now - last_seen > 2 * limits::heartbeat) steady_since = now;
    last_seen = now;
  }
};

// A place on one hop.
struct Taken {
  WorkerId worker = no_worker;
  Bytes size{};
  Duration expected{};
  bool arrived = false;  // counted in Worker::here, else in Worker::ahead
};

class Pool {
 public:
  // A new incarnation, or one that comes back with another lane. bad_params, too_big: see
  // CreditWindow::set_limit; nothing changes then.
  [[nodiscard]] Result<WorkerId> hello(const WorkerInfo& info, Instant now);

  [[nodiscard]] std::optional<WorkerId> find(std::string_view incarnation) const;
  [[nodiscard]] Worker& at(WorkerId id);
  [[nodiscard]] const Worker& at(WorkerId id) const;
  [[nodiscard]] std::span<const Worker> all() const { return workers_; }

  // Takes a place on each stage of `route` for a job of `size`, all or none; in `taken`, in order.
  [[nodiscard]] bool take(std::span<const StageId> route, KindId kind, Bytes size, Instant now,
                          std::vector<Taken>& taken);
  // The same at workers that hold nothing else, which take nothing else until release_alone(job).
  // False when they are not empty yet: they are kept for the job meanwhile, and it is kept(); or
  // when a stage has no worker for it: then none is kept. REQUIRES: no other job is kept(). Two
  // that each keep what the other needs would wait for ever.
  [[nodiscard]] bool take_alone(std::span<const StageId> route, KindId kind, Bytes size, JobId job,
                                Instant now, std::vector<Taken>& taken);
  // The job that waits for its workers to be empty; 0: none.
  [[nodiscard]] JobId kept() const { return kept_; }
  // Takes a place whatever the limits say: the worker holds the job already (adopted at restart).
  [[nodiscard]] Taken force(WorkerId worker, KindId kind, Bytes size);
  // The job arrived at this hop.
  void arrive(Taken& place);
  void give_back(Taken& place);
  // No worker is kept free for `job` any more.
  void release_alone(JobId job);
  // This process was away: nobody could be heard, nobody is taken for silent.
  void extend(Instant now);
  // The worker is dead, or was silent for long: its slot is history. Its hello gets a new one.
  void bury(WorkerId id);

  // `service` was measured once more; with several handler threads the worker's rate is theirs
  // together.
  void measured(WorkerId worker, KindId kind, Duration service);

  [[nodiscard]] Links& links() { return links_; }
  [[nodiscard]] const Links& links() const { return links_; }

 private:
  // Of the stage at `hop` of the route; `from`: the worker of the hop before.
  [[nodiscard]] WorkerId best(std::span<const StageId> route, std::size_t hop, WorkerId from,
                              KindId kind, Bytes size, Instant now) const;
  // `upstream`: how many jobs may be under way to it; 0 for a first hop.
  [[nodiscard]] bool has_room(const Worker& worker, Bytes size, Duration one, int upstream) const;
  [[nodiscard]] bool may_take(const Worker& worker, JobId alone) const;
  // Whether `from` can hand on to `worker`, and `worker` to anyone of the hop after.
  [[nodiscard]] bool is_linked(WorkerId from, WorkerId worker, std::span<const StageId> after,
                               Instant now) const;
  [[nodiscard]] int width(StageId stage) const;
  void place(WorkerId id, KindId kind, Bytes size, bool first, std::vector<Taken>& taken);

  std::vector<Worker> workers_;
  JobId kept_{};
  std::map<std::string, WorkerId, std::less<>> by_incarnation_;
  std::vector<std::vector<WorkerId>> by_stage_;  // living ones
  Links links_;
};

}  // namespace tallymill::front
