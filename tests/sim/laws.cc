#include "tests/sim/laws.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.h"

namespace tallymill::sim {

using front::Note;

void Laws::broken(std::string law, std::int64_t job) {
  if (job != 0) law += " (job " + std::to_string(job) + ")";
  throw Broken{std::move(law)};
}

void Laws::front_started(std::int64_t epoch) {
  epoch_ = epoch;
  open_questions_.clear();
  dispatched_.clear();
  highest_listed_.clear();
  ends_.clear();
  retry_due_.clear();
  counts_.clear();
  attempts.front_started();
  order_.front_started();
  std::erase_if(cancels_, [&](std::int64_t job) {
    const Row* row = store_.row(JobId(job));
    return row == nullptr || !row->cancel_requested;
  });
  // What was queued and not committed is forgotten with the process that knew of it.
  std::erase_if(stops_, [&](std::int64_t job) {
    const Row* row = store_.row(JobId(job));
    return row == nullptr || (!row->cancel_requested && !row->deadline_passed);
  });
  for (const std::int64_t job : accepted_)
    if (store_.row(JobId(job)) == nullptr) broken("an accepted job is on the disk", job);
  for (const auto& [job, seq] : announced_)
    if (!store_.row(JobId(job))->end) broken("an announced end is on the disk", job);
}

void Laws::asked(std::uint64_t reply_to) {
  if (reply_to != 0) open_questions_.insert(reply_to);
}

void Laws::answered(std::uint64_t reply_to) {
  if (reply_to == 0) return;
  if (!answered_.insert(reply_to).second) broken("a question gets one answer");
  if (open_questions_.erase(reply_to) != 1) broken("an answer has a question");
}

void Laws::appended(JobId job, std::optional<Instant> deadline, std::optional<Instant> not_before) {
  times_.insert_or_assign(job.raw(), Times{deadline, not_before});
}

void Laws::replays(const front::Machine::Replayed& job) {
  const std::int64_t id = job.job.id.raw();
  const Times& times = times_.at(id);
  const Request& request = store_.row(job.job.id)->request;
  order_.joins(id, request.plan.kind, request.priority, request.client,
               times.deadline.value_or(Instant::max()));
  if (job.job.backoff) retry_due_[id] = *job.not_before;
  if (job.deadline != times.deadline) broken("a restart moves no deadline", id);
  if (!job.job.backoff && job.not_before != times.not_before)
    broken("a restart moves no due time", id);
}

void Laws::accepted(const Request& request, const Answer& answer) {
  answered(answer.reply_to);
  const std::int64_t job = answer.job.raw();
  const Row* row = store_.row(answer.job);
  if (row == nullptr) broken("accepted leaves after the commit that holds the job", job);
  if (row->request.content != request.content)
    broken("the job that was accepted is the one asked for", job);
  if (answer.end && row->end != answer.end)
    broken("the end that is told is the one on the disk", job);
  if (!accepted_.insert(job).second && !answer.known) broken("a job is accepted once", job);
  if (!answer.known)
    order_.joins(job, request.plan.kind, request.priority, request.client,
                 times_.at(job).deadline.value_or(Instant::max()));
  if (request.key.empty()) return;
  const auto [known, fresh] =
      keys_.try_emplace({request.client, request.key}, std::pair(job, request.content));
  if (!fresh && known->second != std::pair(job, request.content))
    broken("one key and content is one job", job);
}

void Laws::refused(const Request& request, const Answer& answer) {
  answered(answer.reply_to);
  if (answer.error != Errc::duplicate) return;
  const Row* row = store_.row(answer.job);
  if (row == nullptr || row->request.content == request.content)
    broken("E_DUP is for a key that was used for other content", answer.job.raw());
}

void Laws::cancel_said(JobId job, std::string_view state) {
  const Row* row = store_.row(job);
  if (row == nullptr) broken("a cancel is answered for a job that is", job.raw());
  if (state == "cancelled" ? row->end != EndState::cancelled
                           : !row->cancel_requested && !row->deadline_passed)
    broken("a cancel is answered after its commit", job.raw());
}

void Laws::dispatched(const front::Dispatch& dispatch, bool alone, const HopAt& first, int next) {
  const Token& token = dispatch.token;
  if (!used_.insert(token).second) broken("a token is used once", token.job);
  if (token.epoch != epoch_) broken("a token is of the front's epoch", token.job);
  const Row* row = store_.row(JobId(token.job));
  if (row == nullptr) broken("a job is dispatched after the commit that holds it", token.job);
  if (row->end || ends_.contains(token.job))
    broken("a job that ended is not dispatched", token.job);
  if (stops_.contains(token.job))
    broken("a job whose cancel or deadline was queued is not dispatched", token.job);
  if (row->request.plan.has_input && !store_.has(Store::input_of(row->request.content)))
    broken("the blobs of a live job are in the store", token.job);
  if (times_.at(token.job).not_before > events_.now())
    broken("a job is not sent before it is due", token.job);
  if (const auto due = retry_due_.find(token.job); due != retry_due_.end()) {
    if (due->second > events_.now()) broken("a job is not sent before its backoff", token.job);
    retry_due_.erase(due);
  }
  attempts.sent(dispatch, first, next, events_.now());
  order_.sent(token.job, alone);
  dispatched_[token.job] = token;
  for (int hop = 0; hop < dispatch.hops; ++hop)
    for (int other = 0; other < hop; ++other)
      if (dispatch.workers[static_cast<std::size_t>(hop)] ==
          dispatch.workers[static_cast<std::size_t>(other)])
        broken("the hops of these routes are at different workers", token.job);
}

void Laws::listed(const Token& token, bool live) {
  if (token.epoch >= epoch_ || !live) return;
  auto [entry, fresh] = highest_listed_.try_emplace(token.job, token);
  if (!fresh) entry->second = std::max(entry->second, token);
}

std::optional<Token> Laws::present(std::int64_t job) const {
  if (const auto sent = dispatched_.find(job); sent != dispatched_.end()) return sent->second;
  if (const auto adopted = highest_listed_.find(job); adopted != highest_listed_.end())
    return adopted->second;
  return std::nullopt;
}

// Else a part of its time ended before it began.
void Laws::stamped(std::int64_t job, const front::FrontStamps& at) {
  const std::array<Instant, 6> stamps{at.intake, at.queued,     at.accepted,
                                      at.ready,  at.dispatched, at.returned};
  if (!std::ranges::is_sorted(stamps)) broken("a job's stamps rise", job);
}

void Laws::settles(const front::Settle& settle, const ResultMsg* in_hand) {
  const std::int64_t job = settle.job.raw();
  stamped(job, settle.stamps);
  if (!ends_.insert(job).second) broken("a job has one end", job);
  if (store_.row(settle.job) == nullptr) broken("a job that ends is on the disk", job);
  if (settle.state == EndState::cancelled || settle.state == EndState::expired)
    stops_.insert(job);
  else if (stops_.contains(job))
    broken("a cancel or deadline that was queued first wins", job);
  const bool failure = settle.state == EndState::failed || settle.state == EndState::expired;
  const double weight = settle.keep_weight;
  if (failure ? weight != 1 : weight != 0 && !(weight >= 1))
    broken("what failed is kept, what is kept stands for itself at least", job);
  has_a_reason(settle, in_hand);
  attempts.over(job);
  order_.ends(job);
  if (!settle.with_result) return;
  if (in_hand == nullptr || in_hand->token.job != job)
    broken("an end has a result of its job", job);
  if (present(job) != in_hand->token) broken("a result counts only with the present token", job);
}

bool Laws::deadline_passed(std::int64_t job) const {
  return times_.at(job).deadline.value_or(Instant::max()) <= events_.now();
}

void Laws::has_a_reason(const front::Settle& settle, const ResultMsg* in_hand) {
  const std::int64_t job = settle.job.raw();
  const Counts& counts = counts_of(settle.job);
  using Outcome = Finished::Outcome;
  const auto told = [&](Outcome outcome) {
    return settle.with_result && in_hand != nullptr && in_hand->outcome == outcome;
  };
  switch (settle.state) {
    case EndState::done:
      if (!told(Outcome::ok)) broken("a job is done when its worker says so", job);
      break;
    case EndState::failed:
      if (told(Outcome::error) ? in_hand->retry && counts.failures < sim::retries
                               : counts.charges < limits::charges)
        broken("a job fails with a final error or its last charge", job);
      break;
    case EndState::cancelled:
      if (!cancels_.contains(job)) broken("a job is cancelled when that was asked", job);
      break;
    case EndState::expired:
      if (!deadline_passed(job)) broken("a job does not expire before its deadline", job);
      break;
  }
}

Laws::Counts& Laws::counts_of(JobId job) {
  const auto [entry, fresh] = counts_.try_emplace(job.raw());
  if (const Row* row = store_.row(job); fresh && row != nullptr)
    entry->second = {row->charges, row->failures};
  return entry->second;
}

void Laws::remarks(const front::Remark& remark, const ResultMsg* in_hand) {
  const std::int64_t job = remark.job.raw();
  if (remark.with_attempt) stamped(job, remark.stamps);
  if (remark.charges > limits::charges) broken("a job is charged three times at most", job);
  if (ends_.contains(job)) broken("nothing is noted of a job that ended", job);
  Counts& counts = counts_of(remark.job);
  const Counts before = std::exchange(counts, {remark.charges, remark.failures});
  const std::int32_t charged = remark.charges - before.charges;
  const std::int32_t failed = remark.failures - before.failures;
  if (charged < 0 || charged > (remark.what == Note::What::charged ? 1 : 0))
    broken("a lost attempt is charged once, and nothing else is", job);
  if (failed != (remark.what == Note::What::retry_at ? 1 : 0))
    broken("a failed attempt counts once, and nothing else does", job);
  switch (remark.what) {
    case Note::What::charged:
      attempts.lost(remark.token, charged == 1, before.charges < limits::charges);
      break;
    case Note::What::retry_at:
      retries(remark, in_hand, before);
      retry_due_[job] = *remark.due;
      break;
    case Note::What::cancel_requested:
      if (!cancels_.contains(job)) broken("a job is cancelled when that was asked", job);
      stops_.insert(job);
      break;
    case Note::What::deadline_passed:
      if (!deadline_passed(job)) broken("a job does not expire before its deadline", job);
      stops_.insert(job);
      break;
    case Note::What::attempt_failed:
      break;
  }
}

void Laws::retries(const front::Remark& remark, const ResultMsg* in_hand,
                   const Counts& before) const {
  const std::int64_t job = remark.job.raw();
  if (in_hand == nullptr || present(job) != in_hand->token)
    broken("a failure counts only with the present token", job);
  if (in_hand->outcome != Finished::Outcome::error || !in_hand->retry ||
      before.failures >= sim::retries)
    broken("a job is retried when its worker says so, and as often as its kind may be", job);
  const Duration most = std::min(backoff_cap, backoff_base * (1 << before.failures));
  if (*remark.due < events_.now() || *remark.due > events_.now() + most)
    broken("a retry waits within its bound", job);
}

void Laws::lapsed(const Token& token) const {
  const auto seen = arrived_.find(token);
  if (seen != arrived_.end() && events_.now() - seen->second < limits::lease &&
      events_.now() - shortened_ > limits::lease)
    broken("a lease does not lapse while a worker lists it", token.job);
}

void Laws::announced(const front::Announce& announce) {
  const std::int64_t job = announce.job.raw();
  const Row* row = store_.row(announce.job);
  if (row == nullptr || !row->end) broken("an end is announced after its commit", job);
  if (row->end != announce.state || row->end_seq != announce.seq)
    broken("the end that is announced is the one on the disk", job);
  if (!announced_.emplace(job, announce.seq).second) broken("an end is announced once", job);
  if (row->end == EndState::done && row->result != row->request.content)
    broken("a job's result is its own", job);
}

void Laws::after_event(const front::Machine& machine) const {
  const front::Snapshot snapshot = machine.snapshot();
  if (!snapshot.replaying) {
    if (!snapshot.jobs_balanced()) broken("accepted = ended + waiting + in flight + settling");
    for (const auto& lane : snapshot.lanes)
      if (const front::LaneCount& n = lane.count; !n.balanced())
        broken("per lane: sent = received + in flight + lost for a reason; " +
               machine.pool().at(lane.to).info.incarnation + ": " + std::to_string(n.sent) + " = " +
               std::to_string(n.received) + " + " + std::to_string(n.in_flight) + " + " +
               std::to_string(n.lost_closed + n.lost_dead));
  }
  machine.check_invariants();
}

void Laws::at_rest(const front::Machine& machine) const {
  if (!open_questions_.empty()) broken("each question gets an answer");
  for (const auto& [id, row] : store_.rows()) {
    if (!row.end) {
      const auto state = machine.state(JobId(id));
      broken("every accepted job ends: it is " +
                 (state ? "in state " + std::to_string(static_cast<int>(*state)) : "unknown"),
             id);
    }
    if (row.has_output && !store_.has(Store::output_of(row.result)))
      broken("the blobs of a kept result are in the store", id);
  }
  if (machine.live_jobs() != 0) broken("no job is live at rest");
  if (machine.live_bytes() != Bytes(0)) broken("no bytes are live at rest");
  for (const front::Worker& worker : machine.pool().all()) {
    if (worker.here.held().jobs != Credits(0) || worker.ahead != Credits(0))
      broken("every place is given back");
    if (worker.unsettled != Credits(0)) broken("every result is settled at its worker");
    if (worker.alone != JobId(0)) broken("no worker is kept for a job that ended");
  }
}

}  // namespace tallymill::sim
