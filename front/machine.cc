// Admission, commits, time, and what is seen of the machine. Dispatch and leases: leases.cc; ends
// of attempts and of jobs: settlement.cc.
#include "front/machine.h"

#include <algorithm>

#include "base/check.h"
#include "front/mutant.h"

namespace tallymill::front {

using std::chrono::milliseconds;

bool Snapshot::jobs_balanced() const {
  std::int64_t ended = 0;
  for (const std::int64_t n : totals.ended) ended += n;
  return totals.accepted == ended + waiting.all() + in_flight + settling;
}

bool Snapshot::balanced() const {
  return jobs_balanced() &&
         std::ranges::all_of(lanes, [](const Lane& lane) { return lane.count.balanced(); });
}

Machine::Machine(Options options)
    : epoch_(options.epoch),
      head_(options.head),
      totals_(options.totals),
      admission_(options.admission),
      jitter_(options.seed),
      keep_(options.seed),
      recovered_at_(options.started + 2 * limits::heartbeat),
      last_tick_(options.started) {}

StageId Machine::add_stage(std::string name) {
  TM_CHECK(!stage_named(name));
  stages_.push_back(std::move(name));
  return static_cast<StageId>(stages_.size() - 1);
}

RouteId Machine::route_along(const std::vector<StageId>& stages) {
  TM_CHECK(!stages.empty() && stages.size() <= limits::route_hops);
  const auto same = std::ranges::find(routes_, stages);
  const auto route = static_cast<RouteId>(same - routes_.begin());
  if (same == routes_.end()) {
    routes_.push_back(stages);
    waiting_.add_route();
  }
  return route;
}

KindId Machine::add_kind(Kind kind) {
  TM_CHECK(!kind_named(kind.name));
  route_of_kind_.push_back(route_along(kind.route));
  kinds_.push_back(std::move(kind));
  return static_cast<KindId>(kinds_.size() - 1);
}

void Machine::set_kind(KindId id, Kind kind) {
  TM_CHECK(kind_named(kind.name) == id);
  const RouteId route = route_along(kind.route);
  kinds_[id] = std::move(kind);
  if (route == route_of_kind_[id]) return;
  // Only these two wait by route.
  std::vector<JobId> waiting;
  for (const auto& [job, entry] : jobs_)
    if (entry.kind == id && (entry.state == State::ready || entry.state == State::alone))
      waiting.emplace_back(job);
  std::ranges::sort(waiting);
  for (const JobId job : waiting) unwait(job, jobs_.at(job.raw()));
  route_of_kind_[id] = route;
  for (const JobId job : waiting) {
    const JobEntry& entry = jobs_.at(job.raw());
    if (entry.state == State::alone)
      waiting_.push_alone(route, job);
    else
      waiting_.push_ready(ready_place(job, entry));
  }
}

std::optional<StageId> Machine::stage_named(std::string_view name) const {
  const auto found = std::ranges::find(stages_, name);
  if (found == stages_.end()) return std::nullopt;
  return static_cast<StageId>(found - stages_.begin());
}

std::optional<KindId> Machine::kind_named(std::string_view name) const {
  const auto found = std::ranges::find(kinds_, name, &Kind::name);
  if (found == kinds_.end()) return std::nullopt;
  return static_cast<KindId>(found - kinds_.begin());
}

// ---- admission ----

std::optional<Error> Machine::refusal(const Submission& submission, Instant now) const {
  const auto busy = [](std::string message) {
    return Error{Errc::busy, std::move(message), {}, milliseconds(200)};
  };
  if (draining_) return busy("the front is shutting down");
  if (disk_low_)
    return Error{
        Errc::disk, "free space is below the floor; running jobs go on", {}, milliseconds(1000)};
  if (submission.deadline && *submission.deadline <= now)
    return Error{Errc::deadline, "the deadline has passed already", "/deadline"};
  if (submission.size > limits::max_job_bytes)
    return Error{Errc::too_big, "the job is larger than one job may be"};
  if (live_jobs() >= admission_.max_jobs) return busy("as many jobs wait as may wait");
  if (live_bytes_ + submission.size > admission_.max_bytes)
    return busy("the waiting jobs hold as many bytes as they may");
  const auto client = client_ids_.find(std::string(submission.client));
  if (client != client_ids_.end() && clients_[client->second].live >= admission_.max_per_client)
    return busy("this client has as many live jobs as one client may");
  return std::nullopt;
}

ClientId Machine::client_named(std::string_view name) {
  const auto known = client_ids_.find(std::string(name));
  if (known != client_ids_.end()) return known->second;
  if (free_clients_.empty()) {
    free_clients_.push_back(static_cast<ClientId>(clients_.size()));
    clients_.emplace_back();
  }
  const ClientId id = free_clients_.back();
  free_clients_.pop_back();
  clients_[id] = {.name = std::string(name)};
  client_ids_.emplace(name, id);
  return id;
}

ClientId Machine::hold_client(std::string_view name) {
  const ClientId id = client_named(name);
  ++clients_[id].held;
  return id;
}

void Machine::let_client_go(ClientId client) {
  TM_CHECK(client < clients_.size() && clients_[client].held > 0);
  --clients_[client].held;
  forget_idle(client);
}

void Machine::forget_idle(ClientId client) {
  const Client& at = clients_[client];
  if (at.live > 0 || at.held > 0) return;
  client_ids_.erase(at.name);
  free_clients_.push_back(client);
}

void Machine::submit(const Submission& submission, Instant now) {
  if (auto error = refusal(submission, now)) {
    ++counts_.refused_busy;
    emit(Refuse{submission.reply_to, JobId(0), std::move(*error)});
    return;
  }
  const JobId id(++head_);
  JobEntry job;
  job.intake = submission.intake;
  job.queued = now;
  job.deadline = submission.deadline.value_or(Instant::max());
  job.due = submission.not_before.value_or(Instant{});
  job.size = submission.size;
  job.client = client_named(submission.client);
  job.kind = submission.kind;
  job.priority = static_cast<std::uint8_t>(submission.priority);
  ++clients_[job.client].live;
  live_bytes_ += job.size;
  jobs_.emplace(id.raw(), job);
  pending_.emplace(id.raw(), Pending{.job = id, .reply_to = submission.reply_to});
  emit(Append{id, now});
  if constexpr (plants(Mutant::ack_before_commit)) emit(Accept{submission.reply_to, id});
}

// The job is no more: it ended, or was never stored.
void Machine::forget(JobId id) {
  const auto entry = jobs_.find(id.raw());
  TM_CHECK(entry != jobs_.end());
  const JobEntry& job = entry->second;
  const ClientId client = job.client;
  --clients_[client].live;
  live_bytes_ -= job.size;
  if (job.deadline != Instant::max()) deadlines_.erase({job.deadline, id});
  jobs_.erase(entry);
  forget_idle(client);
}

// ---- commits ----

void Machine::committed(std::int64_t seq, const Outcome& outcome, Instant now) {
  const auto entry = pending_.find(seq);
  TM_CHECK(entry != pending_.end());
  const Pending pending = entry->second;
  pending_.erase(entry);
  switch (pending.what) {
    case Pending::What::append: {
      if (outcome.what != Outcome::What::stored) {
        forget(pending.job);
        if (outcome.what == Outcome::What::known)
          emit(Accept{pending.reply_to, outcome.job, true, outcome.end});
        else if (outcome.what == Outcome::What::conflict)
          emit(Refuse{pending.reply_to,
                      outcome.job,
                      {Errc::duplicate, "the idempotency key was used for another job", "/key"}});
        else if (outcome.what == Outcome::What::keys_full)
          emit(Refuse{
              pending.reply_to,
              JobId(0),
              {Errc::busy, "the table of idempotency keys is full", "/key", milliseconds(1000)}});
        else
          emit(Refuse{pending.reply_to,
                      JobId(0),
                      {Errc::not_found, "blob " + outcome.missing + " is not in the store: put it",
                       "/inputs"}});
        break;
      }
      JobEntry& job = jobs_.at(pending.job.raw());
      ++totals_.accepted;
      job.accepted = now;
      if constexpr (!plants(Mutant::ack_before_commit)) emit(Accept{pending.reply_to, pending.job});
      if (job.deadline != Instant::max()) deadlines_.insert({job.deadline, pending.job});
      wait(pending.job, job, now);
      break;
    }
    case Pending::What::settle: {
      --settling_;
      ++totals_.ended[static_cast<int>(pending.state)];
      if constexpr (plants(Mutant::count_done_twice))
        if (pending.state == EndState::done) ++totals_.ended[static_cast<int>(pending.state)];
      const ClientId client = client_of(pending.job);
      const KindId kind = jobs_.at(pending.job.raw()).kind;
      forget(pending.job);
      if (pending.reply_to != 0) emit(Cancelled{pending.reply_to, pending.job, "cancelled"});
      if constexpr (!plants(Mutant::terminal_before_commit))
        emit(Announce{seq, pending.job, client, kind, pending.state, pending.gap, pending.stamps});
      break;
    }
    case Pending::What::note:
      if (pending.reply_to == 0) break;
      emit(Cancelled{pending.reply_to, pending.job, "cancelling"});
      if (const auto again = cancels_.extract(pending.job.raw()))
        for (const ReplyTo one : again.mapped()) emit(Cancelled{one, pending.job, "cancelling"});
      break;
  }
  if (pending.tell) {
    emit(TellWorker{pending.worker, pending.token, pending.word});
    if (pending.word == Word::settled) pool_.at(pending.worker).unsettled -= Credits(1);
  }
  if (draining_) check_drained();
}

void Machine::not_committed(std::int64_t seq, const Error& error, Instant) {
  const auto entry = pending_.find(seq);
  TM_CHECK(entry != pending_.end() && entry->second.what == Pending::What::append);
  emit(Refuse{entry->second.reply_to, JobId(0), error});
  forget(entry->second.job);
  pending_.erase(entry);
  if (draining_) check_drained();
}

// ---- restart ----

void Machine::replay(std::span<const Replayed> jobs) {
  for (const Replayed& replayed : jobs) {
    const LiveJob& live = replayed.job;
    const auto kind = kind_named(live.kind);
    JobEntry job;
    job.intake = live.intake;
    job.queued = live.queued;
    job.accepted = live.queued;
    job.deadline = replayed.deadline.value_or(Instant::max());
    job.due = replayed.not_before.value_or(Instant{});
    job.size = live.size;
    job.client = client_named(live.client);
    TM_CHECK(kind.has_value() && "the shell adds a kind for every kind of the ledger");
    job.kind = *kind;
    job.priority = static_cast<std::uint8_t>(live.priority);
    job.charges = static_cast<std::uint8_t>(std::min(live.charges, 255));
    job.failures = static_cast<std::uint16_t>(std::min(live.failures, 65'535));
    job.cancel_requested = live.cancel_requested && !plants(Mutant::cancel_forgotten);
    job.deadline_passed = live.deadline_passed && !plants(Mutant::cancel_forgotten);
    job.attempt = live.attempts;
    job.lost_once = live.charges > 0;
    job.state = State::held;
    job.ready = job.accepted;
    ++clients_[job.client].live;
    live_bytes_ += job.size;
    if (job.deadline != Instant::max()) deadlines_.insert({job.deadline, live.id});
    waiting_.held.insert(waiting_.held.end(), live.id);
    jobs_.emplace(live.id.raw(), job);
  }
}

void Machine::replay_finished(Instant now) {
  replaying_ = false;
  recovered_at_ = std::max(recovered_at_, now);
}

// ---- waiting ----

Waiting::Ready Machine::ready_place(JobId id, const JobEntry& job) const {
  return {route_of_kind_[job.kind],
          plants(Mutant::priority_ignored) ? 0 : job.priority,
          plants(Mutant::turn_ignored) ? 0 : job.client,
          {plants(Mutant::nearest_ignored) ? Instant::max() : job.deadline, id}};
}

// A job without a lease goes where it must wait. Its state is set here and in send() only.
// A job with its last charge does not: it failed. A restart may find one whose end did not reach
// the disk with the charge, and one that a worker has still; that one may yet be done.
void Machine::wait(JobId id, JobEntry& job, Instant now, const std::string& why) {
  if (job.charges >= limits::charges) {
    job.ready = now;
    return settle(id, job, plants(Mutant::done_unsaid) ? EndState::done : EndState::failed,
                  worker_lost(why), false, now);
  }
  job.ready = std::max(now, job.due);
  if (job.due > now) {
    const bool retried = job.failures > 0;
    job.state = retried ? State::backoff : State::scheduled;
    (retried ? waiting_.backoff : waiting_.scheduled).insert({job.due, id});
  } else if (job.lost_once) {
    job.state = State::alone;
    waiting_.push_alone(route_of_kind_[job.kind], id);
  } else {
    job.state = State::ready;
    waiting_.push_ready(ready_place(id, job));
  }
}

void Machine::unwait(JobId id, const JobEntry& job) {
  switch (job.state) {
    case State::held:
      TM_CHECK(waiting_.held.erase(id) == 1);
      break;
    case State::ready:
      waiting_.erase_ready(ready_place(id, job));
      break;
    case State::alone:
      waiting_.erase_alone(route_of_kind_[job.kind], id);
      pool_.release_alone(id);
      break;
    case State::backoff:
      TM_CHECK(waiting_.backoff.erase({job.due, id}) == 1);
      break;
    case State::scheduled:
      TM_CHECK(waiting_.scheduled.erase({job.due, id}) == 1);
      break;
    case State::committing:
    case State::leased:
    case State::settling:
      TM_CHECK(false && "the job waits");
  }
}

// ---- time ----

void Machine::tick(Instant now) {
  // This process was stopped, or its loop was: what the workers said meanwhile is read, but what
  // they would say next may still be on its way.
  if (now - last_tick_ > limits::heartbeat && !plants(Mutant::expiry_before_drain)) {
    for (auto& [id, lease] : leases_) lease.listed = std::max(lease.listed, now);
    pool_.extend(now);
  }
  last_tick_ = now;

  std::vector<JobId> jobs;
  const Duration early = plants(Mutant::expired_early) ? milliseconds(5) : milliseconds(0);
  while (!deadlines_.empty() && deadlines_.begin()->at <= now + early) {
    const JobId id = deadlines_.begin()->job;
    deadlines_.erase(deadlines_.begin());
    JobEntry& job = jobs_.at(id.raw());
    // What was queued first wins: an end, or a cancel.
    if (job.state != State::settling && !job.cancel_requested) {
      job.deadline_passed = true;
      if (job.state == State::leased) {
        stop(id, job, Note::What::deadline_passed, 0, now);
      } else if (job.state != State::held) {
        unwait(id, job);
        settle(id, job, EndState::expired, Error{Errc::deadline, "the deadline passed"}, false,
               now);
      }
    }
    job.deadline = Instant::max();
  }
  for (auto* due : {&waiting_.backoff, &waiting_.scheduled})
    while (!due->empty() && due->begin()->at <= now) {
      const JobId id = due->begin()->job;
      due->erase(due->begin());
      wait(id, jobs_.at(id.raw()), now);
    }

  for (WorkerId id = 0; id < pool_.all().size(); ++id) {
    const Worker& worker = pool_.at(id);
    if (worker.gone) continue;
    if (worker.open && now - worker.last_seen > limits::lease) close_lane(id, "silent");
    const bool idle = worker.here.held().jobs == Credits(0) && worker.ahead == Credits(0);
    if (idle && now - worker.last_seen > limits::worker_forgotten) bury(id);
  }
  for (const auto& [id, lease] : leases_) {
    const bool lapsed = now - lease.listed > limits::lease;
    const bool outstayed =
        lease.stopping != Instant::max() && now - lease.stopping > kinds_[jobs_.at(id).kind].stall;
    if (lapsed || outstayed) jobs.push_back(JobId(id));
  }
  std::ranges::sort(jobs);
  for (const JobId id : jobs) lapse(id, now);

  // A piece at a time, so that a million of them do not keep the loop from its sockets.
  if (!replaying_ && now >= recovered_at_)
    for (int n = 0; n < limits::released_per_tick && !waiting_.held.empty(); ++n) {
      const JobId id = *waiting_.held.begin();
      waiting_.held.erase(waiting_.held.begin());
      JobEntry& job = jobs_.at(id.raw());
      if (job.cancel_requested)
        settle(id, job, EndState::cancelled, Error{Errc::cancelled, "cancelled by its client"},
               false, now);
      else if (job.deadline_passed)
        settle(id, job, EndState::expired, Error{Errc::deadline, "the deadline passed"}, false,
               now);
      else
        wait(id, job, now);
    }
  if (draining_) check_drained();
}

Instant Machine::next_due() const {
  Instant next = last_tick_ + limits::heartbeat / 4;
  if (!replaying_ && !waiting_.held.empty()) next = std::min(next, recovered_at_);
  next = std::min(next, pool_.links().next_open(last_tick_));
  for (const auto* due : {&waiting_.backoff, &waiting_.scheduled, &deadlines_})
    if (!due->empty()) next = std::min(next, due->begin()->at);
  return next;
}

void Machine::drain(Instant) {
  draining_ = true;
  check_drained();
}

void Machine::check_drained() {
  if (leases_.empty() && pending_.empty()) emit(Drained{});
}

// ---- what is seen ----

Snapshot Machine::snapshot() const {
  Snapshot snapshot;
  snapshot.epoch = epoch_;
  snapshot.seq = head_;
  snapshot.totals = totals_;
  snapshot.waiting = waiting_.counts();
  snapshot.in_flight = static_cast<std::int64_t>(leases_.size());
  snapshot.settling = settling_;
  snapshot.broken_links = pool_.links().broken();
  snapshot.replaying = replaying_;
  std::map<LaneKey, std::int64_t> in_flight;
  for (const auto& [id, lease] : leases_)
    for (int hop = 0; hop < lease.n; ++hop)
      if (const LeaseHop& at = lease.hops[static_cast<std::size_t>(hop)];
          at.sent && !at.received && !at.freed)
        ++in_flight[lane_key(lease, hop)];
  for (const auto& [key, totals] : lanes_) {
    Snapshot::Lane lane{key.second == no_worker ? no_worker : key.first, key.second, totals.stage,
                        totals.count};
    if (const auto flying = in_flight.find(key); flying != in_flight.end())
      lane.count.in_flight = flying->second;
    snapshot.lanes.push_back(lane);
  }
  return snapshot;
}

std::string_view Machine::live_state(JobId id) const {
  const auto entry = jobs_.find(id.raw());
  if (entry == jobs_.end()) return {};
  switch (entry->second.state) {
    case State::committing:
      return {};
    case State::leased:
      return "in_flight";
    case State::settling:
      return "settling";
    default:
      return "waiting";
  }
}

std::optional<Machine::State> Machine::state(JobId id) const {
  const auto entry = jobs_.find(id.raw());
  if (entry == jobs_.end()) return std::nullopt;
  return entry->second.state;
}

std::int32_t Machine::attempts(JobId id) const {
  const auto entry = jobs_.find(id.raw());
  return entry == jobs_.end() ? 0 : entry->second.attempt;
}

void Machine::check_invariants() const {
  Waiting::Counts waiting;
  std::int64_t leased = 0;
  std::int64_t settling = 0;
  for (const auto& [id, job] : jobs_) {
    waiting.ready +=
        job.state == State::ready || job.state == State::alone || job.state == State::held;
    waiting.backoff += job.state == State::backoff;
    waiting.scheduled += job.state == State::scheduled;
    leased += job.state == State::leased;
    settling += job.state == State::settling;
    TM_CHECK((job.state == State::leased) == leases_.contains(id));
  }
  const auto counts = waiting_.counts();
  TM_CHECK(counts.ready == waiting.ready && counts.backoff == waiting.backoff &&
           counts.scheduled == waiting.scheduled);
  TM_CHECK(leased == static_cast<std::int64_t>(leases_.size()) && settling == settling_);
  std::vector<Places> here(pool_.all().size());
  std::vector<Credits> ahead(pool_.all().size());
  for (const auto& [id, lease] : leases_)
    for (int hop = 0; hop < lease.n; ++hop) {
      const LeaseHop& at = lease.hops[static_cast<std::size_t>(hop)];
      if (at.freed || at.place.worker == no_worker) continue;
      if (at.place.arrived) {
        here[at.place.worker].jobs += Credits(1);
        here[at.place.worker].bytes += at.place.size;
      } else {
        ahead[at.place.worker] += Credits(1);
      }
    }
  for (std::size_t i = 0; i < here.size(); ++i) {
    const Worker& worker = pool_.all()[i];
    TM_CHECK(worker.here.held().jobs == here[i].jobs && worker.here.held().bytes == here[i].bytes);
    TM_CHECK(worker.ahead == ahead[i]);
  }
}

}  // namespace tallymill::front
