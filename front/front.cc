// The loop, what it opens, and how it carries out the machine's effects. What clients ask:
// front_clients.cc, front_submits.cc, front_watch.cc and front_blobs.cc. What is seen of it:
// front_views.cc.
#include "front/front.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/boot.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "front/kinds_file.h"
#include "front/ledger_sqlite.h"
#include "front/mutant.h"
#include "front/rebase.h"

namespace tallymill::front {
namespace {

// That a turn has as a rule; more than that is not kept for long.
constexpr std::size_t effects_kept = 256;

using nlohmann::json;
using std::chrono::milliseconds;

// Of the submit that a job came with; for its lines in the log.
std::string traceparent_of(const Body& body) {
  const auto submit = bus::read<bus::Submit>({bus::Verb::submit, body.header, {}, {}});
  return submit ? std::string(submit->trace) : "";
}

// What a worker says of an error, whatever it was written in.
std::string short_text(std::string_view said) {
  std::string text(said);
  clean_text(text, limits::error_text_bytes);
  return text;
}

// A worker of somebody else may name its files as it likes; what cannot be told to a client, stored
// under its name, or fetched, is no result.
std::optional<Error> files_refusal(const bus::Done& done, std::size_t blobs,
                                   const store::Blobs& store) {
  if (done.files.size() > limits::item_blobs)
    return Error{Errc::stage_failed, fmt::format("a result has {} files, more than {}",
                                                 done.files.size(), limits::item_blobs)};
  for (const bus::FileRef& file : done.files) {
    if (file.name.size() > limits::file_name_bytes ||
        file.media_type.size() > limits::file_name_bytes)
      return Error{Errc::stage_failed,
                   fmt::format("the name or type of a result's file is longer than {} bytes",
                               limits::file_name_bytes)};
    const bool is_inline = file.blob >= 0 && static_cast<std::size_t>(file.blob) < blobs;
    if (file.digest.empty() ? !is_inline : !store::check_digest(file.digest))
      return Error{Errc::stage_failed, "a result's file has neither a blob nor a digest"};
    if (file.digest.empty()) continue;
    const auto size = store.size(file.digest);
    if (!size)
      return Error{Errc::stage_failed,
                   fmt::format("a result's file is not in the blob store: {}", file.digest)};
    if (*size != Bytes(file.bytes))
      return Error{Errc::stage_failed, fmt::format("a result's file is said to have {} bytes, the"
                                                   " blob store has {}: {}",
                                                   file.bytes, size->raw(), file.digest)};
  }
  return std::nullopt;
}

// Packed anew; too_big when it had the last bytes that a header may have.
Result<std::string> header_of(const bus::Done& done) {
  bus::Packer packer;
  if (auto added = packer.try_add(done); !added) return std::unexpected(std::move(added).error());
  auto envelope = bus::Envelope::decode(packer.take());
  if (!envelope) return std::unexpected(std::move(envelope).error());
  return std::string(envelope->items().front().header);
}

}  // namespace

Front::Front(FrontOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), loop_(clock) {}

// The order of members' ends: nobody may call into what is gone.
Front::~Front() {
  stopping_ = true;
  if (replayer_.joinable()) replayer_.join();
  errands_.reset();
  body_reads_.reset();
  porters_.reset();
  stages_.reset();
  if (committer_) committer_->stop();
}

Status Front::bind(std::vector<zmq::socket_t>& sockets, bus::Role role,
                   const std::vector<std::string>& endpoints) {
  const bus::SocketOptions socket_options{.insecure = options_.insecure};
  for (const std::string& endpoint : endpoints) {
    if (!sockets.empty()) {
      if (auto also = bus::open_also(sockets.front(), role, endpoint, socket_options); !also)
        return also;
      continue;
    }
    auto socket = bus::open_socket(context_, role, endpoint, socket_options);
    if (!socket) return std::unexpected(std::move(socket).error());
    sockets.push_back(std::move(*socket));
  }
  return {};
}

Status Front::open() {
  const std::filesystem::path data(options_.data_dir);
  auto blobs = store::Blobs::open(data / "blobs", true);
  if (!blobs) return std::unexpected(std::move(blobs).error());
  blobs_ = std::move(*blobs);
  LedgerOptions ledger_options;
  ledger_options.folder = data;
  ledger_options.blobs = blobs_.get();
  ledger_options.keys = options_.idempotency_keys;
  ledger_options.force_copy = options_.copy_ledger;
  auto ledger = open_sqlite_ledger(ledger_options);
  if (!ledger) return std::unexpected(std::move(ledger).error());
  opened_ = ledger->found;
  announced_ = opened_.head;

  if (auto bound = bind(jobs_, bus::Role::front_jobs, options_.listen); !bound) return bound;
  if (auto bound = bind(results_, bus::Role::front_results, options_.results); !bound) return bound;
  if (auto bound = bind(control_, bus::Role::front_control, options_.control); !bound) return bound;

  Machine::Options machine;
  machine.epoch = opened_.epoch;
  machine.head = opened_.head;
  machine.totals = opened_.totals;
  machine.admission = options_.admission;
  machine.seed = static_cast<std::uint64_t>(to_ns(clock_.wall()));
  machine.started = clock_.now();
  machine_ = std::make_unique<Machine>(machine);
  desk_ = std::make_unique<Desk>(jobs_.front());
  probe_ = std::make_unique<Probe>(registry_);
  for (const auto& [door, name] :
       {std::pair{&jobs_.front(), "jobs"}, std::pair{&results_.front(), "results"},
        std::pair{&control_.front(), "control"}})
    if (auto ok = count_connections(*door, name); !ok) return ok;
  stages_ = std::make_unique<StageDoor>(
      context_, loop_, control_.front(), *machine_,
      StageDoor::Place{boot_id(), pid_namespace(), options_.run_dir, blobs_->folder().string(),
                       blobs_->id(), options_.listen.front(), opened_.epoch, options_.insecure},
      [this](std::vector<KindSpec>&& kinds) { learn(std::move(kinds)); },
      [this](const bus::Live& live, const bus::Item& item) { on_live(live, item); },
      [this](const bus::Item& item) { on_done(item); });
  errands_ = std::make_unique<bus::Errands>(loop_, limits::errands, "ledger-reads");
  body_reads_ = std::make_unique<bus::Errands>(loop_, limits::errands, "body-reads");
  porters_ = std::make_unique<bus::Errands>(loop_, limits::errands, "blobs");
  read_kinds();

  auto reader = ledger->ledger->reader();
  if (!reader) return std::unexpected(std::move(reader).error());
  reader_ = std::move(*reader);
  auto body_reader = ledger->ledger->reader();
  if (!body_reader) return std::unexpected(std::move(body_reader).error());
  body_reader_ = std::move(*body_reader);
  start_replay();

  CommitterOptions committer;
  committer.folder = data;
  committer.retain = options_.retain;
  committer_ =
      std::make_unique<Committer>(std::move(ledger->ledger), blobs_.get(), clock_, committer);
  loop_.watch(jobs_.front(), [this] { on_client(); });
  loop_.watch(control_.front(), [this] { (void)stages_->read_control(); });
  loop_.watch(results_.front(), [this] { on_results(); });
  loop_.watch(committer_->reports().fd(), [this] { on_committed(); });
  loop_.every(limits::heartbeat / 8, [this] { stages_->look_after_suspects(); });
  loop_.every(limits::heartbeat, [this] { desk_->tell_gaps(); });
  if (options_.measured.count() > 0) loop_.every(options_.measured, [this] { measure(); });
  loop_.at_turn_end([this] { end_turn(); });
  return {};
}

// libzmq closes a connection by itself, and says no more than that: after a frame above
// limits::max_zmq_frame_bytes, or when a peer was silent in its handshake for limits::handshake.
Status Front::count_connections(zmq::socket_t& door, std::string_view name) {
  auto made = bus::Monitor::of(context_, door);
  if (!made) return std::unexpected(std::move(made).error());
  bus::Monitor* monitor = monitors_.emplace_back(std::move(*made)).get();
  loop_.watch(monitor->socket(), [monitor, counts = probe_->door(name)] {
    bus::Monitor::Event event{};
    while (monitor->next(event))
      if (event == bus::Monitor::Event::disconnected)
        counts.ended->add();
      else if (event == bus::Monitor::Event::failed)
        counts.handshake_failed->add();
  });
  return {};
}

// A million live jobs take a second or two to read: the doors open first, and they join as they
// come.
void Front::start_replay() {
  loop_.watch(replayed_.fd(), [this] { on_replayed(); });
  replayer_ = std::thread([this] {
    name_thread("replay");
    auto reader = open_sqlite_reader(options_.data_dir);
    Status status = reader ? Status{} : std::unexpected(reader.error());
    if (reader)
      status = (*reader)->replay([this](std::vector<LiveJob>&& jobs) {
        ReplayPiece piece{std::move(jobs), false, {}};
        // NOLINTNEXTLINE(bugprone-use-after-move): put() moves only what it takes
        while (!stopping_ && !replayed_.put(std::move(piece)))
          std::this_thread::sleep_for(milliseconds(1));
      });
    ReplayPiece last{{}, true, std::move(status)};
    // NOLINTNEXTLINE(bugprone-use-after-move): put() moves only what it takes
    while (!stopping_ && !replayed_.put(std::move(last)))
      std::this_thread::sleep_for(milliseconds(1));
  });
}

void Front::on_replayed() {
  replayed_.take(pieces_);
  const WallTime wall = clock_.wall();
  const Instant now = clock_.now();
  std::vector<Machine::Replayed> live;
  for (ReplayPiece& piece : pieces_) {
    live.clear();
    for (LiveJob& job : piece.jobs) {
      if (job.id.raw() > opened_.head) continue;  // accepted by this very front
      if (!machine_->kind_named(job.kind)) {
        // Until a stage announces it.
        log::warn(fmt::format("no stage serves kind {} any more; its jobs wait", job.kind));
        auto stage = machine_->stage_named("unserved");
        if (!stage) stage = machine_->add_stage("unserved");
        machine_->add_kind({.name = job.kind, .route = {*stage}});
      }
      const Kind& kind = machine_->kind(*machine_->kind_named(job.kind));
      const Rebased on = rebase(job, now, wall, kind.backoff_cap);
      if (!job.same_boot) job.intake = job.queued = now;
      live.push_back({std::move(job), on.deadline, on.not_before});
    }
    machine_->replay(live);
    if (!piece.last) continue;
    if (!piece.status) {
      log::error("the ledger cannot be replayed: " + piece.status.error().message);
      return stop(70);
    }
    machine_->replay_finished(now);
    log::info(fmt::format("{} live jobs are back", machine_->live_jobs()));
  }
}

int Front::run() {
  log::info(fmt::format("epoch {}, ledger {}", opened_.epoch, opened_.ledger_id));
  loop_.run();
  return exit_code_;
}

void Front::drain() {
  if (std::exchange(draining_, true)) return stop(130);
  log::info("draining; a second signal stops at once");
  machine_->drain(loop_.now());
}

void Front::stop(int exit_code) {
  exit_code_ = exit_code;
  loop_.stop();
}

// A sync failed: what the disk took is not known any more, and another one would not tell.
void Front::stop_broken(std::string_view what, const Error& error) {
  log::error(fmt::format("{} failed, nothing is acknowledged any more: {}", what, error.message));
  stop(70);
}

// ---- kinds ----

// Kinds are announced by the stages that serve them. They are remembered, so that after a restart
// the jobs of the ledger have their routes before the first worker has said hello.
void Front::read_kinds() {
  auto kinds = read_kinds_file(options_.data_dir);
  if (!kinds) return log::warn("kinds are known when a stage says them: " + kinds.error().message);
  learn(std::move(*kinds));
}

void Front::write_kinds() {
  auto written = write_kinds_file(options_.data_dir, kinds_);
  kinds_unwritten_ = !written;
  if (!written) log::warn("kinds are not remembered: " + written.error().message);
}

// The last announcement holds: a stage that was upgraded is heard, and one that is not upgraded
// yet is heard again when its workers say hello again.
void Front::learn(std::vector<KindSpec>&& kinds) {
  bool changed = false;
  for (KindSpec& kind : kinds) changed |= take_kind(std::move(kind));
  if (changed || kinds_unwritten_) write_kinds();
}

bool Front::take_kind(KindSpec&& kind) {
  if (kind.name == "synthetic" && !options_.diagnostics) return false;
  // Of "synthetic@compute,image" too: a route of its own, the same policy.
  const auto configured = options_.policies.find(kind.name.substr(0, kind.name.find('@')));
  const KindPolicy policy =
      configured == options_.policies.end() ? KindPolicy{} : configured->second;
  if (!policy.route.empty() && configured->first == kind.name) kind.route = policy.route;
  const auto told = kinds_.find(kind.name);
  if (told != kinds_.end() && to_json(told->second) == to_json(kind)) return false;
  // A stage twice: the hops of a lease are told apart by their workers.
  const std::set<std::string> stages(kind.route.begin(), kind.route.end());
  const bool twice = stages.size() < kind.route.size();
  if (kind.route.empty() || twice || kind.route.size() > limits::route_hops) {
    log::warn(fmt::format("kind {} is not served so: its route names {}", kind.name,
                          kind.route.empty() ? "no stage"
                          : twice            ? "a stage twice"
                                             : "more stages than a route may"));
    return false;
  }
  const auto unknown = std::ranges::count_if(
      kind.route, [this](const std::string& name) { return !machine_->stage_named(name); });
  if ((!machine_->kind_named(kind.name) && machine_->kinds() >= limits::kinds) ||
      machine_->stages() + static_cast<std::size_t>(unknown) > limits::stages) {
    log::warn(
        fmt::format("kind {} is not served: this front knows as many kinds or stages as it "
                    "may, {} and {}",
                    kind.name, limits::kinds, limits::stages));
    return false;
  }
  std::vector<StageId> route;
  for (const std::string& name : kind.route) {
    auto stage = machine_->stage_named(name);
    route.push_back(stage ? *stage : machine_->add_stage(name));
  }
  Kind served{.name = kind.name,
              .route = std::move(route),
              .retries = static_cast<std::int32_t>(policy.retries),
              .backoff_base = policy.retry_base,
              .backoff_cap = policy.retry_cap,
              .stall = policy.stall};
  if (const auto known = machine_->kind_named(kind.name)) {
    log::info(fmt::format("kind {} was announced anew, by way of {}", kind.name,
                          fmt::join(kind.route, ",")));
    machine_->set_kind(*known, std::move(served));
  } else {
    machine_->add_kind(std::move(served));
  }
  kinds_.insert_or_assign(kind.name, std::move(kind));
  return true;
}

json Front::kinds_json() const {
  json kinds = json::array();
  for (const auto& [name, kind] : kinds_) kinds.push_back(to_json(kind));
  return {{"schema", 1}, {"kinds", std::move(kinds)}};
}

// ---- results ----

void Front::on_results() {
  for (int n = 0; n < limits::messages_per_turn; ++n) {
    if (!bus::receive(results_.front(), frames_)) return;
    auto envelope = bus::Envelope::decode(std::move(frames_));
    if (!envelope) {
      probe_->message_refused();
      continue;
    }
    for (const bus::Item& item : envelope->items())
      if (item.verb == bus::Verb::done)
        on_done(item);
      else
        probe_->message_refused();
  }
}

void Front::on_done(const bus::Item& item) {
  if (!bus::read_into(item, done_)) return probe_->message_refused();
  std::array<Duration, limits::route_hops> service{};
  const std::size_t hops = std::min<std::size_t>(done_.hops.size(), service.size());
  for (std::size_t i = 0; i < hops; ++i)
    service[i] = Duration(done_.hops[i].finished_ns - done_.hops[i].started_ns);
  Finished finished;
  finished.token = done_.token;
  finished.worker = machine_->pool().find(done_.worker).value_or(no_worker);
  finished.outcome = done_.outcome == "ok"        ? Finished::Outcome::ok
                     : done_.outcome == "stopped" ? Finished::Outcome::stopped
                                                  : Finished::Outcome::error;
  finished.retry = done_.retry;
  if (finished.outcome == Finished::Outcome::error)
    finished.error = Error{errc_named(done_.code).value_or(Errc::stage_failed),
                           short_text(done_.message), short_text(done_.field)};
  finished.service = std::span(service).first(hops);
  hand_ = {.header = item.header, .params = item.params, .blobs = item.blobs, .done = &done_};
  if (auto refusal = files_refusal(done_, item.blobs.size(), *blobs_)) {
    // What it says of its hops holds; its files are not kept.
    finished.outcome = Finished::Outcome::error;
    finished.retry = false;
    finished.error = std::move(*refusal);
    done_.files.clear();
    done_.outcome = "error";
    auto packed = header_of(done_);
    if (!packed) {
      // No worker of ours says so much: what it says besides its files is cut, not its hops.
      done_.code = done_.message = done_.field = {};
      for (bus::Hop& hop : done_.hops) hop.spans.clear();
      packed = header_of(done_);
    }
    if (!packed) {
      hand_ = {};
      return probe_->message_refused();
    }
    kept_done_ = std::move(*packed);
    hand_.header = kept_done_;
    hand_.params = {};
    hand_.blobs = {};
  }
  for (const bus::FileRef& file : done_.files)
    if (!file.digest.empty()) hand_.digests.emplace_back(file.digest);
  machine_->done(finished, clock_.now());
  carry_out();
  hand_ = {};
}

void Front::on_live(const bus::Live& live, const bus::Item& item) {
  const JobId job(live.token.job);
  if (machine_->live_state(job) != "in_flight") return;
  const ClientId client = machine_->client_of(job);
  bus::Event event;
  event.job = job.raw();
  event.seq = announced_;
  event.what = live.preview.empty() ? "progress" : "preview";
  event.fraction = live.fraction;
  event.files = live.preview;
  std::vector<std::string_view> blobs;
  for (const zmq::message_t& blob : item.blobs) blobs.push_back(blob.to_string_view());
  desk_->for_watchers(client, job, [&](ConnId id, const Conn& watcher) {
    if (!live.preview.empty() && !watcher.watches_closely(client, job)) return;
    event.kind = watcher.watches_everyone ? kind_name(machine_->kind_of(job)) : std::string_view{};
    event.client = watcher.watches_everyone ? machine_->client_name(client) : std::string_view{};
    (void)desk_->send(id, event, {}, blobs);
  });
}

// ---- commits ----

void Front::commit(Entry&& entry) { batch_.entries.push_back(std::move(entry)); }

void Front::on_committed() {
  reports_.clear();
  if (!committer_->reports().take(reports_)) return;
  const Instant now = clock_.now();
  for (CommitReport& report : reports_) {
    if (const auto* failed = std::get_if<CommitFailed>(&report)) {
      return stop_broken("the ledger", failed->error);
    }
    for (CommitDone::Of& one : std::get<CommitDone>(report).entries) {
      const std::int64_t seq = seq_of(one.entry);
      if (one.outcome.what == Outcome::What::disk_full)
        machine_->not_committed(
            seq, Error{Errc::disk, "the disk is full; running jobs go on", {}, milliseconds(1000)},
            now);
      else
        machine_->committed(seq, one.outcome, now);
      hand_.ended = std::get_if<JobEnd>(&one.entry);
      hand_.keep_seq = one.outcome.keep_seq;
      if (hand_.keep_seq != 0) probe_->waterfall_kept(hand_.ended->state);
      hand_.appended = std::get_if<NewJob>(&one.entry);
      if (auto* job = std::get_if<NewJob>(&one.entry)) keep_body(*job);
      carry_out();
      hand_.ended = nullptr;
      hand_.keep_seq = 0;
      hand_.appended = nullptr;
    }
  }
}

// ---- effects ----

void Front::carry_out() {
  // What cannot be carried out is an event in its turn.
  while (!machine_->effects().empty()) {
    acting_.swap(machine_->effects());
    for (const Effect& effect : acting_) std::visit([this](const auto& one) { act(one); }, effect);
    const std::size_t acted = acting_.size();
    acting_.clear();
    // The memory of a large turn goes with the next small one, and is there for the next large one.
    if (acting_.capacity() > effects_kept && acted < acting_.capacity() / 8)
      std::vector<Effect>().swap(acting_);
  }
}

void Front::act(const Append& append) {
  TM_CHECK(hand_.submit != nullptr);
  const bus::Submit& submit = *hand_.submit;
  NewJob job;
  job.id = append.job;
  job.client = hand_.client;
  job.kind = hand_.kind;
  job.priority = submit.priority;
  job.key = std::string(submit.key);
  job.content_hash = hand_.content_hash;
  job.submitted = clock_.wall();
  if (submit.deadline_unix_ns != 0) job.deadline = wall_from_ns(submit.deadline_unix_ns);
  if (submit.not_before_unix_ns != 0) job.not_before = wall_from_ns(submit.not_before_unix_ns);
  job.intake = hand_.intake;
  job.queued = append.queued;
  job.trace = std::string(submit.trace);
  job.parent = hand_.parent;
  job.body = pack_body(hand_.header, hand_.params, hand_.blobs);
  job.digests = hand_.digests;
  if (log::is_on(log::Level::debug))
    log::debug(fmt::format("{} of {} goes to the ledger", job.kind, job.client),
               {.job = std::to_string(job.id.raw()), .trace = log::trace_id(job.trace)});
  commit(std::move(job));
}

// Most jobs are dispatched soon after their commit; the others' bodies are read back.
void Front::keep_body(NewJob& job) {
  if (machine_->live_state(job.id) == "waiting") bodies_.keep(job.id, std::move(job.body));
}

void Front::act(const Settle& settle) {
  say(settle);
  // A job that was to stop keeps the stamps of what its worker said, but no result.
  const bool told = hand_.done != nullptr && hand_.done->token == settle.token;
  const bool result = settle.with_result && told;
  const std::string_view outcome = settle.state == EndState::done ? "ok"
                                   : result                       ? "error"
                                   : told                         ? "stopped"
                                   : settle.token == Token{}      ? ""
                                                                  : "lost";
  JobEnd end;
  end.seq = settle.seq;
  end.job = settle.job;
  end.state = settle.state;
  if (settle.error) {
    end.code = info(settle.error->code).name;
    end.message = settle.error->message;
    end.field = settle.error->field;
  }
  end.attempts = settle.attempts;
  end.at = clock_.wall();
  end.took = std::max(Duration{}, clock_.now() - settle.stamps.intake);
  end.keep_weight = settle.keep_weight;
  end.timeline =
      pack_attempt(settle.stamps, settle.token, outcome, told ? hand_.header : std::string_view{});
  if (result) {
    end.result = pack_body({}, hand_.params, hand_.blobs);
    end.digests = hand_.digests;
    for (const bus::FileRef& file : hand_.done->files)
      if (!file.digest.empty())
        end.file_bytes += std::clamp<std::int64_t>(file.bytes, 0, limits::max_job_bytes.raw());
  }
  bodies_.drop(settle.job);
  commit(std::move(end));
}

void Front::act(const Remark& remark) {
  say(remark);
  Note note;
  note.seq = remark.seq;
  note.job = remark.job;
  note.what = remark.what;
  note.charges = remark.charges;
  note.failures = remark.failures;
  if (remark.due) note.due = clock_.wall() + (*remark.due - clock_.now());
  if (remark.with_attempt)
    note.data = pack_attempt(remark.stamps, remark.token, remark.outcome,
                             remark.outcome == "failed" ? hand_.header : std::string_view{});
  commit(std::move(note));
}

void Front::act(const Accept& accept) {
  const Desk::Asked asked = desk_->answer(accept.reply_to);
  const std::string_view state = !accept.known ? std::string_view{}
                                 : accept.end  ? name_of(*accept.end)
                                               : machine_->live_state(accept.job);
  desk_->send(asked.conn, bus::Accepted{asked.request, accept.job.raw(), accept.job.raw(),
                                        accept.known, state});
  if (hand_.appended != nullptr && hand_.appended->id == accept.job && !accept.known)
    tell_accepted(*hand_.appended);
}

void Front::act(const Refuse& refuse) {
  refuse_unless_known(refuse.reply_to, refuse.job, refuse.error);
}

void Front::act(const Cancelled& cancelled) {
  const Desk::Asked asked = desk_->answer(cancelled.reply_to);
  reply_json(asked.conn, asked.request,
             {{"job", cancelled.job.raw()}, {"state", std::string(cancelled.state)}});
}

void Front::act(const Dispatch& dispatch) {
  const std::string* kept = bodies_.find(JobId(dispatch.token.job));
  if (kept == nullptr) {
    unread_.push_back(dispatch);
    return;
  }
  const auto body = read_body(*kept);
  TM_CHECK(body.has_value());
  if (auto sent = stages_->dispatch(dispatch, *body); !sent)
    give_up(dispatch, sent.error(), traceparent_of(*body));
  bodies_.drop(JobId(dispatch.token.job));
}

// Jobs whose bodies did not fit in memory, or that are sent again: one errand for all of a turn, on
// a thread that no client's question keeps waiting.
void Front::read_bodies() {
  if (unread_.empty()) return;
  auto wanted = std::make_shared<std::vector<Dispatch>>(unread_);
  const bool taken = body_reads_->put([this, wanted]() -> bus::Errands::Answer {
    auto bodies = std::make_shared<std::vector<Result<NewJob>>>();
    body_reader_->begin();
    for (const Dispatch& one : *wanted) bodies->push_back(body_reader_->body(JobId(one.token.job)));
    body_reader_->end();
    return [this, wanted, bodies] {
      std::erase(reading_, wanted);
      for (std::size_t i = 0; i < wanted->size(); ++i) send_read((*wanted)[i], (*bodies)[i]);
      carry_out();
    };
  });
  if (!taken) return;  // the next turn tries again
  reading_.push_back(wanted);
  unread_.clear();
}

void Front::send_read(const Dispatch& dispatch, const Result<NewJob>& job) {
  // Cancelled or lost with its worker meanwhile: it has another token, or none.
  if (!machine_->is_leased(dispatch.token)) return;
  if (!job && job.error().code != Errc::corrupt && job.error().code != Errc::not_found)
    return machine_->not_sent(dispatch.token, clock_.now());
  const auto body = job ? read_body(job->body) : std::unexpected(job.error());
  const std::string_view trace = job ? std::string_view(job->trace) : std::string_view{};
  if (!body) return give_up(dispatch, body.error(), trace);
  if (auto sent = stages_->dispatch(dispatch, *body); !sent) give_up(dispatch, sent.error(), trace);
}

void Front::give_up(const Dispatch& dispatch, const Error& error, std::string_view traceparent) {
  const std::string job = std::to_string(dispatch.token.job);
  log::error(fmt::format("job {} cannot be sent: {}", job, error.message),
             {.job = job, .trace = log::trace_id(traceparent)});
  machine_->unreadable(dispatch.token, error, clock_.now());
}

void Front::act(const TellWorker& tell) { stages_->tell(tell); }
void Front::act(const CloseLane& close) { stages_->close_lane(close.worker); }
void Front::act(const Rebind& rebind) { stages_->rebind(rebind.worker); }
void Front::act(const LinkNews& news) { stages_->say(news); }
void Front::act(const Drained&) {
  if (!draining_ || std::exchange(drained_, true)) return;
  if (!on_drained_) return stop(0);
  loop_.once(Duration{}, on_drained_);  // behind what this turn says
}

void Front::act(const Announce& announce) {
  announced_ = std::max(announced_, announce.seq);
  TM_CHECK(hand_.ended != nullptr && hand_.ended->seq == announce.seq);
  const JobEnd& end = *hand_.ended;
  (void)read_or_empty(end);
  const Instant settled = clock_.now();
  if (desk_->is_watched(announce.client, announce.job)) {
    const Duration whole = settled - announce.stamps.intake;
    const std::string_view client = machine_->client_name(announce.client);
    const std::string_view kind = kind_name(announce.kind);
    desk_->for_watchers(announce.client, announce.job, [&](ConnId id, const Conn& watcher) {
      const bool closely = watcher.watches_closely(announce.client, announce.job);
      send_end(id, {end, client, kind, closely ? &ended_ : nullptr, whole});
    });
    desk_->unwatch_job(announce.job);
  }
  const Duration whole = clock_.now() - announce.stamps.intake;
  batch_.wholes.push_back({announce.seq, whole, hand_.keep_seq});
  count_end(announce, ended_, whole, settled);
}

// Empty: of a job of the ledger that no stage announced since the start.
std::string_view Front::kind_name(KindId kind) const {
  return kind < machine_->kinds() ? std::string_view(machine_->kind(kind).name)
                                  : std::string_view{};
}

// The check that nobody else makes: do the parts of this job's time add up to the whole?
void Front::count_end(const Announce& announce, const StoredEnd& end, Duration whole,
                      Instant settled) {
  const std::vector<bus::Hop>& hops = end.done.hops;
  std::vector<Part> parts = parts_of(announce.stamps, hops, announce.attempt_gap, end.told);
  parts.push_back({"settle", {}, settled - announce.stamps.returned});
  const std::string_view kind = kind_name(announce.kind);
  probe_->job_ended({announce.job, kind.empty() ? "other" : kind, whole, settled}, parts,
                    clock_error_of(hops));
}

// ---- the turn ----

void Front::end_turn() {
  carry_out();
  if (loop_.now() >= next_judgement_) judge();
  machine_->dispatch(clock_.now());
  carry_out();
  plan_judgement();
  read_bodies();
  // Wholes ride along with the next commit; when the front is idle, they get one of their own.
  const bool alone = !batch_.wholes.empty() && loop_.now() >= wholes_due_;
  if (!batch_.entries.empty() || alone) {
    // Admission refuses long before the queue is full, and what is admitted must be taken.
    TM_CHECK(committer_->put(std::exchange(batch_, {})));
    wholes_due_ = loop_.now() + limits::wholes_delay;
  }
  // Who waits is woken first: a worker for its job, a client for its answer, then the workers for
  // what has been settled.
  stages_->flush_jobs();
  desk_->flush();
  for (const ClientId client : desk_->let_go()) machine_->let_client_go(client);
  stages_->flush_verdicts();
}

// Leases, deadlines, due times. What the workers said while this process was away is heard first.
void Front::judge() {
  if constexpr (!plants(Mutant::expiry_before_drain)) {
    while (stages_->read_control()) carry_out();
    on_results();
    on_committed();
  }
  const Instant now = clock_.now();
  for (const auto& piece : reading_)
    for (const Dispatch& one : *piece) machine_->reading(one.token, now);
  for (const Dispatch& one : unread_) machine_->reading(one.token, now);
  // Here and not after a commit: while submits are refused there may be none.
  machine_->set_disk_low(committer_->free_bytes() < options_.disk_floor);
  machine_->tick(now);
  carry_out();
  judged_ = now;
}

// In every turn: what it brought may be due before all that was known at the last judgement.
void Front::plan_judgement() {
  const Instant next = std::max(machine_->next_due(), judged_ + limits::judgement_gap);
  if (next == next_judgement_) return;
  next_judgement_ = next;
  loop_.cancel(judgement_timer_);
  judgement_timer_ = loop_.once(next - clock_.now(), [] {});
}

}  // namespace tallymill::front
