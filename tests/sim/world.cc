// 1. The seed draws which faults it plays, how many workers and jobs.
// 2. For some virtual seconds clients submit and faults happen at random times.
// 3. Faults stop and what is broken is mended. Within a bound every accepted job has ended, every
//    place is back and every worker has forgotten what was settled.
#include "tests/sim/world.h"

#include <algorithm>

namespace tallymill::sim {

namespace {

constexpr std::uint64_t events_at_most = 5'000'000;  // more is a loop that gets nowhere
constexpr Duration healing_takes = 1200s;  // a job that hangs at a worker whose death nobody tells
                                           // is lost 18 times, 4 s each, before it is given up

Profile drawn(Events& events) {
  Profile profile;
  Faults& faults = profile.faults;
  for (bool* fault :
       {&faults.resets, &faults.blocks, &faults.repeats, &faults.worker_pauses,
        &faults.worker_crashes, &faults.front_crashes, &faults.front_pauses, &faults.disk_full,
        &faults.disk_slow, &faults.clock_steps, &faults.poison, &faults.hangs})
    *fault = events.chance(350);
  faults.worker_drains = events.chance(200);
  faults.front_drains = events.chance(150);
  faults.slow_jobs = events.chance(250);
  faults.tight = events.chance(150);
  profile.clients = 1 + static_cast<int>(events.pick(4));
  profile.jobs = 40 + static_cast<int>(events.pick(120));
  profile.workers = {1 + static_cast<int>(events.pick(3)), 1 + static_cast<int>(events.pick(3))};
  profile.faulty = std::chrono::seconds(5 + events.pick(10));
  profile.local = events.chance(700);
  return profile;
}

}  // namespace

World::World(std::uint64_t seed, Coverage& all)
    : events(seed),
      profile(drawn(events)),
      coverage(all),
      store(events, profile.faults),
      laws(events, store),
      shell(*this),
      clients(*this) {
  int slot = 0;
  for (int stage = 0; stage < stages; ++stage)
    for (int i = 0; i < profile.workers[static_cast<std::size_t>(stage)]; ++i, ++slot)
      workers_.push_back(std::make_unique<Worker>(*this, slot, slot, stage));
}

World::Report World::run() {
  const Instant begun = now();
  for (const auto& worker : workers_) worker->start();
  shell.start();
  clients.start();
  plan_faults();
  collect_blobs();
  const auto play = [&](Instant until) {
    while (events.step(until))
      if (events.count() > events_at_most) throw Broken{"the system gets somewhere"};
  };
  play(now() + profile.faulty);
  heal();
  const Instant end = now() + healing_takes;
  while (now() < end && !at_rest()) play(now() + 1s);
  play(now() + 5s);
  if (!shell.up()) throw Broken{"the front is up after healing"};
  laws.at_rest(shell.machine());
  for (const auto& worker : workers_)
    if (worker->alive() && !worker->empty()) throw Broken{"a worker forgets what was settled"};
  return {events.hash(), events.count(), now() - begun,
          static_cast<std::int64_t>(store.rows().size())};
}

bool World::at_rest() const {
  if (!shell.up() || !clients.done() || shell.machine().live_jobs() != 0) return false;
  return std::ranges::all_of(
      workers_, [](const auto& worker) { return !worker->alive() || worker->empty(); });
}

void World::restart_slot(int slot, int stage) {
  events.after(events.between(20ms, 400ms), [this, slot, stage] {
    workers_.push_back(
        std::make_unique<Worker>(*this, static_cast<int>(workers_.size()), slot, stage));
    workers_.back()->start();
  });
}

void World::front_ended() {
  events.trace("front ends");
  events.after(events.between(5ms, 1s), [this] { shell.start(); });
}

void World::collect_blobs() {
  store.collect();
  events.after(500ms, [this] { collect_blobs(); });
}

void World::plan_faults() {
  const auto n = 2 + events.pick(static_cast<std::uint64_t>(profile.faulty / 400ms));
  for (std::uint64_t i = 0; i < n; ++i)
    events.after(events.between(200ms, profile.faulty), [this] { one_fault(); });
}

void World::one_fault() {
  if (healing_) return;
  const Faults& faults = profile.faults;
  Worker& worker = *workers_[events.pick(workers_.size())];
  const std::uint64_t which = events.pick(12);
  events.trace("fault", static_cast<std::int64_t>(which), worker.index());
  switch (which) {
    case 0:
      if (!faults.resets || !shell.up() || !worker.alive()) break;
      worker.lane_in.cut();
      events.after(events.between(100us, 50ms), [&worker, lane = worker.lane()] {
        worker.run([&worker, lane] { worker.on_lane_broke(lane); });
      });
      events.after(events.between(100us, 50ms),
                   [this, &worker, lane = worker.lane(), life = shell.life()] {
                     if (life == shell.life()) shell.on_lane_broke(worker.index(), lane);
                   });
      break;
    case 1:
      if (!faults.resets || !worker.alive()) break;
      worker.to_front_control.cut();
      worker.from_front_control.cut();
      events.after(events.between(1ms, 100ms),
                   [&worker] { worker.run([&worker] { worker.on_unknown(); }); });
      break;
    case 2:
      if (faults.resets) worker.results.cut();
      break;
    case 3: {
      // Between two workers: only the one that connected sees it.
      if (!faults.resets || worker.stage() != 0) break;
      Worker& peer = *workers_[events.pick(workers_.size())];
      if (peer.stage() != 1 || !peer.alive()) break;
      worker.peers_out[peer.index()].cut();
      events.after(events.between(100us, 50ms), [&worker, to = Stop{peer.index(), peer.lane()}] {
        worker.run([&worker, to] { worker.on_peer_broke(to); });
      });
      break;
    }
    case 4:
      if (faults.blocks) worker.blocked_until = now() + events.between(10ms, 4s);
      break;
    case 5:
    case 6:
      if (!faults.worker_pauses || worker.paused()) break;
      worker.pause(true);
      events.after(events.between(10ms, 4s), [&worker] { worker.pause(false); });
      break;
    case 7:
      if (faults.worker_crashes) worker.crash("signal 9");
      break;
    case 8:
      if (faults.worker_drains && worker.alive() && !worker.paused()) worker.drain();
      break;
    case 9:
      if (!shell.up()) break;
      if (faults.front_crashes)
        shell.crash();
      else if (faults.front_drains && !shell.paused())
        shell.drain();
      break;
    case 10:
      if (!faults.front_pauses || !shell.up() || shell.paused()) break;
      shell.pause(true);
      events.after(events.between(10ms, 5s), [this, life = shell.life()] {
        if (life == shell.life()) shell.pause(false);
      });
      break;
    case 11:
      if (faults.disk_full) {
        store.set_full(true);
        events.after(events.between(10ms, 2s), [this] { store.set_full(false); });
        if (events.chance(300)) shell.set_disk_low(true);
        events.after(1s, [this] { shell.set_disk_low(false); });
      }
      if (faults.clock_steps) wall_offset_ += events.between(-30s, 30s);
      break;
    default:
      break;
  }
}

void World::heal() {
  healing_ = true;
  events.trace("healing");
  clients.stop();
  store.set_full(false);
  for (const auto& worker : workers_)
    if (worker->paused()) worker->pause(false);
  if (shell.up()) {
    shell.set_disk_low(false);
    if (shell.paused()) shell.pause(false);
  }
}

}  // namespace tallymill::sim
