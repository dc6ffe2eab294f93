#include "tests/sim/worker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "tests/sim/world.h"

namespace tallymill::sim {

using front::Machine;

namespace {

constexpr Duration says_so_after = 3ms;  // hop events of jobs that stay longer than this
constexpr Duration stall = 3s;

}  // namespace

Worker::Worker(World& world, int index, int slot, int stage)
    : world_(world), index_(index), slot_(slot), stage_(stage) {
  concurrency_ = 1 + static_cast<int>(world.events.pick(2));
  places_ = 2 + static_cast<int>(world.events.pick(5));
}

// ---- the process ----

void Worker::start() {
  world_.events.after(world_.events.between(1ms, 30ms), [this] { run([this] { hello(); }); });
  world_.events.after(world_.events.between(1ms, limits::heartbeat), [this] { beat(); });
}

void Worker::run(std::function<void()> what) {
  if (!alive_) return;
  if (paused_)
    deferred_.push_back(std::move(what));
  else
    what();
}

void Worker::pause(bool paused) {
  paused_ = paused;
  while (!paused_ && alive_ && !deferred_.empty()) {
    const auto what = std::move(deferred_.front());
    deferred_.pop_front();
    what();
  }
}

void Worker::crash(const std::string& how) {
  if (!alive_) return;
  alive_ = false;
  world_.events.trace("worker dies", index_);
  deferred_.clear();
  desk_.clear();
  waiting_.clear();
  // What it had given to its sockets may be lost with it, or was out already.
  for (Channel* channel : {&to_front_control, &results})
    if (world_.events.chance(500)) channel->cut();
  for (auto& [peer, channel] : peers_out)
    if (world_.events.chance(500)) channel.cut();
  lane_in.cut();
  Shell& shell = world_.shell;
  if (shell.up()) {
    const auto life = shell.life();
    world_.events.after(world_.events.between(100us, 30ms), [this, &shell, life, lane = lane_] {
      if (shell.life() == life) shell.on_lane_broke(index_, lane);
    });
    if (world_.profile.local)
      world_.events.after(world_.events.between(1ms, 60ms), [this, &shell, life, how] {
        if (shell.life() == life) shell.on_death(index_, how);
      });
  }
  world_.restart_slot(slot_, stage_);
}

void Worker::drain() {
  if (draining_) return;
  draining_ = true;
  to_front_control.send(world_.events, blocked_until, [this] { world_.shell.on_leaving(index_); });
  const auto back = waiting_;
  waiting_.clear();
  for (const Token& token : back) {
    say(token, Machine::Point::back);
    desk_.erase(token);
  }
  leave_if_empty();
}

void Worker::leave_if_empty() {
  if (draining_ && alive_ && desk_.empty())
    world_.events.after(5ms, [this] {
      run([this] {
        if (desk_.empty()) crash("exit 0");
      });
    });
}

// ---- the control socket ----

std::vector<Held> Worker::held() const {
  std::vector<Held> held;
  for (const auto& [token, job] : desk_)
    held.push_back({token, static_cast<std::int32_t>(job.phase)});
  return held;
}

void Worker::hello() {
  HelloMsg message{index_, stage_, lane_, concurrency_, places_, held()};
  to_front_control.send(world_.events, blocked_until,
                        [this, message] { world_.shell.on_hello(message); });
}

void Worker::beat() {
  if (!alive_) return;
  run([this] {
    to_front_control.send(world_.events, blocked_until,
                          [this, held = held()] { world_.shell.on_beat(index_, held); });
    world_.events.after(limits::heartbeat, [this] { beat(); });
  });
}

void Worker::rebind() {
  ++lane_;
  hello();
}

void Worker::on_rebind() { rebind(); }

void Worker::on_lane_broke(int lane) {
  if (lane == lane_) rebind();
}

void Worker::on_front_back() {
  // Its sockets reconnect; what was sent meanwhile goes ahead of the hello, or is gone.
  if (world_.events.chance(500)) {
    to_front_control.cut();
    results.cut();
  }
  if (world_.events.chance(500)) lane_in.cut();
  world_.events.at(std::max(world_.now() + world_.events.between(1ms, 300ms), blocked_until),
                   [this] {
                     run([this] {
                       if (world_.events.chance(300)) ++lane_;
                       hello();
                     });
                   });
}

void Worker::say(const Token& token, Machine::Point point) {
  const int times = world_.profile.faults.repeats && world_.events.chance(50) ? 2 : 1;
  for (int i = 0; i < times; ++i)
    to_front_control.send(world_.events, blocked_until, [this, token, point] {
      if (point == Machine::Point::finished)
        world_.laws.on_its_way(token);
      else if (point != Machine::Point::back)
        world_.laws.list_arrived(token);
      world_.shell.on_hop(index_, token, point);
    });
}

void Worker::on_word(const Token& token, Word word) {
  const auto entry = desk_.find(token);
  if (entry == desk_.end()) return;
  Job& job = entry->second;
  switch (word) {
    case Word::keep:
      if (job.phase == Phase::finished) send_result(job.result);
      break;
    case Word::settled:
      forget(token);
      break;
    case Word::void_:
      if (job.phase == Phase::started) {
        job.voided = true;
        stop(token);
      } else {
        forget(token);
      }
      break;
    case Word::cancel:
    case Word::expire:
      stop(token);
      break;
  }
}

void Worker::forget(const Token& token) {
  std::erase(waiting_, token);
  desk_.erase(token);
  leave_if_empty();
}

// ---- lanes ----

void Worker::on_lanes(const std::vector<Stop>& lanes) {
  if (stage_ != 0) return;
  wanted_.clear();
  for (const Stop& lane : lanes)
    if (world_.worker(lane.worker).stage() == 1) wanted_[lane.worker] = lane.lane;
  std::erase_if(peers_, [&](const auto& peer) {
    const auto wanted = wanted_.find(peer.first);
    const bool keep = wanted != wanted_.end() && wanted->second == peer.second;
    if (!keep) peers_out[peer.first].cut();
    return !keep;
  });
  for (const auto& [worker, lane] : wanted_)
    if (!peers_.contains(worker) && !broken_peers_.contains({worker, lane}))
      world_.events.after(world_.events.between(100us, 3ms), [this, stop = Stop{worker, lane}] {
        Worker& peer = world_.worker(stop.worker);
        peer.run([this, &peer, stop] {
          if (peer.lane() == stop.lane) run([this, stop] { on_peer_up(stop); });
        });
      });
}

void Worker::on_peer_broke(Stop peer) {
  const auto connected = peers_.find(peer.worker);
  if (connected == peers_.end() || connected->second != peer.lane) return;
  peers_.erase(connected);
  broken_peers_.insert({peer.worker, peer.lane});
}

void Worker::on_peer_up(Stop peer) {
  const auto wanted = wanted_.find(peer.worker);
  if (wanted != wanted_.end() && wanted->second == peer.lane) peers_[peer.worker] = peer.lane;
}

// ---- jobs ----

void Worker::on_work(const Work& work, int lane) {
  // The lane before is read for a while longer.
  if (lane < lane_ - 1 || desk_.contains(work.token)) return;
  world_.events.trace("work", work.token.job, work.hop, index_);
  if (draining_) {
    say(work.token, Machine::Point::back);
    return;
  }
  const Token token = work.token;
  Job& job = desk_[token];
  job.work = work;
  waiting_.push_back(token);
  if (work.deadline != Instant::max())
    world_.events.at(work.deadline, [this, token] { run([this, token] { stop(token); }); });
  world_.events.after(says_so_after, [this, token] {
    run([this, token] {
      const auto entry = desk_.find(token);
      if (entry != desk_.end() && entry->second.phase == Phase::received)
        say(token, Machine::Point::received);
    });
  });
  start_next();
}

void Worker::start_next() {
  while (alive_ && running_ < concurrency_ && !waiting_.empty()) {
    const Token token = waiting_.front();
    waiting_.pop_front();
    ++running_;
    run_job(token);
  }
}

void Worker::run_job(const Token& token) {
  Job& job = desk_.at(token);
  job.phase = Phase::started;
  const Plan& plan = job.work.plan;
  world_.events.after(says_so_after, [this, token] {
    run([this, token] {
      const auto entry = desk_.find(token);
      if (entry != desk_.end() && entry->second.phase == Phase::started)
        say(token, Machine::Point::started);
    });
  });
  const bool last = job.work.hop + 1 == plan.hops;
  if (plan.poison && last) {
    world_.events.after(world_.events.between(10us, 5ms), [this, token] {
      run([this, token] {
        if (desk_.contains(token)) crash("signal 6");
      });
    });
    return;
  }
  if (plan.hangs && last) {
    world_.events.after(stall, [this, token] {
      run([this, token] {
        if (desk_.contains(token)) crash("stalled");
      });
    });
    return;
  }
  const Duration service = plan.service[static_cast<std::size_t>(job.work.hop)];
  world_.events.after(service, [this, token] { run([this, token] { finish(token); }); });
}

// The handler returned.
void Worker::finish(const Token& token) {
  const auto entry = desk_.find(token);
  if (entry == desk_.end() || entry->second.phase != Phase::started) return;
  --running_;
  Job job = entry->second;
  const Plan& plan = job.work.plan;
  if (job.voided) {
    forget(token);
  } else if (job.stopped) {
    end(token, Finished::Outcome::stopped, false);
  } else if (job.work.hop + 1 < plan.hops) {
    hand_on(job);
  } else if (plan.hopeless) {
    end(token, Finished::Outcome::error, false);
  } else if (world_.failures(job.work.content) < plan.fail_first) {
    ++world_.failures(job.work.content);
    end(token, Finished::Outcome::error, true);
  } else {
    if (plan.has_output) world_.store.put(Store::output_of(job.work.content));
    end(token, Finished::Outcome::ok, false);
  }
  start_next();
}

void Worker::hand_on(Job job) {
  const Token token = job.work.token;
  const Stop next = job.work.route[static_cast<std::size_t>(job.work.hop + 1)];
  const auto peer = peers_.find(next.worker);
  desk_.erase(token);
  if (peer == peers_.end() || peer->second != next.lane) {
    say(token, Machine::Point::back);
  } else {
    ++job.work.hop;
    Worker& to = world_.worker(next.worker);
    peers_out[next.worker].send(world_.events, to.blocked_until, [&to, work = job.work, next] {
      to.run([&to, work, next] { to.on_work(work, next.lane); });
    });
    say(token, Machine::Point::finished);
  }
  leave_if_empty();
}

void Worker::stop(const Token& token) {
  const auto entry = desk_.find(token);
  if (entry == desk_.end()) return;
  Job& job = entry->second;
  if (job.phase == Phase::finished) return;
  job.stopped = true;
  if (job.phase == Phase::received) {
    std::erase(waiting_, token);
    end(token, Finished::Outcome::stopped, false);
    return;
  }
  if (job.work.plan.deaf || job.work.plan.hangs) return;
  world_.events.after(world_.events.between(100us, 10ms),
                      [this, token] { run([this, token] { finish(token); }); });
}

void Worker::end(const Token& token, Finished::Outcome outcome, bool retry) {
  Job& job = desk_.at(token);
  job.phase = Phase::finished;
  job.result = {index_,
                token,
                outcome,
                retry,
                job.work.content,
                job.work.plan.has_output,
                job.work.plan.service};
  send_result(job.result);
}

void Worker::send_result(const ResultMsg& result) {
  const int times = world_.profile.faults.repeats && world_.events.chance(50) ? 2 : 1;
  for (int i = 0; i < times; ++i)
    results.send(world_.events, blocked_until, [this, result] { world_.shell.on_result(result); });
}

}  // namespace tallymill::sim
