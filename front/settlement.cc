// Settlement: the end of an attempt becomes the end of the job, or another attempt.
#include <algorithm>

#include "base/check.h"
#include "front/full_jitter.h"
#include "front/machine.h"
#include "front/mutant.h"

namespace tallymill::front {
namespace {

Error stopped_by(bool cancelled) {
  return cancelled ? Error{Errc::cancelled, "cancelled by its client"}
                   : Error{Errc::deadline, "the deadline passed"};
}

}  // namespace

void Machine::done(const Finished& finished, Instant now) {
  const JobId id(finished.token.job);
  const auto known = jobs_.find(id.raw());
  // A result can overtake the hello or the beat that would list its token.
  if (known != jobs_.end() && finished.worker != no_worker)
    claim(finished.worker, {finished.token, 1}, now);
  const auto entry = leases_.find(id.raw());
  const bool present =
      entry != leases_.end() && (entry->second.token == finished.token || plants(Mutant::no_fence));
  if (!present) {
    ++counts_.fenced;
    const bool settling = known != jobs_.end() && known->second.state == State::settling;
    if (finished.worker != no_worker && !settling && !replaying_)
      emit(TellWorker{finished.worker, finished.token, Word::void_});
    return;
  }
  JobEntry& job = known->second;
  // Its worker saw the deadline pass before this front did.
  if (finished.outcome == Finished::Outcome::stopped && job.deadline <= now &&
      !job.cancel_requested)
    job.deadline_passed = true;
  Lease lease = entry->second;
  const int hop = finished.worker == no_worker ? -1 : hop_at(lease, finished.worker);
  if (hop >= 0) reach(lease, hop, true, now);
  for (std::size_t h = 0; h < finished.service.size() && static_cast<int>(h) < lease.n; ++h)
    if (finished.service[h] > Duration(0))
      pool_.measured(lease.hops[h].place.worker, job.kind, finished.service[h]);
  end_lease(id, lease);
  leases_.erase(id.raw());

  if (job.cancel_requested || job.deadline_passed) {
    if (finished.outcome != Finished::Outcome::stopped) ++counts_.dropped_stopping;
    if (finished.worker != no_worker)
      emit(TellWorker{finished.worker, finished.token, Word::void_});
    settle(id, job, job.cancel_requested ? EndState::cancelled : EndState::expired,
           stopped_by(job.cancel_requested), false, now, 0, &lease);
    return;
  }
  if (finished.outcome == Finished::Outcome::error &&
      (finished.retry || plants(Mutant::retried_unasked)) &&
      job.failures < kinds_[job.kind].retries - (plants(Mutant::failed_early) ? 1 : 0) &&
      job.charges < limits::charges) {
    retry(id, job, finished, lease, now);
    return;
  }
  if (finished.outcome == Finished::Outcome::stopped) {
    // Nobody asked it to stop: its worker is leaving, or its clock is ahead. The job is still good.
    ++counts_.handed_back;
    if (finished.worker != no_worker)
      emit(TellWorker{finished.worker, finished.token, Word::void_});
    wait(id, job, now);
    return;
  }
  const std::int64_t seq = head_ + 1;
  const bool ok = finished.outcome == Finished::Outcome::ok;
  settle(id, job, ok ? EndState::done : EndState::failed, finished.error, true, now, 0, &lease);
  auto& settle_effect = std::get<Settle>(effects_.back());
  settle_effect.worker = finished.worker;
  settle_effect.token = finished.token;
  Pending& pending = pending_.at(seq);
  if (finished.worker != no_worker) {
    pending.worker = finished.worker;
    pending.token = finished.token;
    pending.tell = true;
    pool_.at(finished.worker).unsettled += Credits(1);
  }
}

// Its body was to be read and could not be, this time.
void Machine::not_sent(const Token& token, Instant now) {
  const auto entry = leases_.find(token.job);
  if (entry == leases_.end() || entry->second.token != token) return;
  --lane(entry->second, 0).count.sent;
  entry->second.hops[0].sent = false;
  lose(JobId(token.job), Loss::handed_back, "handed back", now);
}

void Machine::unreadable(const Token& token, Error error, Instant now) {
  const auto entry = leases_.find(token.job);
  if (entry == leases_.end() || entry->second.token != token) return;
  Lease lease = entry->second;
  --lane(lease, 0).count.sent;
  lease.hops[0].sent = false;
  const JobId id(token.job);
  end_lease(id, lease);
  leases_.erase(entry);
  settle(id, jobs_.at(id.raw()), EndState::failed, std::move(error), false, now, 0, &lease);
}

void Machine::retry(JobId id, JobEntry& job, const Finished& finished, const Lease& lease,
                    Instant now) {
  const Kind& kind = kinds_[job.kind];
  ++counts_.retried;
  const Duration base = plants(Mutant::backoff_too_long) ? kind.backoff_cap : kind.backoff_base;
  job.due = now + full_jitter(base, kind.backoff_cap, job.failures, jitter_);
  if constexpr (!plants(Mutant::failure_uncounted)) ++job.failures;
  remark(id, job, Note::What::retry_at, "failed", now, &lease);
  auto& note = std::get<Remark>(effects_.back());
  note.due = job.due;
  note.token = finished.token;
  note.worker = finished.worker;
  if (finished.worker != no_worker) {
    Pending& pending = pending_.at(note.seq);
    pending.worker = finished.worker;
    pending.token = finished.token;
    pending.tell = true;
    pool_.at(finished.worker).unsettled += Credits(1);
  }
  if constexpr (plants(Mutant::backoff_ignored)) job.due = now;
  wait(id, job, now);
}

FrontStamps Machine::stamps(const JobEntry& job, const Lease* lease, Instant now) const {
  return {
      job.intake, job.queued, job.accepted, job.ready, lease != nullptr ? lease->dispatched : now,
      now};
}

void Machine::settle(JobId id, JobEntry& job, EndState state, std::optional<Error> error,
                     bool with_result, Instant now, ReplyTo reply_to, const Lease* lease) {
  const std::int64_t seq = ++head_;
  job.ready = std::min(job.ready, now);  // it may have waited for a time that is still to come
  const FrontStamps at = stamps(job, lease, now);
  job.state = State::settling;
  ++settling_;
  pending_.emplace(seq, Pending{.what = Pending::What::settle,
                                .job = id,
                                .reply_to = reply_to,
                                .state = state,
                                .worker = no_worker,
                                .token = {},
                                .word = Word::settled,
                                .stamps = at,
                                .gap = job.ready - job.accepted,
                                .tell = false});
  if constexpr (plants(Mutant::terminal_before_commit))
    emit(Announce{seq, id, job.client, job.kind, state, job.ready - job.accepted, at});
  Settle end{seq, id, state, std::move(error), with_result, job.attempt, at};
  end.keep_weight = keep_.weigh(state, now - job.intake, now);
  if constexpr (plants(Mutant::failure_not_kept))
    if (state == EndState::failed) end.keep_weight = 0;
  if (lease != nullptr) {
    end.token = lease->token;
    end.worker = lease->hops[static_cast<std::size_t>(lease->at)].place.worker;
  }
  emit(std::move(end));
}

void Machine::remark(JobId id, JobEntry& job, Note::What what, std::string_view outcome,
                     Instant now, const Lease* lease) {
  Remark note;
  note.seq = ++head_;
  note.job = id;
  note.what = what;
  note.charges = job.charges;
  note.failures = job.failures;
  note.with_attempt = !outcome.empty();
  note.outcome = outcome;
  note.stamps = stamps(job, lease, now);
  if (lease != nullptr) {
    note.token = lease->token;
    note.worker = lease->hops[static_cast<std::size_t>(lease->at)].place.worker;
  }
  pending_.emplace(note.seq, Pending{.what = Pending::What::note, .job = id});
  emit(note);
}

// Queued like a submit: what the committer gets first wins.
void Machine::cancel(ReplyTo reply_to, JobId id, Instant now) {
  const auto entry = jobs_.find(id.raw());
  if (entry == jobs_.end() || entry->second.state == State::committing) {
    emit(Refuse{reply_to, id, {replaying_ ? Errc::busy : Errc::not_found, "no such live job"}});
    return;
  }
  JobEntry& job = entry->second;
  if (job.state == State::settling) {
    emit(Refuse{
        reply_to, id, {Errc::wrong_state, "the job is ending: it was too late to cancel it"}});
    return;
  }
  if (job.deadline_passed) {
    emit(Refuse{reply_to, id, {Errc::wrong_state, "its deadline passed: it ends as expired"}});
    return;
  }
  if (job.state == State::leased || job.state == State::held) {
    if (job.cancel_requested) return cancel_again(reply_to, id);
    job.cancel_requested = true;
    cancels_.try_emplace(id.raw());
    stop(id, job, Note::What::cancel_requested, reply_to, now);
    return;
  }
  unwait(id, job);
  settle(id, job, EndState::cancelled, stopped_by(true), false, now, reply_to);
}

// Answered when the first is on disk, and not a note of its own: asking costs the ledger nothing,
// and memory only for the length of a commit.
void Machine::cancel_again(ReplyTo reply_to, JobId id) {
  const auto first = cancels_.find(id.raw());
  if (first != cancels_.end())
    first->second.push_back(reply_to);
  else
    emit(Cancelled{reply_to, id, "cancelling"});
}

// The job is with a worker (or may be, after a restart): it is told once this is on disk.
void Machine::stop(JobId id, JobEntry& job, Note::What why, ReplyTo reply_to, Instant now) {
  remark(id, job, why, {}, now, nullptr);
  Pending& pending = pending_.at(head_);
  pending.reply_to = reply_to;
  const auto entry = leases_.find(id.raw());
  if (entry == leases_.end()) return;
  Lease& lease = entry->second;
  if (lease.stopping == Instant::max()) lease.stopping = now;
  pending.worker = lease.hops[static_cast<std::size_t>(lease.at)].place.worker;
  pending.token = lease.token;
  pending.word = why == Note::What::cancel_requested ? Word::cancel : Word::expire;
  pending.tell = true;
}

}  // namespace tallymill::front
