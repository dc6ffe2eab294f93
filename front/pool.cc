#include "front/pool.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::front {
namespace {

// What one job of `kind` is expected to take at this worker.
Duration expected(const Worker& worker, KindId kind) {
  const auto measured = worker.service.find(kind);
  return measured == worker.service.end() ? limits::service_unmeasured : measured->second;
}

}  // namespace

Result<WorkerId> Pool::hello(const WorkerInfo& info, Instant now) {
  const auto known = by_incarnation_.find(info.incarnation);
  if (known == by_incarnation_.end()) {
    Worker fresh;
    fresh.info = info;
    fresh.last_seen = now;
    if (auto set = fresh.here.set_limit(info.limit); !set)
      return std::unexpected(std::move(set).error());
    const auto id = static_cast<WorkerId>(workers_.size());
    workers_.push_back(std::move(fresh));
    by_incarnation_.emplace(info.incarnation, id);
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
  worker.last_seen = now;
  worker.gone = false;
  if (auto& peers = by_stage_[info.stage]; std::ranges::find(peers, known->second) == peers.end())
    peers.push_back(known->second);
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

bool Pool::has_room(const Worker& worker, Bytes size, Duration one, bool later) const {
  const Places held = worker.here.held();
  if (held.jobs >= worker.info.limit.jobs || worker.ahead >= worker.info.limit.jobs) return false;
  const bool alone = held.jobs == Credits(0) && worker.ahead == Credits(0);
  if (!alone && held.bytes + size > worker.info.limit.bytes) return false;
  // Always one job per handler thread and one behind it; beyond that only a little work ahead.
  const auto threads = Credits(worker.info.concurrency);
  if (held.jobs >= threads && worker.work_here > limits::lane_work_ahead + one) return false;
  return !later || worker.ahead < threads || worker.work_ahead <= limits::lane_work_ahead + one;
}

WorkerId Pool::best(StageId stage, KindId kind, Bytes size, bool later, JobId alone) {
  if (stage >= by_stage_.size()) return no_worker;
  WorkerId chosen = no_worker;
  WorkerId quietest = no_worker;  // for a job that must run alone while no worker is empty
  Duration least = Duration::max();
  Duration quiet = Duration::max();
  for (const WorkerId id : by_stage_[stage]) {
    const Worker& worker = workers_[id];
    if (!worker.open || worker.leaving) continue;
    if (worker.alone != JobId(0) && worker.alone != alone) continue;
    if (worker.unsettled >= worker.info.unsettled_limit) continue;
    const Duration work = worker.work_here + worker.work_ahead;
    const bool empty = worker.here.held().jobs == Credits(0) && worker.ahead == Credits(0);
    if (alone != JobId(0) && !empty) {
      if (work < quiet) quiet = work, quietest = id;
      continue;
    }
    const Duration one = expected(worker, kind);
    if (has_room(worker, size, one, later) && work + one < least) least = work + one, chosen = id;
  }
  if (chosen == no_worker && quietest != no_worker) workers_[quietest].alone = alone;
  return chosen;
}

bool Pool::take(std::span<const StageId> route, KindId kind, Bytes size, JobId alone,
                std::vector<Taken>& taken) {
  taken.clear();
  for (std::size_t hop = 0; hop < route.size(); ++hop) {
    const WorkerId id = best(route[hop], kind, size, hop > 0, alone);
    if (id == no_worker) {
      for (Taken& place : taken) give_back(place);
      taken.clear();
      return false;
    }
    Worker& worker = workers_[id];
    const bool first = hop == 0;
    if (first)
      TM_CHECK(worker.here.try_take(size));
    else
      worker.ahead += Credits(1);
    const Duration one = expected(worker, kind);
    (first ? worker.work_here : worker.work_ahead) += one;
    if (alone != JobId(0)) worker.alone = alone;
    taken.push_back({id, size, one, first});
  }
  return true;
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
  for (Worker& worker : workers_)
    if (worker.alone == job) worker.alone = JobId(0);
}

void Pool::bury(WorkerId id) {
  Worker& worker = at(id);
  worker.gone = true;
  worker.open = false;
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
