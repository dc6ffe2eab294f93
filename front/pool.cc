#include "front/pool.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::front {
namespace {

// What one job of `kind` is expected to take at this worker.
Duration expected(const Worker& worker, KindId kind) {
  const auto measured = worker.service.find(kind);
  return measured == worker.service.end() ? limits::service_unmeasured : measured->second;
}

bool is_empty(const Worker& worker) {
  return worker.here.held().jobs == Credits(0) && worker.ahead == Credits(0);
}

}  // namespace

Result<WorkerId> Pool::hello(const WorkerInfo& info, Instant now) {
  const auto known = by_incarnation_.find(info.incarnation);
  if (known == by_incarnation_.end() || workers_[known->second].gone) {
    Worker fresh;
    fresh.info = info;
    // Struck off and back: its lane was closed, and is not used again.
    fresh.broken = known != by_incarnation_.end() && workers_[known->second].info.lane == info.lane;
    fresh.last_seen = fresh.steady_since = now;
    if (auto set = fresh.here.set_limit(info.limit); !set)
      return std::unexpected(std::move(set).error());
    const auto id = static_cast<WorkerId>(workers_.size());
    workers_.push_back(std::move(fresh));
    by_incarnation_.insert_or_assign(info.incarnation, id);
    if (by_stage_.size() <= info.stage) by_stage_.resize(info.stage + 1U);
    by_stage_[info.stage].push_back(id);
    return id;
  }
  Worker& worker = workers_[known->second];
  if (auto set = worker.here.set_limit(info.limit); !set)
    return std::unexpected(std::move(set).error());
  if (worker.info.stage != info.stage)
    return fail(Errc::bad_params, "a worker cannot change its stage", "/stage");
  worker.info = info;
  worker.seen(now);
  return known->second;
}

std::optional<WorkerId> Pool::find(std::string_view incarnation) const {
  const auto known = by_incarnation_.find(incarnation);
  if (known == by_incarnation_.end()) return std::nullopt;
  return known->second;
}

Worker& Pool::at(WorkerId id) {
  TM_CHECK(id < workers_.size());
  return workers_[id];
}

const Worker& Pool::at(WorkerId id) const {
  TM_CHECK(id < workers_.size());
  return workers_[id];
}

bool Pool::has_room(const Worker& worker, Bytes size, Duration one, int upstream) const {
  const Places held = worker.here.held();
  // Jobs that are still at an earlier hop take no place from those that come straight here.
  if (held.jobs >= worker.info.limit.jobs) return false;
  if (upstream > 0 && worker.ahead >= worker.info.limit.jobs) return false;
  if (!is_empty(worker) && held.bytes + size > worker.info.limit.bytes) return false;
  // Always one job per handler thread and one behind it; beyond that only a little work ahead.
  if (held.jobs > Credits(worker.info.concurrency) &&
      worker.work_here > limits::lane_work_ahead + one)
    return false;
  // As many may be under way to it as the stage before runs at a time: fewer would idle that stage.
  return upstream == 0 || worker.ahead < Credits(upstream) ||
         worker.work_ahead <= limits::lane_work_ahead;
}

bool Pool::may_take(const Worker& worker, JobId alone) const {
  return worker.open && !worker.leaving && worker.unsettled < worker.info.unsettled_limit &&
         (worker.alone == JobId(0) || worker.alone == alone);
}

// What the workers of a stage run at a time, with one behind each.
int Pool::width(StageId stage) const {
  int threads = 0;
  if (stage < by_stage_.size())
    for (const WorkerId id : by_stage_[stage])
      if (workers_[id].open) threads += workers_[id].info.concurrency + 1;
  return threads;
}

bool Pool::is_linked(WorkerId from, WorkerId worker, std::span<const StageId> after,
                     Instant now) const {
  if (links_.empty()) return true;
  if (from != no_worker && links_.shut(from, worker, now)) return false;
  if (after.empty() || after.front() >= by_stage_.size()) return true;
  return std::ranges::any_of(by_stage_[after.front()], [&](WorkerId next) {
    return workers_[next].open && !links_.shut(worker, next, now);
  });
}

WorkerId Pool::best(std::span<const StageId> route, std::size_t hop, WorkerId from, KindId kind,
                    Bytes size, Instant now) const {
  const StageId stage = route[hop];
  if (stage >= by_stage_.size()) return no_worker;
  const int upstream = hop == 0 ? 0 : width(route[hop - 1]);
  WorkerId chosen = no_worker;
  Duration least = Duration::max();
  for (const WorkerId id : by_stage_[stage]) {
    const Worker& worker = workers_[id];
    if (!may_take(worker, JobId(0)) || !is_linked(from, id, route.subspan(hop + 1), now)) continue;
    const Duration one = expected(worker, kind);
    const Duration work = worker.work_here + worker.work_ahead + one;
    if (work < least && has_room(worker, size, one, upstream)) least = work, chosen = id;
  }
  return chosen;
}

bool Pool::take(std::span<const StageId> route, KindId kind, Bytes size, Instant now,
                std::vector<Taken>& taken) {
  taken.clear();
  for (std::size_t hop = 0; hop < route.size(); ++hop) {
    const WorkerId from = hop == 0 ? no_worker : taken.back().worker;
    const WorkerId id = best(route, hop, from, kind, size, now);
    if (id == no_worker) {
      for (Taken& place : taken) give_back(place);
      taken.clear();
      return false;
    }
    place(id, kind, size, hop == 0, taken);
  }
  return true;
}

bool Pool::take_alone(std::span<const StageId> route, KindId kind, Bytes size, JobId job,
                      Instant now, std::vector<Taken>& taken) {
  TM_CHECK(kept_ == JobId(0) || kept_ == job);
  taken.clear();
  std::vector<WorkerId> chosen;
  bool all_empty = true;
  for (std::size_t hop = 0; hop < route.size(); ++hop) {
    const StageId stage = route[hop];
    const WorkerId from = hop == 0 ? no_worker : chosen.back();
    // The one with the least to do until it is empty; one that is kept for the job already first.
    WorkerId quietest = no_worker;
    const auto rank = [&](const Worker& worker) {
      return std::tuple(!is_empty(worker), worker.alone != job,
                        worker.work_here + worker.work_ahead);
    };
    if (stage < by_stage_.size())
      for (const WorkerId id : by_stage_[stage])
        if (may_take(workers_[id], job) && is_linked(from, id, route.subspan(hop + 1), now) &&
            (quietest == no_worker || rank(workers_[id]) < rank(workers_[quietest])))
          quietest = id;
    if (quietest == no_worker) {
      release_alone(job);
      return false;
    }
    all_empty = all_empty && is_empty(workers_[quietest]);
    chosen.push_back(quietest);
  }
  release_alone(job);
  for (const WorkerId id : chosen) workers_[id].alone = job;
  if (!all_empty) {
    kept_ = job;
    return false;
  }
  for (std::size_t hop = 0; hop < chosen.size(); ++hop)
    place(chosen[hop], kind, size, hop == 0, taken);
  return true;
}

void Pool::place(WorkerId id, KindId kind, Bytes size, bool first, std::vector<Taken>& taken) {
  Worker& worker = workers_[id];
  const Duration one = expected(worker, kind);
  if (first)
    TM_CHECK(worker.here.try_take(size));
  else
    worker.ahead += Credits(1);
  (first ? worker.work_here : worker.work_ahead) += one;
  taken.push_back({id, size, one, first});
}

Taken Pool::force(WorkerId id, KindId kind, Bytes size) {
  Worker& worker = at(id);
  const Duration one = expected(worker, kind);
  worker.here.force_take(size);
  worker.work_here += one;
  return {id, size, one, true};
}

void Pool::arrive(Taken& place) {
  if (place.worker == no_worker || place.arrived) return;
  Worker& worker = at(place.worker);
  worker.ahead -= Credits(1);
  worker.work_ahead -= place.expected;
  worker.here.force_take(place.size);
  worker.work_here += place.expected;
  place.arrived = true;
}

void Pool::give_back(Taken& place) {
  if (place.worker == no_worker) return;
  Worker& worker = at(place.worker);
  if (place.arrived) {
    worker.here.give_back(place.size);
    worker.work_here -= place.expected;
  } else {
    worker.ahead -= Credits(1);
    worker.work_ahead -= place.expected;
  }
  place.worker = no_worker;
}

void Pool::release_alone(JobId job) {
  if (kept_ == job) kept_ = JobId(0);
  for (Worker& worker : workers_)
    if (worker.alone == job) worker.alone = JobId(0);
}

void Pool::extend(Instant now) {
  for (Worker& worker : workers_) worker.last_seen = std::max(worker.last_seen, now);
}

void Pool::bury(WorkerId id) {
  Worker& worker = at(id);
  worker.gone = true;
  worker.open = false;
  links_.forget(id);
  std::erase(by_stage_[worker.info.stage], id);
}

void Pool::measured(WorkerId id, KindId kind, Duration service) {
  Worker& worker = at(id);
  const Duration share = service / std::max(1, worker.info.concurrency);
  auto [entry, fresh] = worker.service.try_emplace(kind, share);
  // A moving average over about eight jobs; never zero, or a lane would have no depth limit.
  if (!fresh) entry->second += (share - entry->second) / 8;
  entry->second = std::max(entry->second, Duration(200));
}

}  // namespace tallymill::front
