// What is seen of the front: its gauges, the snapshot of the law, the topology.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "front/front.h"
#include "store/sqlite.h"

namespace tallymill::front {

using nlohmann::json;

void Front::measure() {
  probe_->copy(machine_->snapshot(), machine_->counts(),
               {.connections = static_cast<std::int64_t>(desk_->connections()),
                .clients = static_cast<std::int64_t>(machine_->clients()),
                .kinds = static_cast<std::int64_t>(machine_->kinds()),
                .stages = static_cast<std::int64_t>(machine_->stages()),
                .behind = static_cast<std::int64_t>(desk_->behind()),
                .client_out = desk_->outgoing(),
                .commit_queue = committer_->queued(),
                .sqlite = store::sqlite_memory(),
                .live_bytes = machine_->live_bytes(),
                .kept_bodies = bodies_.bytes(),
                .idempotency_keys = committer_->keys(),
                .waterfalls = committer_->waterfalls(),
                .questions = static_cast<std::int64_t>(errands_->waiting()),
                .blobs = static_cast<std::int64_t>(porters_->waiting()),
                .unstored = unstored_,
                .messages_dropped = desk_->dropped(),
                .control_refused = stages_->refused()});
}

json Front::snapshot_json() const {
  const Snapshot s = machine_->snapshot();
  json jobs{{"accepted", s.totals.accepted}};
  for (int state = 0; state < end_states; ++state)
    jobs[std::string(name_of(static_cast<EndState>(state)))] = s.totals.ended[state];
  jobs["waiting"] = {{"ready", s.waiting.ready},
                     {"backoff", s.waiting.backoff},
                     {"scheduled", s.waiting.scheduled}};
  jobs["in_flight"] = s.in_flight;
  jobs["settling"] = s.settling;
  json lanes = json::array();
  for (const Snapshot::Lane& lane : s.lanes) {
    const auto name = [&](WorkerId id) {
      const WorkerFacts* facts = id == no_worker ? nullptr : stages_->facts(id);
      return facts == nullptr ? std::string("front") : facts->incarnation;
    };
    lanes.push_back(
        {{"from", name(lane.from)},
         {"to", lane.to == no_worker ? "closed" : name(lane.to)},
         {"stage", machine_->stage(lane.stage)},
         {"sent", lane.count.sent},
         {"received", lane.count.received},
         {"in_flight", lane.count.in_flight},
         {"lost",
          {{"lane_closed", lane.count.lost_closed}, {"process_died", lane.count.lost_dead}}},
         {"balanced", lane.count.balanced()}});
  }
  return {{"schema", 1},
          {"front_epoch", s.epoch},
          {"seq", s.seq},
          {"taken_unix_ns", to_ns(clock_.wall())},
          {"jobs", std::move(jobs)},
          {"lanes", std::move(lanes)},
          {"replaying", s.replaying},
          {"balanced", s.balanced()}};
}

json Front::topology_json() const {
  json routes = json::array();
  json stages = json::array();
  for (std::size_t i = 0; i < machine_->kinds(); ++i) {
    const auto id = static_cast<KindId>(i);
    json route = json::array();
    for (const StageId stage : machine_->kind(id).route) route.push_back(machine_->stage(stage));
    for (const json& stage : route)
      if (std::ranges::find(stages, stage) == stages.end()) stages.push_back(stage);
    routes.push_back({{"kind", machine_->kind(id).name}, {"route", std::move(route)}});
  }
  const json snapshot = snapshot_json();
  return {{"schema", 1},
          {"kinds", kinds_json()["kinds"]},
          {"routes", std::move(routes)},
          {"stages", std::move(stages)},
          {"workers", stages_->workers_json()},
          {"lanes", snapshot["lanes"]}};
}

}  // namespace tallymill::front
