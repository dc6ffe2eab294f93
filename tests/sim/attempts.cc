#include "tests/sim/attempts.h"

#include <string>
#include <utility>

#include "base/limits.h"

namespace tallymill::sim {

namespace {

[[noreturn]] void broken(const std::string& law, std::int64_t job) {
  throw Broken{law + " (job " + std::to_string(job) + ")"};
}

}  // namespace

void Attempts::front_started() {
  all_.clear();
  free_losses_.clear();
  death_.reset();
}

Attempts::Attempt* Attempts::find(const Token& token) {
  const auto found = all_.find(token.job);
  return found == all_.end() || found->second.token != token ? nullptr : &found->second;
}

void Attempts::sent(const front::Dispatch& dispatch, const HopAt& first, int next, Instant now) {
  all_.erase(dispatch.token.job);
  int held = 0;
  Bytes bytes{};
  for (const auto& [job, other] : all_) {
    if (other.worker != first.worker || !other.there) continue;
    ++held;
    bytes += other.size;
  }
  if (held >= first.places) broken("a worker gets no more jobs than it offers", dispatch.token.job);
  if (held > 0 && bytes + dispatch.size > worker_bytes)
    broken("a worker gets no more bytes than it offers", dispatch.token.job);
  all_[dispatch.token.job] = {.token = dispatch.token,
                              .since = now,
                              .worker = first.worker,
                              .stage = first.stage,
                              .next = next,
                              .size = dispatch.size};
}

void Attempts::heard(const Token& token, const HopAt& at, bool started, bool listed, Bytes size,
                     Instant now) {
  Attempt* known = find(token);
  if (known == nullptr) {
    // Adopted: where it was before and where it goes next, this front does not know.
    Attempt adopted{.token = token, .since = now, .worker = at.worker, .stage = at.stage};
    adopted.size = size;
    known = &all_.insert_or_assign(token.job, adopted).first->second;
  }
  if (listed) known->link_broke = false;
  if (at.stage < known->stage) return;
  if (at.stage > known->stage) known->started = false;
  known->worker = at.worker;
  known->stage = at.stage;
  known->there = true;
  known->started |= started;
}

void Attempts::handed_on(const Token& token, int stage) {
  Attempt* known = find(token);
  if (known == nullptr || known->stage != stage || known->next < 0) return;
  known->worker = std::exchange(known->next, -1);
  ++known->stage;
  known->there = known->started = false;
}

void Attempts::link_broke(int worker) {
  for (auto& [job, attempt] : all_)
    if (attempt.worker == worker) attempt.link_broke = true;
}

void Attempts::dying(int worker) {
  death_ = Death{};
  std::pair earliest(Instant::max(), std::int64_t{0});
  for (const auto& [job, attempt] : all_) {
    if (attempt.worker != worker) continue;
    death_->any_started |= attempt.started;
    earliest = std::min(earliest, std::pair(attempt.since, job));
  }
  death_->first = earliest.second;
}

void Attempts::lost(const Token& token, bool charged, bool chargeable) {
  const Attempt* known = find(token);
  if (known == nullptr) broken("an attempt that is lost was under way", token.job);
  const bool to_blame = death_ ? death_->any_started ? known->started : token.job == death_->first
                               : known->started && !known->link_broke;
  if (to_blame && chargeable && !charged)
    broken("a lost attempt that may be to blame is charged", token.job);
  if (!charged || !to_blame) {
    // Losses that charge nobody are bounded too.
    const bool bound = ++free_losses_[token.job] >= limits::free_losses;
    if (charged && !bound)
      broken("only an attempt that had started, or may have killed its worker, is charged",
             token.job);
  }
  all_.erase(token.job);
}

}  // namespace tallymill::sim
