#include "stages/live_jobs.h"

#include <algorithm>

#include "base/limits.h"

namespace tallymill::stages {

namespace {
bool is_over(const HeldJob& job) {
  return job.phase.load(std::memory_order_relaxed) == Phase::finished;
}
}  // namespace

LiveJobs::LiveJobs(Shared& shared, bus::Loop& loop, Control& control)
    : shared_(shared), loop_(loop), control_(control) {}

void LiveJobs::came(const std::vector<HeldPtr>& jobs) {
  young_.insert(young_.end(), jobs.begin(), jobs.end());
  if (!armed_) arm();
}

void LiveJobs::arm() {
  armed_ = !young_.empty() || !staying_.empty();
  if (!armed_) return;
  const bool soon =
      !young_.empty() || std::ranges::any_of(staying_, [](const Staying& s) { return !s.started; });
  const Duration wait = soon ? Duration(limits::hop_event_after) : Duration(limits::progress_look);
  loop_.once(wait, [this] { look(); });
}

void LiveJobs::look() {
  const Instant now = shared_.clock.now();
  while (!young_.empty() && now - young_.front()->received >= limits::hop_event_after) {
    HeldPtr job = std::move(young_.front());
    young_.pop_front();
    if (is_over(*job)) continue;
    tell_hop(*job, "received", to_ns(job->received));
    staying_.push_back({.job = std::move(job)});
  }
  std::erase_if(staying_, [&](Staying& staying) { return !report(staying, now); });
  arm();
}

bool LiveJobs::report(Staying& staying, Instant now) {
  HeldJob& job = *staying.job;
  if (is_over(job)) return false;
  const std::int64_t started_ns = job.started_ns.load(std::memory_order_relaxed);
  if (started_ns == 0) return true;
  if (!staying.started) {
    tell_hop(job, "started", started_ns);
    staying.started = true;
  }
  const float fraction = job.fraction.load(std::memory_order_relaxed);
  const float step = fraction - staying.fraction;
  const bool worth = step >= static_cast<float>(limits::progress_step) ||
                     (step > 0 && (fraction >= 1 || now - staying.told >= limits::progress_period));
  if (!worth) return true;
  staying.fraction = fraction;
  staying.told = now;
  control_.out().add(bus::Live{.token = job.token, .fraction = fraction});
  return true;
}

void LiveJobs::tell_hop(const HeldJob& job, std::string_view what, std::int64_t at_ns) {
  control_.out().add(bus::HopEvent{.token = job.token,
                                   .worker = shared_.incarnation,
                                   .what = what,
                                   .at_ns = shared_.offset.to_front(at_ns)});
}

}  // namespace tallymill::stages
