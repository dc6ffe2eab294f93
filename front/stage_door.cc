#include "front/stage_door.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "bus/codec_json.h"
#include "bus/held.h"

namespace tallymill::front {
namespace {

using nlohmann::json;

std::string_view word_of(Word word) {
  switch (word) {
    case Word::keep:
      return "keep";
    case Word::settled:
      return "settled";
    case Word::void_:
      return "void";
    case Word::cancel:
      return "cancel";
    case Word::expire:
      return "expire";
  }
  std::unreachable();
}

std::optional<Machine::Point> point_named(std::string_view what) {
  using Point = Machine::Point;
  if (what == "received") return Point::received;
  if (what == "started") return Point::started;
  if (what == "finished") return Point::finished;
  if (what == "back") return Point::back;
  return std::nullopt;
}

// A kind that was announced as "synthetic@image" runs as "synthetic".
std::string_view base_kind(std::string_view name) { return name.substr(0, name.find('@')); }

bool process_is_gone(std::int64_t pid) {
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return true;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) return true;
  const auto paren = text.rfind(')');  // the command's name may hold anything
  return paren != std::string::npos && paren + 2 < text.size() && text[paren + 2] == 'Z';
}

// What the supervisor wrote down of a process that died: its signal and last lines.
std::optional<std::string> last_words(const std::string& run_dir, std::int64_t pid) {
  std::ifstream file(std::filesystem::path(run_dir) / "deaths" / (std::to_string(pid) + ".json"));
  if (!file) return std::nullopt;
  const json death = json::parse(file, nullptr, false);
  if (!death.is_object()) return std::nullopt;
  std::string words = death.contains("signal") && death["signal"].is_string()
                          ? "signal " + death["signal"].get<std::string>()
                      : death.contains("signal") && death["signal"].is_number()
                          ? "signal " + std::to_string(death["signal"].get<int>())
                          : "exit " + std::to_string(death.value("exit", -1));
  if (const auto lines = death.find("last_stderr"); lines != death.end() && lines->is_array())
    for (const json& line : *lines)
      if (line.is_string()) words += "\n  " + line.get<std::string>();
  return words;
}

}  // namespace

StageDoor::StageDoor(zmq::context_t& context, bus::Loop& loop, zmq::socket_t& control,
                     Machine& machine, Place place, Announced announced, Live live, Done done)
    : context_(context),
      loop_(loop),
      control_(control),
      machine_(machine),
      place_(std::move(place)),
      announced_(std::move(announced)),
      live_(std::move(live)),
      done_(std::move(done)) {}

StageDoor::Slot& StageDoor::slot(WorkerId worker) {
  TM_CHECK(worker < slots_.size());
  return slots_[worker];
}

bool StageDoor::read_control() {
  for (int n = 0; n < limits::messages_per_turn; ++n) {
    if (!bus::receive(control_, from_, frames_)) return n > 0;
    auto envelope = bus::Envelope::decode(std::move(frames_));
    if (!envelope) {
      ++refused_;
      continue;
    }
    for (const bus::Item& item : envelope->items()) on_item(from_, item);
  }
  return true;
}

void StageDoor::on_item(const bus::Route& from, const bus::Item& item) {
  switch (item.verb) {
    case bus::Verb::worker_hello:
      return on_hello(from, item);
    case bus::Verb::beat:
      return on_beat(from, item);
    case bus::Verb::hop_event:
      return on_hop(item);
    case bus::Verb::done:  // asked for again
      return done_(item);
    case bus::Verb::live:
      if (const auto live = bus::read<bus::Live>(item)) live_(*live, item);
      return;
    default:
      ++refused_;
  }
}

void StageDoor::on_hello(const bus::Route& from, const bus::Item& item) {
  const auto hello = bus::read<bus::WorkerHello>(item);
  const auto params = bus::json_of_msgpack(item.params);
  std::vector<Held> held;
  if (!hello || !params || !bus::read_held(item.params, held)) {
    ++refused_;
    return;
  }
  std::vector<KindSpec> kinds;
  std::vector<std::string> names;
  if (const auto list = params->find("kinds"); list != params->end() && list->is_array())
    for (const json& one : *list)
      if (auto kind = kind_from_json(one)) {
        names.push_back(kind->name);
        kinds.push_back(std::move(*kind));
      }
  auto stage = machine_.stage_named(hello->stage);
  if (!stage && (machine_.stages() >= limits::stages || hello->stage.empty() ||
                 hello->stage.size() > limits::stage_name_bytes)) {
    ++refused_;
    return log::warn(
        "a worker's hello was refused: its stage has no name that can be taken, or "
        "the front knows as many stages as it may");
  }
  if (!stage) stage = machine_.add_stage(std::string(hello->stage));
  announced_(std::move(kinds));

  const auto known = machine_.pool().find(hello->incarnation);
  // A lane that was closed is not opened again: the machine asks for another with the next beat.
  const bool same_lane = known && machine_.pool().at(*known).info.lane == hello->lane;
  WorkerInfo facts{std::string(hello->incarnation),
                   *stage,
                   {Credits(hello->limit_jobs), Bytes(hello->limit_bytes)},
                   Credits(hello->limit_unsettled),
                   std::max(1, hello->concurrency),
                   hello->lane};
  const auto worker = machine_.hello(facts, held, loop_.now());
  if (!worker) {
    ++refused_;
    log::warn(fmt::format("a worker's hello was refused: {}", worker.error().message));
    return;
  }
  if (slots_.size() <= *worker) slots_.resize(*worker + 1);
  Slot& slot = slots_[*worker];
  slot.route = from;
  slot.facts = {std::string(hello->incarnation),
                std::string(hello->stage),
                std::string(hello->host),
                std::string(hello->boot),
                std::string(hello->pids),
                std::string(hello->endpoint),
                hello->pid,
                std::move(names)};
  suspects_.erase(*worker);
  slot.suspect_since = Instant::max();
  if (!same_lane) open_lane(*worker);
  welcome(from);
  lanes_changed_ = true;
}

void StageDoor::welcome(const bus::Route& to) {
  bus::Packer packer;
  packer.add(bus::WorkerWelcome{place_.epoch, limits::heartbeat.count(), place_.blobs, place_.store,
                                place_.jobs});
  reply(to, packer);
}

void StageDoor::open_lane(WorkerId worker) {
  drop_lane(worker);
  Slot& at = slots_[worker];
  auto lane = bus::Lane::connect(
      context_, {at.facts.incarnation, machine_.pool().at(worker).info.lane, at.facts.endpoint},
      place_.insecure);
  if (!lane) {
    log::warn(fmt::format("cannot connect the lane of worker {}: {}", at.facts.incarnation,
                          lane.error().message));
    machine_.lane_broke(worker, loop_.now());
    return;
  }
  at.lane = std::move(*lane);
  loop_.watch(at.lane->events(), [this, worker] { on_lane(worker); });
  on_lane(worker);
}

void StageDoor::drop_lane(WorkerId worker) {
  Slot& at = slots_[worker];
  if (at.lane == nullptr) return;
  loop_.unwatch(at.lane->events());
  at.lane.reset();
  at.jobs = bus::Packer();
  lanes_changed_ = true;
}

// The lane itself stays until the machine says so: this may be its own event.
void StageDoor::on_lane(WorkerId worker) {
  Slot& at = slot(worker);
  if (at.lane == nullptr) return;
  const auto before = at.lane->state();
  const auto now = at.lane->update();
  if (now == bus::Lane::State::open && before != now) {
    machine_.lane_up(worker, loop_.now());
    lanes_changed_ = true;
  } else if (now == bus::Lane::State::broken) {
    broke(worker);
  }
}

void StageDoor::broke(WorkerId worker) {
  machine_.lane_broke(worker, loop_.now());
  slot(worker).suspect_since = loop_.now();
  suspects_.insert(worker);
}

void StageDoor::on_beat(const bus::Route& from, const bus::Item& item) {
  const auto beat = bus::read<bus::Beat>(item);
  std::vector<Held> held;
  if (!beat || !bus::read_held(item.params, held)) {
    ++refused_;
    return;
  }
  const auto worker = machine_.pool().find(beat->incarnation);
  if (!worker || *worker >= slots_.size()) {
    // A worker that this front has not met: a welcome that answers no hello asks for one.
    return welcome(from);
  }
  Slot& at = slots_[*worker];
  at.route = from;
  at.beat_ns = beat->sent_ns;
  at.beat_at = loop_.now();
  if (beat->draining) machine_.leaving(*worker);
  machine_.beat(*worker, held, beat->busy_ratio, beat->missing, loop_.now());
  if (!std::exchange(at.dirty, true)) dirty_.push_back(*worker);
}

void StageDoor::on_hop(const bus::Item& item) {
  const auto hop = bus::read<bus::HopEvent>(item);
  const auto point = hop ? point_named(hop->what) : std::nullopt;
  if (!point) {
    ++refused_;
    return;
  }
  const auto worker = machine_.pool().find(hop->worker);
  if (!worker) return;
  if (hop->reason == "draining") machine_.leaving(*worker);
  machine_.hop(*worker, hop->token, *point, loop_.now());
}

// ---- to the workers ----

Status StageDoor::dispatch(const Dispatch& dispatch, const Body& body) {
  const bus::Item header{bus::Verb::submit, body.header, {}, {}};
  if (auto read = bus::read_into(header, submit_); !read)
    return fail(Errc::corrupt, "its stored header cannot be read: " + read.error().message);
  Slot& first = slot(dispatch.workers[0]);
  if (first.lane == nullptr) return {};  // it broke since; the lease knows
  const Kind& kind = machine_.kind(dispatch.kind);
  work_.token = dispatch.token;
  work_.kind = base_kind(kind.name);
  work_.hop = 0;
  work_.route.clear();
  for (int hop = 0; hop < dispatch.hops; ++hop) {
    const WorkerFacts& facts = slot(dispatch.workers[static_cast<std::size_t>(hop)]).facts;
    work_.route.push_back({facts.stage, facts.incarnation,
                           hop == 0 ? std::string_view{} : std::string_view(facts.endpoint)});
  }
  work_.from = "front";
  work_.number = first.lane->numbered() + 1;
  work_.deadline_ns = dispatch.deadline ? to_ns(*dispatch.deadline) : 0;
  work_.stall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(kind.stall).count();
  work_.trace = submit_.trace;
  work_.inputs.swap(submit_.inputs);
  work_.hops.resize(1);
  work_.hops[0] = {};
  work_.hops[0].stage = first.facts.stage;
  work_.hops[0].worker = first.facts.incarnation;
  work_.hops[0].sent_ns = to_ns(SystemClock().now());
  if (first.jobs.full()) send_jobs(dispatch.workers[0]);
  if (auto added = first.jobs.try_add(work_, body.params); !added) return added;
  (void)first.lane->take_number();
  for (const std::string_view blob : body.blobs)
    first.jobs.add_blob(zmq::message_t(blob.data(), blob.size()));
  if (!std::exchange(first.dirty, true)) dirty_.push_back(dispatch.workers[0]);
  return {};
}

void StageDoor::tell(const TellWorker& tell) {
  if (tell.worker >= slots_.size()) return;
  Slot& at = slot(tell.worker);
  at.verdicts.push_back({tell.token, word_of(tell.word)});
  if (!std::exchange(at.dirty, true)) dirty_.push_back(tell.worker);
}

void StageDoor::rebind(WorkerId worker) {
  Slot& at = slot(worker);
  at.rebind = true;
  if (!std::exchange(at.dirty, true)) dirty_.push_back(worker);
}

void StageDoor::say(const LinkNews& news) const {
  const WorkerFacts* from = facts(news.from);
  const WorkerFacts* to = facts(news.to);
  if (from == nullptr || to == nullptr) return;
  if (news.reached) {
    log::info(fmt::format("worker {} reaches worker {} again", from->incarnation, to->incarnation));
    return;
  }
  const bool ipc = to->endpoint.starts_with("ipc://");
  log::warn(fmt::format(
      "worker {} on {} cannot reach worker {} at {}: its jobs come back and wait, nobody is charged"
      ", and it is tried again after {} s at most{}",
      from->incarnation, from->host, to->incarnation, to->endpoint,
      limits::link_backoff_cap.count() / 1000,
      ipc ? "; another host does not see that socket: --lane-address gives it a tcp lane" : ""));
}

void StageDoor::close_lane(WorkerId worker) { drop_lane(worker); }

void StageDoor::reply(const bus::Route& to, bus::Packer& packer) {
  if (auto sent = bus::send(control_, to, packer.take()); !sent) ++refused_;
}

void StageDoor::send_jobs(WorkerId worker) {
  Slot& at = slot(worker);
  if (at.jobs.empty()) return;
  bus::Frames frames = at.jobs.take();
  if (at.lane == nullptr || at.lane->state() != bus::Lane::State::open) return;
  if (auto sent = at.lane->send(std::move(frames)); !sent) {
    log::warn(fmt::format("lane of worker {}: {}", at.facts.incarnation, sent.error().message));
    broke(worker);
  }
}

void StageDoor::flush_jobs() {
  if (std::exchange(lanes_changed_, false)) send_lanes();
  for (const WorkerId id : dirty_) send_jobs(id);
}

void StageDoor::flush_verdicts() {
  for (const WorkerId id : dirty_) {
    Slot& at = slots_[id];
    at.dirty = false;
    if (at.verdicts.empty() && at.beat_ns == 0 && !at.rebind) continue;
    // A verdict list is bounded by the decoder's limit on lists.
    for (std::size_t begin = 0; begin == 0 || begin < at.verdicts.size();
         begin += limits::header_list) {
      bus::Tell tell;
      const auto end = std::min(at.verdicts.size(), begin + limits::header_list);
      tell.verdicts.assign(at.verdicts.begin() + static_cast<std::ptrdiff_t>(begin),
                           at.verdicts.begin() + static_cast<std::ptrdiff_t>(end));
      tell.echo_ns = std::exchange(at.beat_ns, 0);
      tell.front_ns = tell.echo_ns == 0 ? 0 : to_ns(SystemClock().now());
      tell.rebind = std::exchange(at.rebind, false);
      bus::Packer packer;
      packer.add(tell);
      reply(at.route, packer);
    }
    at.verdicts.clear();
  }
  dirty_.clear();
}

// Every worker is told the lanes of all stages that can be a later hop; the list is short.
void StageDoor::send_lanes() {
  bus::Lanes lanes;
  for (WorkerId id = 0; id < slots_.size(); ++id)
    if (slots_[id].lane != nullptr && slots_[id].lane->state() == bus::Lane::State::open)
      lanes.lanes.push_back(
          {slots_[id].facts.stage, slots_[id].facts.incarnation, slots_[id].facts.endpoint});
  for (WorkerId id = 0; id < slots_.size(); ++id) {
    if (slots_[id].lane == nullptr) continue;
    bus::Packer packer;
    packer.add(lanes);
    reply(slots_[id].route, packer);
  }
}

void StageDoor::look_after_suspects() {
  for (auto id = suspects_.begin(); id != suspects_.end();) {
    Slot& at = slots_[*id];
    const bool here = at.facts.boot == place_.boot && at.facts.pids == place_.pids &&
                      !place_.pids.empty() && at.facts.pid > 0;
    if (!here || !process_is_gone(at.facts.pid)) {
      const bool waited = loop_.now() - at.suspect_since > limits::lease;
      id = waited ? suspects_.erase(id) : std::next(id);
      continue;
    }
    // The supervisor needs a moment to write down how it died.
    auto words = last_words(place_.run_dir, at.facts.pid);
    if (!words && loop_.now() - at.suspect_since < std::chrono::milliseconds(200)) {
      ++id;
      continue;
    }
    machine_.died(*id, words.value_or("its process died"), loop_.now());
    id = suspects_.erase(id);
  }
}

const WorkerFacts* StageDoor::facts(WorkerId worker) const {
  return worker < slots_.size() ? &slots_[worker].facts : nullptr;
}

json StageDoor::workers_json() const {
  json workers = json::array();
  const auto all = machine_.pool().all();
  for (WorkerId id = 0; id < all.size() && id < slots_.size(); ++id) {
    const Worker& worker = all[id];
    if (worker.gone) continue;
    const Slot& at = slots_[id];
    workers.push_back(
        {{"id", id},
         {"incarnation", at.facts.incarnation},
         {"stage", at.facts.stage},
         {"host", at.facts.host},
         {"pid", at.facts.pid},
         {"kinds", at.facts.kinds},
         {"open", worker.open},
         {"limit",
          {{"jobs", worker.info.limit.jobs.raw()}, {"bytes", worker.info.limit.bytes.raw()}}},
         {"held", worker.here.held().jobs.raw()},
         {"held_bytes", worker.here.held().bytes.raw()},
         {"ahead", worker.ahead.raw()},
         {"unsettled", worker.unsettled.raw()},
         {"missing", worker.missing},
         {"busy_ratio", worker.busy_ratio},
         {"last_seen_ms",
          std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now() - worker.last_seen)
              .count()}});
  }
  return workers;
}

}  // namespace tallymill::front
