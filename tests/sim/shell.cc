#include "tests/sim/shell.h"

#include <utility>

#include "base/limits.h"
#include "front/mutant.h"
#include "front/rebase.h"
#include "tests/sim/world.h"

namespace tallymill::sim {

using front::Machine;
using front::Mutant;
using front::plants;
using front::WorkerId;

namespace {

constexpr std::size_t replay_chunk = 16;

template <class... F>
struct Match : F... {
  using F::operator()...;
};

}  // namespace

// ---- life ----

void Shell::start() {
  ++life_;
  paused_ = draining_ = drained_ = false;
  const front::Opened opened = world_.store.open([this](const Op& op,
                                                        std::optional<front::Outcome> outcome) {
    put(completions_, [this, what = op.what, seq = op.seq, job = op.job,
                       outcome = std::move(outcome)] { on_committed(what, seq, job, outcome); });
  });
  Machine::Options options;
  options.epoch = opened.epoch;
  options.head = opened.head;
  options.totals = opened.totals;
  options.seed = world_.events.pick(1U << 30);
  options.started = world_.now();
  if (world_.profile.faults.tight) options.admission = {20, Bytes(20'000), 12};
  machine_ = std::make_unique<Machine>(options);
  const auto compute = machine_->add_stage("compute");
  const auto image = machine_->add_stage("image");
  const auto kind = [&](std::string name, std::vector<front::StageId> route) {
    machine_->add_kind({std::move(name), std::move(route), retries, backoff_base, backoff_cap, 3s});
  };
  kind("0", {compute});
  kind("1", {image});
  kind("2", {compute, image});
  index_.clear();
  lanes_.clear();
  deadlines_.clear();
  dues_.clear();
  world_.laws.front_started(opened.epoch);
  world_.events.trace("front starts", opened.epoch, opened.head);

  to_replay_.clear();
  for (const auto& [id, row] : world_.store.rows()) {
    if (row.end) continue;
    Machine::Replayed job;
    job.job.id = JobId(id);
    job.job.client = std::to_string(row.request.client);
    job.job.kind = std::to_string(row.request.plan.kind);
    job.job.priority = row.request.priority;
    job.job.size = row.request.plan.size;
    job.job.intake = row.intake;
    job.job.queued = row.queued;
    job.job.charges = row.charges;
    job.job.failures = row.failures;
    job.job.attempts = row.charges + row.failures;
    job.job.cancel_requested = row.cancel_requested;
    job.job.deadline_passed = row.deadline_passed;
    job.job.submitted = row.submitted;
    job.job.deadline = row.request.deadline;
    job.job.not_before = row.due ? row.due : row.request.not_before;
    job.job.backoff = row.due.has_value();
    const front::Rebased on = front::rebase(job.job, world_.now(), world_.wall(), backoff_cap);
    job.deadline = on.deadline;
    job.not_before = on.not_before;
    world_.laws.replays(job);
    if (job.deadline) deadlines_[id] = *job.deadline;
    if (job.not_before) dues_[id] = *job.not_before;
    to_replay_.push_back(std::move(job));
  }
  wake(0ns);
  for (const auto& worker : world_.workers())
    if (worker->alive()) worker->on_front_back();
}

void Shell::crash() {
  for (const auto& [id, row] : world_.store.rows()) {
    if (world_.laws.present(id) || !row.end) hit(id, JobEvent::front_crash);
  }
  ++life_;
  machine_.reset();
  questions_.clear();
  for (Inbox* inbox : {&results_, &control_, &lanes_in_, &clients_, &completions_}) inbox->clear();
  turn_at_ = Instant::max();
  ++turn_number_;
  world_.store.crash();
  world_.front_ended();
}

void Shell::pause(bool paused) {
  if (machine_ == nullptr) return;
  paused_ = paused;
  world_.store.pause(paused);
  if (!paused) wake(0ns);
}

void Shell::drain() {
  if (machine_ == nullptr || paused_) return;
  draining_ = true;
  feed([&] { machine_->drain(world_.now()); });
  wake(0ns);
}

void Shell::set_disk_low(bool low) {
  if (machine_ != nullptr) machine_->set_disk_low(low);
}

// ---- the loop ----

void Shell::put(Inbox& inbox, std::function<void()> message) {
  if (machine_ == nullptr) return;
  inbox.push_back(std::move(message));
  wake(world_.events.between(5us, 50us));
}

void Shell::wake(Duration delay) {
  const Instant when = world_.now() + delay;
  if (paused_ || when >= turn_at_) return;
  turn_at_ = when;
  world_.events.at(when, [this, number = ++turn_number_] {
    if (number == turn_number_) turn();
  });
}

void Shell::read(Inbox& inbox) {
  while (!inbox.empty() && machine_ != nullptr) {
    const auto message = std::move(inbox.front());
    inbox.pop_front();
    message();
  }
}

void Shell::turn() {
  turn_at_ = Instant::max();
  if (machine_ == nullptr || paused_) return;
  if constexpr (plants(Mutant::expiry_before_drain)) tick();
  replay_some();
  read(results_);
  read(control_);
  read(lanes_in_);
  read(clients_);
  read(completions_);
  if constexpr (!plants(Mutant::expiry_before_drain)) tick();
  feed([&] { machine_->dispatch(world_.now()); });
  world_.laws.turn_ends(*machine_);
  if (draining_ && drained_) {
    crash();
    return;
  }
  const Instant next = machine_->next_due();
  wake(to_replay_.empty() && machine_ ? std::max<Duration>(next - world_.now(), 10us) : 50us);
}

void Shell::replay_some() {
  if (!machine_->snapshot().replaying) return;
  std::vector<Machine::Replayed> chunk;
  while (!to_replay_.empty() && chunk.size() < replay_chunk) {
    chunk.push_back(std::move(to_replay_.front()));
    to_replay_.pop_front();
  }
  feed([&] {
    machine_->replay(chunk);
    if (to_replay_.empty()) machine_->replay_finished(world_.now());
  });
}

void Shell::tick() {
  hit_times();
  losing_by_ = JobEvent::lapse;
  feed([&] { machine_->tick(world_.now()); });
  losing_by_.reset();
}

void Shell::feed(const std::function<void()>& call) {
  call();
  std::vector<front::Effect> effects;
  effects.swap(machine_->effects());
  for (front::Effect& effect : effects) perform(effect);
  world_.laws.after_event(*machine_);
}

// ---- what arrives ----

std::optional<WorkerId> Shell::known(int worker) const {
  return machine_->pool().find(std::to_string(worker));
}

void Shell::on_result(const ResultMsg& result) {
  put(results_, [this, result] {
    world_.events.trace("result", result.token.job, static_cast<std::int64_t>(result.outcome),
                        result.worker);
    const auto id = known(result.worker);
    const auto present = world_.laws.present(result.token.job);
    const auto state = machine_->state(JobId(result.token.job));
    const bool live = state.has_value() && *state != Machine::State::committing;
    if (id && live && result.token.epoch < machine_->snapshot().epoch)
      world_.laws.listed(result.token, true);
    using Outcome = Finished::Outcome;
    hit(result.token.job, present != result.token              ? JobEvent::done_other
                          : result.outcome == Outcome::ok      ? JobEvent::done_ok
                          : result.outcome == Outcome::stopped ? JobEvent::done_stopped
                          : result.retry                       ? JobEvent::done_retry
                                                               : JobEvent::done_error);
    Finished finished{
        result.token, id.value_or(front::no_worker), result.outcome, result.retry, {}, {}};
    if (result.outcome != Outcome::ok) finished.error = Error{Errc::stage_failed, "it failed"};
    finished.service = result.service;
    result_in_hand_ = &result;
    feed([&] { machine_->done(finished, world_.now()); });
    result_in_hand_ = nullptr;
    if (machine_->state(JobId(result.token.job)) != Machine::State::leased)
      world_.laws.attempts.over(result.token.job);
  });
}

void Shell::on_hello(const HelloMsg& hello) {
  for (const Held& held : hello.held) world_.laws.list_arrived(held.token);
  put(control_, [this, hello] {
    world_.events.trace("hello", hello.worker, hello.lane,
                        static_cast<std::int64_t>(hello.held.size()));
    front::WorkerInfo info{std::to_string(hello.worker),
                           static_cast<front::StageId>(hello.stage),
                           {Credits(hello.places), worker_bytes},
                           Credits(hello.places),
                           hello.concurrency,
                           hello.lane};
    for (const Held& held : hello.held) {
      world_.laws.listed(held.token, machine_->state(JobId(held.token.job)).has_value());
      hit(held.token.job, JobEvent::listed);
    }
    const auto lane = lanes_.find(hello.worker);
    const bool new_lane = lane == lanes_.end() || lane->second.number != hello.lane;
    if (new_lane) world_.laws.shortened();
    feed([&] {
      const auto id = machine_->hello(info, hello.held, world_.now());
      if (!id) throw Broken{"a good hello is taken: " + id.error().message};
      if (index_.size() <= *id) index_.resize(*id + 1U, -1);
      index_[*id] = hello.worker;
    });
    for (const Held& held : hello.held) heard(held.token, hello.worker, held.phase >= 1, true);
    if (new_lane) open_lane(hello.worker, hello.lane);
  });
}

void Shell::open_lane(int worker, int number) {
  world_.worker(worker).lane_in.cut();
  lanes_[worker] = {number, false};
  Worker& to = world_.worker(worker);
  const Duration handshake = world_.events.between(100us, 3ms);
  world_.events.at(std::max(world_.now() + handshake, to.blocked_until),
                   [this, &to, number, life = life_] {
                     to.run([this, &to, number, life] {
                       if (to.lane() != number || life != life_) return;
                       world_.events.after(50us, [this, &to, number, life] {
                         if (life == life_) on_lane_up(to.index(), number);
                       });
                     });
                   });
}

void Shell::on_beat(int worker, std::vector<Held> held) {
  for (const Held& one : held) world_.laws.list_arrived(one.token);
  put(control_, [this, worker, held = std::move(held)] {
    const auto id = known(worker);
    if (!id) {
      Worker& from = world_.worker(worker);
      from.from_front_control.send(world_.events, from.blocked_until,
                                   [&from] { from.run([&from] { from.on_unknown(); }); });
      return;
    }
    for (const Held& one : held) {
      world_.laws.listed(one.token, machine_->state(JobId(one.token.job)).has_value());
      hit(one.token.job, world_.laws.present(one.token.job) == one.token ? JobEvent::listed
                                                                         : JobEvent::listed_other);
    }
    feed([&] { machine_->beat(*id, held, 0.5, 0, world_.now()); });
    for (const Held& one : held) heard(one.token, worker, one.phase >= 1, true);
  });
}

void Shell::on_hop(int worker, const Token& token, Machine::Point point) {
  put(control_, [this, worker, token, point] {
    const auto id = known(worker);
    if (!id) return;
    const bool present = world_.laws.present(token.job) == token;
    world_.events.trace("hop", token.job, static_cast<std::int64_t>(point), worker);
    hit(token.job, !present                            ? JobEvent::hop_other
                   : point == Machine::Point::received ? JobEvent::received
                   : point == Machine::Point::started  ? JobEvent::started
                   : point == Machine::Point::finished ? JobEvent::finished
                                                       : JobEvent::back);
    feed([&] { machine_->hop(*id, token, point, world_.now()); });
    heard(token, worker, point == Machine::Point::started, false);
    if (point == Machine::Point::finished)
      world_.laws.attempts.handed_on(token, world_.worker(worker).stage());
  });
}

void Shell::on_leaving(int worker) {
  put(control_, [this, worker] {
    if (const auto id = known(worker)) machine_->leaving(*id);
  });
}

void Shell::on_lane_up(int worker, int number) {
  put(lanes_in_, [this, worker, number] {
    Lane& lane = lanes_[worker];
    const auto id = known(worker);
    if (!id || lane.number != number || lane.open) return;
    lane.open = true;
    world_.events.trace("lane up", worker, number);
    feed([&] { machine_->lane_up(*id, world_.now()); });
    announce_lanes();
  });
}

void Shell::on_lane_broke(int worker, int number) {
  put(lanes_in_, [this, worker, number] {
    const auto id = known(worker);
    const auto lane = lanes_.find(worker);
    if (!id || lane == lanes_.end() || lane->second.number != number) return;
    world_.events.trace("lane broke", worker, number);
    world_.laws.shortened();
    world_.laws.attempts.link_broke(worker);
    feed([&] { machine_->lane_broke(*id, world_.now()); });
  });
}

void Shell::on_death(int worker, std::string how) {
  put(lanes_in_, [this, worker, how = std::move(how)] {
    const auto id = known(worker);
    if (!id) return;
    world_.laws.shortened();
    losing_by_ = JobEvent::death;
    world_.laws.attempts.dying(worker);
    feed([&] { machine_->died(*id, how, world_.now()); });
    world_.laws.attempts.died();
    losing_by_.reset();
  });
}

void Shell::on_submit(const Request& request) {
  put(clients_, [this, request] {
    world_.laws.asked(request.reply_to);
    questions_[request.reply_to] = request;
    request_in_hand_ = &request;
    const std::string client = std::to_string(request.client);
    feed([&] {
      machine_->submit({request.reply_to, client, static_cast<front::KindId>(request.plan.kind),
                        request.priority, request.plan.size, on_clock(request.deadline),
                        on_clock(request.not_before), world_.now()},
                       world_.now());
    });
    request_in_hand_ = nullptr;
  });
}

void Shell::on_cancel(std::uint64_t reply_to, int client, JobId job) {
  put(clients_, [this, reply_to, client, job] {
    world_.laws.asked(reply_to);
    questions_[reply_to] = Request{.reply_to = reply_to, .client = client};
    hit(job.raw(), JobEvent::cancel);
    if (const auto state = machine_->state(job); state && *state != Machine::State::committing)
      world_.laws.cancel_asked(job);
    feed([&] { machine_->cancel(reply_to, job, world_.now()); });
  });
}

void Shell::on_committed(Op::What what, std::int64_t seq, JobId job,
                         const std::optional<front::Outcome>& outcome) {
  const bool stored = outcome && outcome->what == front::Outcome::What::stored;
  hit(job.raw(), what == Op::What::settle ? JobEvent::ended
                 : what == Op::What::note ? JobEvent::noted
                 : stored                 ? JobEvent::stored
                                          : JobEvent::refused);
  if (outcome)
    feed([&] { machine_->committed(seq, *outcome, world_.now()); });
  else
    feed(
        [&] { machine_->not_committed(seq, Error{Errc::disk, "the disk is full"}, world_.now()); });
}

// ---- effects ----

void Shell::answer(const Answer& answer) {
  const auto question = questions_.find(answer.reply_to);
  if (question == questions_.end()) throw Broken{"a question gets one answer"};
  const Request request = question->second;
  questions_.erase(question);
  if (request.intent < 0) {
    world_.laws.answered(answer.reply_to);
    return;
  }
  if (answer.accepted)
    world_.laws.accepted(request, answer);
  else
    world_.laws.refused(request, answer);
  world_.events.after(world_.events.between(20us, 2ms), [this, answer, intent = request.intent] {
    world_.clients.on_answer(answer, intent);
  });
}

void Shell::tell(WorkerId id, std::function<void(int)> what) {
  Worker& to = world_.worker(index_of(id));
  to.from_front_control.send(world_.events, to.blocked_until, [&to, what = std::move(what)] {
    to.run([&to, what] { what(to.index()); });
  });
}

void Shell::announce_lanes() {
  std::vector<Stop> open;
  for (const auto& [worker, lane] : lanes_)
    if (lane.open) open.push_back({worker, lane.number});
  for (const auto& [worker, lane] : lanes_)
    if (const auto id = known(worker))
      tell(*id, [this, open](int to) { world_.worker(to).on_lanes(open); });
}

void Shell::send_job(const front::Dispatch& dispatch) {
  const Row* row = world_.store.row(JobId(dispatch.token.job));
  Work work{dispatch.token, row->request.content, row->request.plan, 0, {}, Instant::max()};
  if (dispatch.deadline) work.deadline = *dispatch.deadline;
  for (int hop = 0; hop < dispatch.hops; ++hop) {
    const int at = index_of(dispatch.workers[static_cast<std::size_t>(hop)]);
    work.route[static_cast<std::size_t>(hop)] = {at, lanes_[at].number};
  }
  // The body is read back off the loop first.
  world_.events.after(world_.events.between(10us, 500us), [this, work, life = life_] {
    const auto lane = lanes_.find(work.route[0].worker);
    if (life != life_ || !lane->second.open || lane->second.number != work.route[0].lane) return;
    Worker& to = world_.worker(work.route[0].worker);
    to.lane_in.send(world_.events, to.blocked_until,
                    [&to, work] { to.run([&to, work] { to.on_work(work, work.route[0].lane); }); });
  });
}

void Shell::perform(front::Effect& effect) {
  Events& events = world_.events;
  std::visit(
      Match{
          [&](const front::Append& append) {
            events.trace("append", append.job.raw(), request_in_hand_->plan.kind,
                         request_in_hand_->intent);
            world_.laws.appended(append.job, on_clock(request_in_hand_->deadline),
                                 on_clock(request_in_hand_->not_before));
            Op op;
            op.seq = append.job.raw();
            op.job = append.job;
            op.request = *request_in_hand_;
            op.submitted = world_.wall();
            op.intake = world_.now();
            op.queued = append.queued;
            world_.store.queue(std::move(op));
          },
          [&](const front::Settle& settle) {
            events.trace("settle", settle.job.raw(), static_cast<std::int64_t>(settle.state),
                         settle.seq);
            if (const auto present = world_.laws.present(settle.job.raw());
                present && world_.laws.stop_queued(settle.job.raw()))
              hit_loss(settle.job, *present);
            world_.laws.settles(settle, result_in_hand_);
            deadlines_.erase(settle.job.raw());
            Op op;
            op.what = Op::What::settle;
            op.seq = settle.seq;
            op.job = settle.job;
            op.end = settle.state;
            if (settle.with_result) op.result = *result_in_hand_;
            world_.store.queue(std::move(op));
          },
          [&](const front::Remark& remark) {
            if (remark.outcome == "lost") hit_loss(remark.job, remark.token);
            if (remark.outcome == "lost" && losing_by_ == JobEvent::lapse)
              world_.laws.lapsed(remark.token);
            if (remark.due) dues_[remark.job.raw()] = *remark.due;
            events.trace("note", remark.job.raw(), static_cast<std::int64_t>(remark.what),
                         remark.charges);
            world_.laws.remarks(remark, result_in_hand_);
            Op op;
            op.what = Op::What::note;
            op.seq = remark.seq;
            op.job = remark.job;
            op.note = remark.what;
            op.charges = remark.charges;
            op.failures = remark.failures;
            if (remark.due) op.due = world_.wall() + (*remark.due - world_.now());
            world_.store.queue(std::move(op));
          },
          [&](const front::Accept& accept) {
            if (const auto asked = questions_.find(accept.reply_to);
                asked != questions_.end() && !accept.known) {
              const Request& request = asked->second;
              if (const auto at = on_clock(request.deadline)) deadlines_[accept.job.raw()] = *at;
              if (const auto at = on_clock(request.not_before)) dues_[accept.job.raw()] = *at;
            }
            answer({accept.reply_to, true, accept.known, accept.job, accept.end, Errc::busy});
          },
          [&](const front::Refuse& refuse) {
            if (refuse.reply_to == 0) return;
            answer({refuse.reply_to, false, false, refuse.job, {}, refuse.error.code});
          },
          [&](const front::Cancelled& cancelled) {
            world_.laws.cancel_said(cancelled.job, cancelled.state);
            answer({cancelled.reply_to, true, false, cancelled.job, {}, Errc::busy});
          },
          [&](const front::Dispatch& dispatch) {
            events.trace("dispatch", dispatch.token.job, dispatch.token.attempt,
                         index_of(dispatch.workers[0]));
            const bool alone =
                machine_->pool().at(dispatch.workers[0]).alone == JobId(dispatch.token.job);
            world_.coverage.hit(alone ? JobState::alone : JobState::ready, JobEvent::dispatch);
            const Worker& first = world_.worker(index_of(dispatch.workers[0]));
            world_.laws.dispatched(dispatch, alone, {first.index(), first.stage(), first.places()},
                                   dispatch.hops > 1 ? index_of(dispatch.workers[1]) : -1);
            send_job(dispatch);
          },
          [&](const front::TellWorker& word) {
            events.trace("tell", word.token.job, static_cast<std::int64_t>(word.word),
                         index_of(word.worker));
            tell(word.worker,
                 [this, word](int to) { world_.worker(to).on_word(word.token, word.word); });
          },
          [&](const front::Announce& announce) {
            events.trace("announce", announce.job.raw(), static_cast<std::int64_t>(announce.state),
                         announce.seq);
            world_.laws.announced(announce);
          },
          [&](const front::CloseLane& close) {
            const int at = index_of(close.worker);
            events.trace("close lane", at);
            if (!lanes_.contains(at)) return;
            lanes_[at].open = false;
            Worker& to = world_.worker(at);
            to.lane_in.cut();
            announce_lanes();
            // The worker sees the connection go, or hears it with its next beat.
            if (events.chance(500))
              events.after(events.between(100us, 50ms), [&to, lane = lanes_[at].number] {
                to.run([&to, lane] { to.on_lane_broke(lane); });
              });
          },
          [&](const front::Rebind& rebind) {
            events.trace("rebind", index_of(rebind.worker));
            tell(rebind.worker, [this](int to) { world_.worker(to).on_rebind(); });
          },
          [&](const front::LinkNews& news) {
            events.trace("link", index_of(news.from), index_of(news.to), news.reached);
          },
          [&](const front::Drained&) { drained_ = true; },
      },
      effect);
}

std::optional<Instant> Shell::on_clock(const std::optional<WallTime>& at) const {
  if (!at) return std::nullopt;
  return world_.now() + (*at - world_.wall());
}

// ---- coverage ----

JobState Shell::state_of(std::int64_t job) const {
  if (machine_ == nullptr) return JobState::none;
  const auto state = machine_->state(JobId(job));
  if (!state) return JobState::none;
  switch (*state) {
    case Machine::State::committing:
      return JobState::committing;
    case Machine::State::held:
      return JobState::held;
    case Machine::State::ready:
      return JobState::ready;
    case Machine::State::alone:
      return JobState::alone;
    case Machine::State::backoff:
      return JobState::backoff;
    case Machine::State::scheduled:
      return JobState::scheduled;
    case Machine::State::settling:
      return JobState::settling;
    case Machine::State::leased:
      break;
  }
  if (world_.laws.stop_queued(job)) return JobState::stopping;
  const auto present = world_.laws.present(job);
  return present && present->epoch < machine_->snapshot().epoch ? JobState::adopted
                                                                : JobState::leased;
}

void Shell::heard(const Token& token, int worker, bool started, bool listed) {
  Attempts& attempts = world_.laws.attempts;
  const Worker& from = world_.worker(worker);
  if (machine_->state(JobId(token.job)) != Machine::State::leased)
    attempts.over(token.job);
  else if (world_.laws.present(token.job) == token)
    attempts.heard(token, {worker, from.stage(), from.places()}, started, listed,
                   world_.store.row(JobId(token.job))->request.plan.size, world_.now());
}

void Shell::hit(std::int64_t job, JobEvent event) { world_.coverage.hit(state_of(job), event); }

// A job is lost: whose it was.
void Shell::hit_loss(JobId job, const Token& token) {
  if (!losing_by_) return;
  world_.coverage.hit(world_.laws.stop_queued(job.raw())         ? JobState::stopping
                      : token.epoch < machine_->snapshot().epoch ? JobState::adopted
                                                                 : JobState::leased,
                      *losing_by_);
}

void Shell::hit_times() {
  for (auto* times : {&deadlines_, &dues_})
    std::erase_if(*times, [&](const auto& entry) {
      if (entry.second > world_.now()) return false;
      const JobState state = state_of(entry.first);
      if (times == &deadlines_ || state == JobState::backoff || state == JobState::scheduled)
        world_.coverage.hit(state, times == &dues_ ? JobEvent::due : JobEvent::deadline);
      return true;
    });
}

}  // namespace tallymill::sim
