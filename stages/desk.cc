#include "stages/desk.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace tallymill::stages {

Desk::Put Desk::put(std::span<const HeldPtr> jobs) {
  Put result;
  int to_wake = 0;
  {
    const std::lock_guard lock(jobs_mutex_);
    for (const HeldPtr& job : jobs) {
      if (table_.size() >= bound_) {
        ++result.refused;
        continue;
      }
      if (!table_.emplace(job->token, job).second) {
        ++result.duplicates;
        continue;
      }
      bytes_ += job->bytes;
      waiting_.push_back(job);
      ++to_wake;
    }
    to_wake = std::min(to_wake, sleeping_);
  }
  if (to_wake > 1) {
    news_.notify_all();
  } else if (to_wake == 1) {
    news_.notify_one();
  }
  return result;
}

std::vector<Desk::Listed> Desk::list() const {
  std::vector<Listed> out;
  const std::lock_guard lock(jobs_mutex_);
  out.reserve(table_.size());
  for (const auto& [token, job] : table_)
    out.push_back({token, job->phase.load(std::memory_order_relaxed)});
  return out;
}

HeldPtr Desk::stop(const bus::Token& token, Stop why) {
  const std::lock_guard lock(jobs_mutex_);
  const auto found = table_.find(token);
  if (found == table_.end()) return nullptr;
  const HeldPtr job = found->second;
  job->stop.store(why, std::memory_order_relaxed);
  const bool unstarted = job->claim();
  if (why == Stop::voided) {
    if (job->sent_) --retained_;
    job->phase.store(Phase::finished, std::memory_order_relaxed);
    drop_bytes_locked(*job);
    table_.erase(found);
  }
  return unstarted ? job : nullptr;
}

void Desk::settled(const bus::Token& token) {
  const std::lock_guard lock(jobs_mutex_);
  const auto found = table_.find(token);
  if (found == table_.end()) return;
  if (found->second->sent_) --retained_;
  found->second->phase.store(Phase::finished, std::memory_order_relaxed);
  drop_bytes_locked(*found->second);
  table_.erase(found);
}

std::optional<Desk::Again> Desk::again(const bus::Token& token, Instant now, Duration quiet) {
  const std::lock_guard lock(jobs_mutex_);
  const auto found = table_.find(token);
  if (found == table_.end()) return std::nullopt;
  HeldJob& job = *found->second;
  if (!job.sent_ || now - job.sent_at_ < quiet) return std::nullopt;
  job.sent_at_ = now;
  return Again{job.sent_, job.sent_index_};
}

std::vector<HeldPtr> Desk::drain() {
  const std::lock_guard lock(jobs_mutex_);
  std::vector<HeldPtr> back;
  for (auto it = table_.begin(); it != table_.end();) {
    HeldJob& job = *it->second;
    if (!job.claim()) {
      ++it;
      continue;
    }
    job.phase.store(Phase::finished, std::memory_order_relaxed);
    drop_bytes_locked(job);
    back.push_back(std::move(it->second));
    it = table_.erase(it);
  }
  waiting_.clear();
  return back;
}

void Desk::set_lanes(std::shared_ptr<const LaneSet> lanes) {
  {
    const std::lock_guard lock(jobs_mutex_);
    lanes_ = std::move(lanes);
  }
  news_.notify_all();
}

void Desk::close() {
  {
    const std::lock_guard lock(jobs_mutex_);
    closed_ = true;
    for (const auto& [token, job] : table_) job->stop.store(Stop::voided);
  }
  news_.notify_all();
}

bool Desk::take(Turn& turn, bool jobs_are_short) {
  std::unique_lock lock(jobs_mutex_);
  ++sleeping_;
  news_.wait(lock, [&] { return has_news_locked(turn) || closed_; });
  --sleeping_;
  if (!has_news_locked(turn)) return false;
  take_locked(turn, jobs_are_short);
  return true;
}

bool Desk::try_take(Turn& turn, bool jobs_are_short) {
  const std::lock_guard lock(jobs_mutex_);
  if (!has_news_locked(turn)) return false;
  take_locked(turn, jobs_are_short);
  return true;
}

void Desk::take_locked(Turn& turn, bool jobs_are_short) {
  turn.jobs.clear();
  turn.lanes = lanes_;
  // A thread alone cannot starve another; among several a batch is taken only of jobs so short that
  // the lock would be the dearer part.
  const auto share = waiting_.size() / static_cast<std::size_t>(handlers_);
  const std::size_t wanted = handlers_ == 1 || jobs_are_short ? std::max<std::size_t>(share, 1) : 1;
  const auto n =
      static_cast<std::ptrdiff_t>(std::min({wanted, waiting_.size(), limits::jobs_per_take}));
  turn.jobs.assign(std::move_iterator(waiting_.begin()), std::move_iterator(waiting_.begin() + n));
  waiting_.erase(waiting_.begin(), waiting_.begin() + n);
}

void Desk::retain(std::span<const HeldPtr> jobs, const std::shared_ptr<const Sent>& sent,
                  Instant now) {
  const std::lock_guard lock(jobs_mutex_);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto found = table_.find(jobs[i]->token);
    if (found == table_.end()) continue;  // voided while it ran
    HeldJob& job = *found->second;
    drop_bytes_locked(job);
    if (!job.sent_) ++retained_;
    job.sent_ = sent;
    job.sent_index_ = static_cast<std::uint32_t>(i);
    job.sent_at_ = now;
    job.phase.store(Phase::finished, std::memory_order_relaxed);
  }
}

void Desk::not_sent(std::span<const HeldPtr> jobs) {
  const std::lock_guard lock(jobs_mutex_);
  for (const HeldPtr& job : jobs) unsent_.push_back(job->token);
}

std::vector<Desk::Again> Desk::take_unsent(std::size_t most, Instant now) {
  std::vector<Again> out;
  const std::lock_guard lock(jobs_mutex_);
  while (!unsent_.empty() && out.size() < most) {
    const auto found = table_.find(unsent_.front());
    unsent_.pop_front();
    if (found == table_.end() || !found->second->sent_) continue;
    found->second->sent_at_ = now;
    out.push_back({found->second->sent_, found->second->sent_index_});
  }
  return out;
}

bool Desk::has_unsent() const {
  const std::lock_guard lock(jobs_mutex_);
  return !unsent_.empty();
}

void Desk::gone(const bus::Token& token) { settled(token); }

void Desk::drop_bytes_locked(HeldJob& job) {
  bytes_ -= job.bytes;
  job.bytes = 0;
}

Desk::Counts Desk::counts() const {
  const std::lock_guard lock(jobs_mutex_);
  return {table_.size(), waiting_.size(), retained_, bytes_};
}

}  // namespace tallymill::stages
