// Workers, leases and dispatch: the part of the machine that lets jobs out of its hands.
#include <algorithm>

#include "base/check.h"
#include "front/machine.h"
#include "front/mutant.h"

namespace tallymill::front {

// ---- dispatch ----

void Machine::dispatch(Instant now) {
  if (draining_) return;
  int left = limits::dispatches_per_turn;
  std::vector<bool> stuck(waiting_.routes(), false);
  if (pool_.kept() != JobId(0) && try_send(pool_.kept(), now)) --left;
  while (left > 0 && pool_.kept() == JobId(0)) {
    const auto route = waiting_.next_alone_route(stuck);
    if (!route) break;
    if (try_send(waiting_.next_alone(*route), now))
      --left;
    else
      stuck[*route] = true;
  }
  stuck.assign(waiting_.routes(), false);
  while (left > 0) {
    const auto route = waiting_.next_route(stuck);
    if (!route) break;
    if (try_send(waiting_.next(*route), now))
      --left;
    else
      stuck[*route] = true;
  }
}

bool Machine::try_send(JobId id, Instant now) {
  JobEntry& job = jobs_.at(id.raw());
  const RouteId route = route_of_kind_[job.kind];
  const Bytes size = plants(Mutant::bytes_ignored) ? Bytes(0) : job.size;
  if (job.state == State::alone) {
    if (!pool_.take_alone(routes_[route], job.kind, size, id, now, taken_)) return false;
    waiting_.erase_alone(route, id);
  } else {
    if (!pool_.take(routes_[route], job.kind, size, now, taken_)) return false;
    waiting_.pop(route);
  }
  if constexpr (plants(Mutant::drop_queue_entry))
    if (id.raw() % 50 == 0) {
      for (Taken& place : taken_) pool_.give_back(place);
      job.state = State::committing;
      return true;
    }
  send(id, job, taken_, now);
  return true;
}

void Machine::send(JobId id, JobEntry& job, std::span<const Taken> places, Instant now) {
  if (!(plants(Mutant::attempt_not_raised) && job.free_losses > 0)) ++job.attempt;
  Lease lease;
  lease.token = {id.raw(), epoch_, job.attempt};
  lease.n = static_cast<std::int32_t>(places.size());
  Dispatch effect{lease.token, job.kind, {}, lease.n, std::nullopt, job.size};
  for (std::size_t hop = 0; hop < places.size(); ++hop) {
    lease.hops[hop].place = places[hop];
    lease.hops[hop].lane = pool_.at(places[hop].worker).info.lane;
    effect.workers[hop] = places[hop].worker;
  }
  if (job.deadline != Instant::max()) effect.deadline = job.deadline;
  lease.hops[0].sent = true;
  lease.route = route_of_kind_[job.kind];
  lease.dispatched = now;
  lease.listed = now;
  ++lane(lease, 0).count.sent;
  ++counts_.dispatched;
  if (job.attempt > 1) ++counts_.redelivered;
  job.state = State::leased;
  if constexpr (plants(Mutant::drop_lease))
    if (id.raw() % 50 == 0) {
      for (LeaseHop& hop : lease.hops)
        if (hop.place.worker != no_worker) pool_.give_back(hop.place);
      emit(effect);
      return;
    }
  leases_.emplace(id.raw(), lease);
  if constexpr (plants(Mutant::swallow_lane_message))
    if (id.raw() % 50 == 0) return;
  emit(effect);
}

// ---- workers ----

Result<WorkerId> Machine::hello(const WorkerInfo& info, std::span<const Held> held, Instant now) {
  const auto known = pool_.find(info.incarnation);
  const bool new_lane = known && pool_.at(*known).info.lane != info.lane;
  auto worker = pool_.hello(info, now);
  if (!worker) return worker;
  for (const Held& one : held) listed(*worker, one, now);
  if (!new_lane) return worker;
  pool_.at(*worker).open = pool_.at(*worker).broken = false;
  // What is still in the old lane may come through, or is lost with it.
  for (auto& [id, lease] : leases_)
    if (const LeaseHop& at = lease.hops[static_cast<std::size_t>(lease.at)];
        at.place.worker == *worker && !at.received)
      hurry(lease, now);
  return worker;
}

void Machine::lane_up(WorkerId id, Instant now) {
  Worker& worker = pool_.at(id);
  worker.open = !worker.gone && !worker.broken;
  worker.seen(now);
}

void Machine::lane_broke(WorkerId id, Instant now) {
  if (pool_.at(id).gone) return;
  close_lane(id, "broke");
  for (auto& [job, lease] : leases_)
    if (holds(lease, id)) hurry(lease, now);
}

// A link broke: a living worker, or the next hop's, lists the token again within one heartbeat, or
// it lapses and nobody is charged.
void Machine::hurry(Lease& lease, Instant now) {
  lease.link_broke = true;
  lease.listed = std::min(lease.listed, now - limits::lease + limits::heartbeat);
}

void Machine::died(WorkerId id, const std::string& how, Instant now) {
  if (pool_.at(id).gone) return;
  close_lane(id, "died");
  bury(id);
  std::vector<JobId> lost;
  bool any_started = false;
  JobId first{};
  Instant earliest = Instant::max();
  for (auto& [job, lease] : leases_) {
    if (on_its_way_from(lease, id)) hurry(lease, now);
    if (!holds(lease, id)) continue;
    lost.push_back(JobId(job));
    any_started = any_started || (lease.started && hop_at(lease, id) == lease.at);
    if (std::pair(lease.dispatched, JobId(job)) < std::pair(earliest, first))
      earliest = lease.dispatched, first = JobId(job);
  }
  std::ranges::sort(lost);
  for (const JobId job : lost) {
    const Lease& lease = leases_.at(job.raw());
    const bool charged =
        any_started ? lease.started || plants(Mutant::charged_bystander) : job == first;
    // Any of them may have killed it: the next time each runs alone, and a second death is its own.
    jobs_.at(job.raw()).lost_once = true;
    lose(job, charged ? Loss::charged : Loss::free, how, now);
  }
}

void Machine::close_lane(WorkerId id, std::string_view reason) {
  Worker& worker = pool_.at(id);
  if (worker.broken) return;
  worker.open = false;
  worker.broken = true;
  emit(CloseLane{id, reason});
}

void Machine::beat(WorkerId id, std::span<const Held> held, double busy_ratio, std::int64_t missing,
                   Instant now) {
  Worker& worker = pool_.at(id);
  worker.seen(now);
  worker.busy_ratio = busy_ratio;
  worker.missing = missing;
  // One that was taken for dead says hello again first.
  if (!worker.gone)
    for (const Held& one : held) listed(id, one, now);
  if (worker.broken && now - worker.told_to_rebind >= limits::heartbeat) {
    worker.told_to_rebind = now;
    emit(Rebind{id});
  }
}

// ---- leases ----

bool Machine::holds(const Lease& lease, WorkerId worker) const {
  return lease.hops[static_cast<std::size_t>(lease.at)].place.worker == worker;
}

bool Machine::on_its_way_from(const Lease& lease, WorkerId worker) const {
  if (lease.at == 0 || lease.hops[static_cast<std::size_t>(lease.at)].received) return false;
  return lease.hops[static_cast<std::size_t>(lease.at - 1)].place.worker == worker;
}

int Machine::hop_at(const Lease& lease, WorkerId worker) const {
  for (int hop = lease.n - 1; hop >= 0; --hop)
    if (lease.hops[static_cast<std::size_t>(hop)].place.worker == worker) return hop;
  return -1;
}

// The lanes of dead workers are counted together, by stage: a crash loop must not grow the
// snapshot.
Machine::LaneKey Machine::lane_key(const Lease& lease, int hop) const {
  const auto at = static_cast<std::size_t>(hop);
  const WorkerId to = lease.hops[at].place.worker;
  const WorkerId from = hop == 0 ? no_worker : lease.hops[at - 1].place.worker;
  if (pool_.at(to).gone || (from != no_worker && pool_.at(from).gone))
    return {pool_.at(to).info.stage, no_worker};
  return {from, to};
}

Machine::LaneTotals& Machine::lane(const Lease& lease, int hop) {
  LaneTotals& totals = lanes_[lane_key(lease, hop)];
  totals.stage = pool_.at(lease.hops[static_cast<std::size_t>(hop)].place.worker).info.stage;
  return totals;
}

void Machine::bury(WorkerId id) {
  pool_.bury(id);
  for (auto lane = lanes_.begin(); lane != lanes_.end();) {
    const auto [key, totals] = *lane;
    if (key.second == no_worker || (key.first != id && key.second != id)) {
      ++lane;
      continue;
    }
    lane = lanes_.erase(lane);
    LaneTotals& all = lanes_[{totals.stage, no_worker}];
    all.stage = totals.stage;
    all.count += totals.count;
  }
}

// The job is known to be at `hop` (`received`) or on its way there.
void Machine::reach(Lease& lease, int hop, bool received, Instant now) {
  for (int h = 0; h <= hop; ++h) {
    LeaseHop& at = lease.hops[static_cast<std::size_t>(h)];
    if (at.freed) continue;
    if (!at.sent) {
      at.sent = true;
      ++lane(lease, h).count.sent;
    }
    if (!at.received && (received || h < hop)) {
      at.received = true;
      ++lane(lease, h).count.received;
      if (h > 0) reached(lease, h, now);
    }
    if (h < hop) leave_hop(lease, h);
  }
  if (hop > lease.at) {
    lease.at = hop;
    lease.started = false;
  }
  pool_.arrive(lease.hops[static_cast<std::size_t>(hop)].place);
}

// The hop is done: its place is free. The worker's id stays, for the lane's name.
void Machine::leave_hop(Lease& lease, int hop) {
  LeaseHop& at = lease.hops[static_cast<std::size_t>(hop)];
  if (at.freed) return;
  at.freed = true;
  if constexpr (plants(Mutant::place_not_given_back))
    if (lease.token.job % 50 == 0) return;
  Taken place = at.place;
  pool_.give_back(place);
}

void Machine::reading(const Token& token, Instant now) {
  const auto entry = leases_.find(token.job);
  if (entry != leases_.end() && entry->second.token == token) entry->second.listed = now;
}

bool Machine::is_leased(const Token& token) const {
  const auto entry = leases_.find(token.job);
  return entry != leases_.end() && entry->second.token == token;
}

// Gives back what the lease still holds and books what its lanes lost. `loss`: of an attempt that
// has no result.
void Machine::end_lease(JobId id, Lease& lease, std::optional<Loss> loss) {
  for (int hop = 0; hop < lease.n; ++hop) {
    LeaseHop& at = lease.hops[static_cast<std::size_t>(hop)];
    if (at.sent && !at.received && !at.freed) {
      const Worker& to = pool_.at(at.place.worker);
      const Worker* from =
          hop == 0 ? nullptr
                   : &pool_.at(lease.hops[static_cast<std::size_t>(hop - 1)].place.worker);
      LaneCount& count = lane(lease, hop).count;
      if (to.gone || (from != nullptr && from->gone))
        ++count.lost_dead;
      else if (!to.open || to.info.lane != at.lane || lease.link_broke ||
               (from != nullptr && !from->open) || loss == Loss::handed_back)
        ++count.lost_closed;
      // else: a living lane lost it. There is no reason for that, and the law turns red.
    }
    leave_hop(lease, hop);
  }
  pool_.release_alone(id);
}

void Machine::listed(WorkerId worker, const Held& held, Instant now) {
  const Token& token = held.token;
  const auto entry = jobs_.find(token.job);
  if (entry == jobs_.end()) {
    if (!replaying_) emit(TellWorker{worker, token, Word::void_});
    return;
  }
  JobEntry& job = entry->second;
  claim(worker, held, now);
  if (job.state == State::held) return;
  if (job.state == State::settling) return;  // told when that commit is done
  if (job.state != State::leased) {
    emit(TellWorker{worker, token, Word::void_});
    return;
  }
  Lease& lease = leases_.at(token.job);
  if (token != lease.token) {
    emit(TellWorker{worker, token, Word::void_});
    return;
  }
  if (hop_at(lease, worker) < 0 && !move_on(lease, worker, job, now)) {
    emit(TellWorker{worker, token, Word::void_});
    return;
  }
  const int hop = hop_at(lease, worker);
  lease.listed = now;
  lease.link_broke = false;
  if (hop >= lease.at) {
    reach(lease, hop, true, now);
    lease.started = lease.started || held.phase >= 1;
    if (held.phase == 2 && ++lease.finished_beats > 1) emit(TellWorker{worker, token, Word::keep});
  }
  if (lease.stopping != Instant::max())
    emit(TellWorker{worker, token, job.cancel_requested ? Word::cancel : Word::expire});
}

// After a restart: a token of an earlier epoch was listed, by a beat or by its result. The highest
// one is the job's, unless this front has sent it itself.
void Machine::claim(WorkerId worker, const Held& held, Instant now) {
  const Token& token = held.token;
  JobEntry& job = jobs_.at(token.job);
  if (token.epoch >= epoch_) return;
  if (job.state == State::leased) {
    Lease& lower = leases_.at(token.job);
    const bool higher =
        plants(Mutant::adopt_lower_token) ? token < lower.token : token > lower.token;
    if (lower.token.epoch >= epoch_ || !higher) return;
    const WorkerId holder = lower.hops[static_cast<std::size_t>(lower.at)].place.worker;
    emit(TellWorker{holder, lower.token, Word::void_});
    end_lease(JobId(token.job), lower, Loss::free);
    leases_.erase(token.job);
  } else if (job.state != State::held) {
    return;
  }
  adopt(worker, held, JobId(token.job), job, now);
}

void Machine::adopt(WorkerId worker, const Held& held, JobId id, JobEntry& job, Instant now) {
  const auto& route = routes_[route_of_kind_[job.kind]];
  const auto stage = std::ranges::find(route, pool_.at(worker).info.stage);
  if (stage == route.end()) {
    emit(TellWorker{worker, held.token, Word::void_});
    if (job.state == State::leased) wait(id, job, now);
    return;
  }
  if (job.state == State::held) waiting_.held.erase(id);
  Lease lease;
  lease.token = held.token;
  // Hops before this one are done; hops after it are not known to this front: the worker hands the
  // job on by the lanes in its header, and whoever lists it then is told to drop it unless it is
  // the last hop, whose result is all that is needed.
  lease.n = 1;
  lease.hops[0].place = pool_.force(worker, job.kind, job.size);
  lease.hops[0].sent = true;
  lease.hops[0].received = true;
  lease.at = 0;
  lease.route = route_of_kind_[job.kind];
  lease.route_at = static_cast<std::int32_t>(stage - route.begin());
  lease.dispatched = now;
  lease.listed = now;
  lease.started = held.phase >= 1;
  auto& count = lane(lease, 0).count;
  ++count.sent;
  ++count.received;
  job.state = State::leased;
  job.attempt = std::max(job.attempt, held.token.attempt);
  ++counts_.adopted;
  leases_.emplace(id.raw(), lease);
  if (held.phase == 2) emit(TellWorker{worker, held.token, Word::keep});
  // Its worker is told by listed().
  if (job.cancel_requested || job.deadline_passed) leases_.at(id.raw()).stopping = now;
}

// An adopted job was handed on: the lease gains the hop that its route had taken before the
// restart. False for a hop that it has left already, or that is not of its route.
bool Machine::move_on(Lease& lease, WorkerId worker, const JobEntry& job, Instant now) {
  if (lease.token.epoch >= epoch_ || lease.n >= limits::route_hops) return false;
  const auto& route = routes_[lease.route];
  const auto stage =
      std::find(route.begin() + lease.route_at + 1, route.end(), pool_.at(worker).info.stage);
  if (stage == route.end()) return false;
  lease.route_at = static_cast<std::int32_t>(stage - route.begin());
  LeaseHop& next = lease.hops[static_cast<std::size_t>(lease.n)];
  next.place = pool_.force(worker, job.kind, job.size);
  ++lease.n;
  reach(lease, lease.n - 1, true, now);
  return true;
}

void Machine::hop(WorkerId worker, const Token& token, Point point, Instant now) {
  const auto entry = leases_.find(token.job);
  if (entry == leases_.end() || entry->second.token != token) return;
  Lease& lease = entry->second;
  const JobId id(token.job);
  if (hop_at(lease, worker) < 0 && !move_on(lease, worker, jobs_.at(token.job), now)) return;
  const int hop = hop_at(lease, worker);
  lease.listed = now;
  switch (point) {
    case Point::received:
      if (hop >= lease.at) reach(lease, hop, true, now);
      break;
    case Point::started:
      if (hop >= lease.at) {
        reach(lease, hop, true, now);
        lease.started = true;
        if constexpr (plants(Mutant::place_free_early)) leave_hop(lease, hop);
      }
      break;
    case Point::finished:
      if (hop < lease.at) break;
      reach(lease, hop, true, now);
      if (hop + 1 == lease.n) break;
      reach(lease, hop + 1, false, now);
      // It went into a lane that its worker has given up since.
      if (const LeaseHop& next = lease.hops[static_cast<std::size_t>(hop + 1)];
          !next.received && next.lane != pool_.at(next.place.worker).info.lane)
        hurry(lease, now);
      break;
    case Point::back:
      if (hop < lease.at && lease.hops[static_cast<std::size_t>(lease.at)].received) break;
      if (hop >= lease.at) reach(lease, hop, true, now);
      ++counts_.handed_back;
      if (hop + 1 < lease.n && !pool_.at(worker).leaving) refused(lease, hop + 1, now);
      lose(id, plants(Mutant::charged_hand_back) ? Loss::charged : Loss::handed_back, "handed back",
           now);
      break;
  }
}

// A worker could not reach the next hop's. Links between workers are not seen from here: when it
// goes on, the lane is given up, so that a new one is bound.
void Machine::refused(const Lease& lease, int hop, Instant now) {
  const LeaseHop& next = lease.hops[static_cast<std::size_t>(hop)];
  const WorkerId from = lease.hops[static_cast<std::size_t>(hop - 1)].place.worker;
  const WorkerId to = next.place.worker;
  // Of a lane that was given up already.
  if (!pool_.at(to).open || pool_.at(to).info.lane != next.lane) return;
  const Links::Refused what = pool_.links().refused(from, to, next.lane, now, jitter_);
  if (what.tell) emit(LinkNews{from, to, false});
  if (what.give_up) close_lane(to, "unreachable");
}

void Machine::reached(const Lease& lease, int hop, Instant now) {
  const WorkerId from = lease.hops[static_cast<std::size_t>(hop - 1)].place.worker;
  const WorkerId to = lease.hops[static_cast<std::size_t>(hop)].place.worker;
  if (pool_.links().reached(from, to, now)) emit(LinkNews{from, to, true});
}

// Whether the worker beat in time, twice at least, since the front sent the job to it: then a job
// that it never listed was lost in a living lane. Otherwise nobody can tell, and the lane is given
// up; so is one between two workers, which may have broken unseen.
bool Machine::must_have_got(const Lease& lease, WorkerId id) const {
  if (lease.at > 0) return false;
  const Worker& worker = pool_.at(id);
  return std::max(lease.listed, worker.steady_since) + 2 * limits::heartbeat <= worker.last_seen;
}

void Machine::lapse(JobId id, Instant now) {
  const Lease& lease = leases_.at(id.raw());
  ++counts_.lapsed;
  const bool charged = (lease.started || plants(Mutant::charged_unstarted)) &&
                       (!lease.link_broke || plants(Mutant::charged_link));
  const WorkerId worker = lease.hops[static_cast<std::size_t>(lease.at)].place.worker;
  const bool silent = now - pool_.at(worker).last_seen > limits::lease;
  if (!lease.hops[static_cast<std::size_t>(lease.at)].received && !must_have_got(lease, worker))
    close_lane(worker, "unheard");
  lose(id, charged ? Loss::charged : Loss::free,
       silent ? "its worker fell silent" : "its worker does not hold it any more", now);
}

Error Machine::worker_lost(const std::string& why) {
  return {Errc::stage_failed, "worker_lost: three attempts were lost with their workers" + why};
}

// The attempt is over without a result.
void Machine::lose(JobId id, Loss loss, const std::string& why, Instant now) {
  Lease lease = leases_.at(id.raw());
  JobEntry& job = jobs_.at(id.raw());
  end_lease(id, lease, loss);
  leases_.erase(id.raw());
  const bool cancelled = job.cancel_requested || plants(Mutant::cancelled_unasked);
  if (cancelled || job.deadline_passed) {
    settle(id, job, cancelled ? EndState::cancelled : EndState::expired,
           cancelled ? Error{Errc::cancelled, "cancelled by its client"}
                     : Error{Errc::deadline, "the deadline passed"},
           false, now, 0, &lease);
    return;
  }
  const bool handed_back = loss == Loss::handed_back;
  // Whether or not it is to blame, it may be: the next time it runs alone.
  if (lease.started && !handed_back) job.lost_once = true;
  if (loss == Loss::free && ++job.free_losses >= limits::free_losses) loss = Loss::charged;
  // One that a restart found with its last charge, and that a worker held all the same, gets no
  // more.
  if (loss == Loss::charged && job.charges < limits::charges) {
    job.charges += plants(Mutant::charged_twice) ? 2 : plants(Mutant::charge_forgotten) ? 0 : 1;
    ++counts_.charged;
    job.lost_once = true;
  }
  // The last one too: a dead letter shows every attempt.
  if (!handed_back) remark(id, job, Note::What::charged, "lost", now, &lease);
  job.due = Instant{};
  wait(id, job, now, "; " + why);
}

}  // namespace tallymill::front
