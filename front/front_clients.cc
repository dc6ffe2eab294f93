// What clients ask of the front, verb by verb.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "bus/codec_json.h"
#include "front/front.h"

namespace tallymill::front {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

// What an idempotency key stands for: the same kind, params and inputs. Lengths go in, so that no
// two different jobs run together into the same bytes.
std::string content_hash(const bus::Submit& submit, std::string_view params,
                         std::span<const zmq::message_t> blobs) {
  std::string bytes;
  const auto add = [&](std::string_view part) {
    bytes += std::to_string(part.size());
    bytes += ':';
    bytes += part;
  };
  add(submit.kind);
  add(params);
  for (const bus::FileRef& input : submit.inputs) {
    add(input.name);
    if (input.digest.empty() && input.blob >= 0 &&
        static_cast<std::size_t>(input.blob) < blobs.size())
      add(sha256_hex(blobs[static_cast<std::size_t>(input.blob)].to_string_view()));
    else
      add(input.digest);
  }
  return sha256_hex(bytes);
}

const Error disk_low{
    Errc::disk, "free space is below the floor", {}, std::chrono::milliseconds(1000)};

constexpr std::string_view blob_store = "the blob store";

// What a submit takes of its connection's window: what the client gave, not how it was packed.
Bytes size_in_window(const bus::Item& item) {
  std::size_t size = item.params.size();
  for (const zmq::message_t& blob : item.blobs) size += blob.size();
  return Bytes(static_cast<std::int64_t>(size));
}

json status_json(const JobRow& row, std::string_view live_state, std::int32_t attempts) {
  json status{{"job", row.id.raw()},
              {"kind", row.kind},
              {"client", row.client},
              {"priority", row.priority},
              {"submitted_unix_ns", to_ns(row.submitted)},
              {"charges", row.charges}};
  if (row.deadline) status["deadline_unix_ns"] = to_ns(*row.deadline);
  if (row.parent != JobId(0)) status["parent"] = row.parent.raw();
  if (!row.end) {
    status["state"] = live_state.empty() ? "waiting" : std::string(live_state);
    status["attempts"] = attempts;
    return status;
  }
  status["state"] = std::string(name_of(row.end->state));
  status["attempts"] = row.end->attempts;
  status["end_unix_ns"] = to_ns(row.end->at);
  if (!row.end->code.empty()) {
    status["code"] = row.end->code;
    status["message"] = row.end->message;
    status["field"] = row.end->field;
  }
  return status;
}

}  // namespace

void Front::on_client() {
  for (int n = 0; n < limits::messages_per_turn; ++n) {
    if (!bus::receive(jobs_.front(), route_, frames_)) return;
    const ConnId conn = desk_->conn_of(route_, loop_.now());
    hand_.intake = clock_.now();
    auto envelope = bus::Envelope::decode(std::move(frames_));
    if (!envelope) {
      probe_->message_refused();
      desk_->fail(conn, 0, JobId(0), envelope.error());
      continue;
    }
    for (const bus::Item& item : envelope->items()) on_item(conn, item);
  }
}

void Front::on_item(ConnId conn, const bus::Item& item) {
  switch (item.verb) {
    case bus::Verb::submit:
      return on_submit(conn, item);
    case bus::Verb::hello:
      return on_hello(conn, item);
    case bus::Verb::watch:
      return on_watch(conn, item);
    case bus::Verb::put:
      return on_put(conn, item);
    case bus::Verb::get:
      return on_get(conn, item);
    case bus::Verb::status:
    case bus::Verb::result:
    case bus::Verb::jobs:
    case bus::Verb::cancel:
    case bus::Verb::retry:
    case bus::Verb::timeline:
    case bus::Verb::workers:
    case bus::Verb::topology:
    case bus::Verb::kinds:
    case bus::Verb::snapshot:
    case bus::Verb::ping:
      return on_ask(conn, item);
    default:
      probe_->message_refused();
      desk_->fail(
          conn, 0, JobId(0),
          {Errc::bad_frame, fmt::format("{} is not for the front", name_of(item.verb)), "/t"});
  }
}

void Front::on_hello(ConnId conn, const bus::Item& item) {
  const auto hello = bus::read<bus::Hello>(item);
  if (!hello) return desk_->fail(conn, 0, JobId(0), hello.error());
  if (hello->version != 1)
    return desk_->fail(conn, hello->request, JobId(0),
                       {Errc::version, "this front speaks version 1", "/v"});
  if (hello->client.size() > limits::client_name_bytes)
    return desk_->fail(conn, hello->request, JobId(0),
                       {Errc::too_big, "a client's name has at most 64 bytes", "/client"});
  if (!machine_->has_room_for_client(hello->client.empty() ? "anonymous" : hello->client))
    return desk_->fail(conn, hello->request, JobId(0),
                       {Errc::busy, "this front knows as many clients' names as it may", "/client",
                        milliseconds(1000)});
  const std::string name(hello->client.empty() ? "anonymous" : hello->client);
  desk_->introduce(conn, name, machine_->hold_client(name));
  desk_->send(conn, bus::Welcome{hello->request, opened_.epoch, opened_.ledger_id, announced_,
                                 limits::submit_window_jobs, limits::submit_window_bytes.raw(),
                                 blobs_->folder().native(), TALLYMILL_VERSION});
}

// ---- submit ----

Result<KindId> Front::kind_of(const bus::Submit& submit, std::string_view params) {
  const auto known = machine_->kind_named(submit.kind);
  const bool runs = known && kinds_.contains(std::string(submit.kind));
  if (!runs) {
    std::string names;
    for (const auto& [name, spec] : kinds_) names += (names.empty() ? "" : ", ") + name;
    return fail(Errc::no_route,
                fmt::format("no stage serves kind {}; there are: {}", submit.kind,
                            names.empty() ? "none yet, as no stage has said hello" : names),
                "/kind");
  }
  const KindSpec& spec = kinds_.at(std::string(submit.kind));
  const auto inputs = static_cast<int>(submit.inputs.size());
  if (inputs < spec.inputs_min || inputs > spec.inputs_max)
    return fail(Errc::bad_params,
                fmt::format("kind {} takes {} to {} files, not {}", spec.name, spec.inputs_min,
                            spec.inputs_max, inputs),
                "/inputs");
  if (spec.name != "synthetic") {
    const auto given = bus::json_of_msgpack(params);
    if (!given) return std::unexpected(given.error());
    if (auto checked = check_params(spec, *given); !checked)
      return std::unexpected(std::move(checked).error());
    return *known;
  }
  // The one kind that chooses its route: a kind of its own per route, "synthetic@compute,image".
  if (params.find("route") == std::string_view::npos) return *known;
  const auto given = bus::json_of_msgpack(params);
  if (!given) return std::unexpected(given.error());
  const auto route = given->find("route");
  if (route == given->end() || !route->is_string()) return *known;
  const std::string name = "synthetic@" + route->get<std::string>();
  if (const auto variant = machine_->kind_named(name)) return *variant;
  KindSpec variant = spec;
  variant.name = name;
  variant.route.clear();
  for (std::size_t begin = 0; begin <= route->get_ref<const std::string&>().size();) {
    const auto& text = route->get_ref<const std::string&>();
    const auto comma = std::min(text.find(',', begin), text.size());
    variant.route.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  for (const std::string& stage : variant.route)
    if (!machine_->stage_named(stage))
      return fail(Errc::bad_params, fmt::format("no stage is called {}", stage), "/route");
  learn({std::move(variant)});
  if (const auto learnt = machine_->kind_named(name)) return *learnt;
  return fail(Errc::bad_params, "this route cannot be taken", "/route");
}

void Front::on_submit(ConnId conn, const bus::Item& item) {
  if (auto read = bus::read_into(item, submit_); !read)
    return desk_->fail(conn, submit_.request, JobId(0), read.error());
  for (const bus::FileRef& input : submit_.inputs) {
    if (input.digest.empty() &&
        (input.blob < 0 || static_cast<std::size_t>(input.blob) >= item.blobs.size()))
      return desk_->fail(
          conn, submit_.request, JobId(0),
          {Errc::bad_params, "an input names a blob that the message does not have", "/inputs"});
    if (!input.digest.empty())
      if (auto checked = store::check_digest(input.digest); !checked)
        return desk_->fail(conn, submit_.request, JobId(0), checked.error());
    if (input.bytes < 0 || Bytes(input.bytes) > limits::max_job_bytes)
      return desk_->fail(conn, submit_.request, JobId(0),
                         {Errc::too_big, "an input is larger than a job may be", "/inputs"});
  }
  if (submit_.deadline_unix_ns < 0 || submit_.not_before_unix_ns < 0)
    return desk_->fail(conn, submit_.request, JobId(0),
                       {Errc::bad_params, "a time is nanoseconds since 1970",
                        submit_.deadline_unix_ns < 0 ? "/dl" : "/nb"});
  const bool large = std::ranges::any_of(item.blobs, [](const zmq::message_t& blob) {
    return Bytes(static_cast<std::int64_t>(blob.size())) > limits::inline_bytes;
  });
  const auto reply_to = desk_->ask_submit(conn, submit_.request, size_in_window(item));
  if (!reply_to) {
    probe_->submit_refused(Errc::rate_limited);
    return desk_->fail(conn, submit_.request, JobId(0),
                       {Errc::rate_limited,
                        "more submits are without an answer than the welcome allows",
                        {},
                        milliseconds(10)});
  }
  // Nothing of a submit that will be refused is stored.
  if (large) {
    auto wrong = submit_refusal(*desk_->find(conn), submit_);
    if (!wrong && !has_room_for(size_in_window(item))) wrong = disk_low;
    if (!wrong)
      if (const auto kind = kind_of(submit_, item.params); !kind) wrong = kind.error();
    if (wrong) return refuse_submit(*reply_to, JobId(0), *wrong);
    return spill(conn, *reply_to, item);
  }
  take_submit(conn, *reply_to, submit_, item.header, item.params, item.blobs);
}

// The same key and content is the same job, also when it could not be taken now: its `accepted` may
// have been lost with the connection. A refusal that may be tried again finds that out then.
void Front::refuse_unless_known(ReplyTo reply_to, JobId job, const Error& error) {
  const bool keyed = hand_.submit != nullptr && !hand_.submit->key.empty();
  if (!keyed || job != JobId(0) || info(error.code).retry)
    return refuse_submit(reply_to, job, error);
  const bool taken = errands_->put([this, reply_to, error, client = hand_.client,
                                    key = std::string(hand_.submit->key),
                                    hash = hand_.content_hash]() -> bus::Errands::Answer {
    auto known = reader_->key(client, key);
    const bool same = known && *known && (*known)->content_hash == hash;
    return [this, reply_to, error, same, known = std::move(known)] {
      if (same) return act(Accept{reply_to, (*known)->job, true, (*known)->end});
      refuse_submit(reply_to, JobId(0), error);
    };
  });
  if (!taken)
    refuse_submit(reply_to, JobId(0),
                  {Errc::busy, "as many questions wait as may wait", {}, milliseconds(50)});
}

void Front::refuse_submit(ReplyTo reply_to, JobId job, const Error& error) {
  const Desk::Asked asked = desk_->answer(reply_to);
  probe_->submit_refused(error.code);
  desk_->fail(asked.conn, asked.request, job, error);
}

// Before anything of it is kept; the machine's own reasons come later.
std::optional<Error> Front::submit_refusal(const Conn& from, const bus::Submit& submit) const {
  if (from.name.empty()) return Error{Errc::bad_frame, "say hello before the first submit", "/t"};
  if (submit.priority < 0 || submit.priority >= priorities)
    return Error{Errc::bad_params, "priority is 0 (lowest) to 9", "/prio"};
  if (submit.key.size() > limits::key_bytes)
    return Error{Errc::too_big, "an idempotency key has at most 128 bytes", "/key"};
  if (submit.trace.size() > limits::trace_bytes)
    return Error{Errc::too_big, "a traceparent has at most 64 bytes", "/tp"};
  if (committer_->queued() > limits::commit_queue / 2)
    return Error{Errc::busy, "the disk is behind", {}, milliseconds(50)};
  return std::nullopt;
}

void Front::take_submit(ConnId conn, ReplyTo reply_to, const bus::Submit& submit,
                        std::string_view header, std::string_view params,
                        std::span<const zmq::message_t> blobs) {
  const auto refuse = [&](const Error& error) { refuse_submit(reply_to, JobId(0), error); };
  const Conn* at = desk_->find(conn);
  if (at == nullptr) return refuse({Errc::away, "its client is gone"});
  if (auto wrong = submit_refusal(*at, submit)) return refuse(*wrong);
  hand_.header = header;
  hand_.params = params;
  hand_.blobs = blobs;
  hand_.submit = &submit;
  hand_.client = at->name;
  hand_.parent = JobId(submit.parent);
  hand_.content_hash = submit.key.empty() ? std::string{} : content_hash(submit, params, blobs);
  const auto kind = kind_of(submit, params);
  if (!kind) {
    refuse_unless_known(reply_to, JobId(0), kind.error());
    hand_.submit = nullptr;
    return;
  }
  hand_.kind = machine_->kind(*kind).name;
  hand_.digests.clear();
  std::int64_t size = static_cast<std::int64_t>(header.size() + params.size());
  for (const auto& blob : blobs) size += static_cast<std::int64_t>(blob.size());
  for (const bus::FileRef& input : submit.inputs)
    if (!input.digest.empty()) {
      hand_.digests.emplace_back(input.digest);
      size += std::max<std::int64_t>(0, input.bytes);
    }
  const Instant now = clock_.now();
  const auto rebased = [&](std::int64_t unix_ns) -> std::optional<Instant> {
    if (unix_ns == 0) return std::nullopt;
    return now + (wall_from_ns(unix_ns) - clock_.wall());
  };
  Submission submission;
  submission.reply_to = reply_to;
  submission.client = hand_.client;
  submission.kind = *kind;
  submission.priority = submit.priority;
  submission.size = Bytes(size);
  submission.deadline = rebased(submit.deadline_unix_ns);
  submission.not_before = rebased(submit.not_before_unix_ns);
  submission.intake = hand_.intake;
  machine_->submit(submission, now);
  carry_out();
  hand_.submit = nullptr;
}

// Inputs that are too large for a row go to the blob store first; then the submit goes on as if the
// client had put them there itself.
void Front::spill(ConnId conn, ReplyTo reply_to, const bus::Item& item) {
  struct Parcel {
    std::string header;
    std::string params;
    std::vector<std::string> blobs;
    std::vector<std::string> digests;  // of each blob; empty: it stays inline
    Instant intake;
  };
  auto parcel = std::make_shared<Parcel>();
  parcel->header = std::string(item.header);
  parcel->params = std::string(item.params);
  parcel->intake = hand_.intake;
  for (const auto& blob : item.blobs) parcel->blobs.emplace_back(blob.to_string_view());
  auto carried =
      carry(size_in_window(item), [this, conn, reply_to, parcel]() -> bus::Errands::Answer {
        std::optional<Error> error;
        for (const std::string& blob : parcel->blobs) {
          auto digest = blobs_->put(blob);
          if (!digest) {
            error = digest.error();
            break;
          }
          parcel->digests.push_back(std::move(*digest));
        }
        return [this, conn, reply_to, parcel, error] {
          if (error && error->code == Errc::corrupt) return stop_broken(blob_store, *error);
          if (error) return refuse_submit(reply_to, JobId(0), *error);
          auto stored = bus::read<bus::Submit>({bus::Verb::submit, parcel->header, {}, {}});
          TM_CHECK(stored.has_value());
          for (bus::FileRef& input : stored->inputs)
            if (input.digest.empty()) {
              const auto blob = static_cast<std::size_t>(input.blob);
              input.digest = parcel->digests[blob];
              input.bytes = static_cast<std::int64_t>(parcel->blobs[blob].size());
              input.blob = -1;
            }
          bus::Packer packer;
          if (auto added = packer.try_add(*stored, parcel->params); !added)
            return refuse_submit(reply_to, JobId(0), added.error());
          auto envelope = bus::Envelope::decode(packer.take());
          TM_CHECK(envelope.has_value());
          const bus::Item& whole = envelope->items().front();
          hand_.intake = parcel->intake;
          take_submit(conn, reply_to, *stored, whole.header, whole.params, {});
        };
      });
  if (!carried) refuse_submit(reply_to, JobId(0), carried.error());
}

Status Front::carry(Bytes size, bus::Errands::Errand errand) {
  const Error full{Errc::busy, "as many blobs wait as may wait", {}, milliseconds(50)};
  // One that is larger than the bound goes alone.
  if (unstored_ > Bytes(0) && unstored_ + size > limits::unstored_bytes)
    return std::unexpected(full);
  const bool taken =
      porters_->put([this, size, errand = std::move(errand)]() -> bus::Errands::Answer {
        return [this, size, answer = errand()] {
          unstored_ -= size;
          answer();
        };
      });
  if (!taken) return std::unexpected(full);
  unstored_ += size;
  return {};
}

bool Front::errand(bus::Errands& who, ConnId conn, std::int64_t request,
                   bus::Errands::Errand errand) {
  if (who.put(std::move(errand))) return true;
  desk_->fail(conn, request, JobId(0),
              {Errc::busy, "as many questions wait as may wait", {}, milliseconds(50)});
  return false;
}

// ---- watch ----

void Front::on_watch(ConnId conn, const bus::Item& item) {
  const auto watch = bus::read<bus::Watch>(item);
  if (!watch) return desk_->fail(conn, 0, JobId(0), watch.error());
  Conn& at = *desk_->find(conn);
  if (watch->ids.empty() && at.name.empty())
    return desk_->fail(conn, watch->request, JobId(0),
                       {Errc::bad_frame, "say hello before watching all of a client's jobs", "/t"});
  if (at.ids.size() + watch->ids.size() > limits::watched_jobs)
    return desk_->fail(conn, watch->request, JobId(0),
                       {Errc::too_big,
                        "this client watches as many single jobs as it may; watch all "
                        "of them instead",
                        "/ids"});
  at.watch = watch->request;
  for (const std::int64_t id : watch->ids) {
    // Of another one nothing is to come, unless it is asked for what came.
    if (watch->since < 0 && !may_end(JobId(id))) continue;
    at.ids.insert(id);
    desk_->watch_job(conn, JobId(id));
  }
  if (watch->ids.empty()) {
    at.watches_all = true;
    desk_->watch_client(conn, at.client);
  }
  reply_json(conn, watch->request, {{"seq", announced_}, {"ledger", opened_.ledger_id}});
  if (watch->since < 0) return;
  const bool foreign = !watch->ledger.empty() && watch->ledger != opened_.ledger_id;
  if (foreign || watch->since > announced_) {
    desk_->send(conn, bus::Gap{watch->request, foreign ? 0 : announced_ + 1, watch->since});
    return;
  }
  at.replaying = true;
  replay_ends(conn, watch->since);
}

bool Front::may_end(JobId job) const { return machine_->replaying() || machine_->is_live(job); }

// Reads ends back in pieces until the watcher has all that were announced; live ones wait for that.
// A piece is read when there is room for it on its way out.
void Front::replay_ends(ConnId conn, std::int64_t since) {
  Conn* at = desk_->find(conn);
  if (at == nullptr) return;
  if (since >= announced_) {
    at->replaying = false;
    return desk_->keep_watches(conn, [this](JobId job) { return may_end(job); });
  }
  const auto later = [this, conn, since] {
    loop_.once(limits::replay_again, [this, conn, since] { replay_ends(conn, since); });
  };
  if (!desk_->has_room(conn, limits::replay_piece_bytes)) return later();
  const bool taken = errands_->put([this, conn, client = at->watches_all ? at->name : "", since,
                                    until = announced_]() -> bus::Errands::Answer {
    auto page = std::make_shared<Result<EndsPage>>(
        reader_->ends_since(since, client, limits::replay_piece, limits::replay_piece_bytes));
    return [this, conn, since, until, page] { send_replayed(conn, since, until, *page); };
  });
  if (!taken) later();
}

void Front::send_replayed(ConnId conn, std::int64_t since, std::int64_t until,
                          const Result<EndsPage>& page) {
  Conn* watcher = desk_->find(conn);
  if (watcher == nullptr) return;
  if (!page) {
    watcher->replaying = false;
    return desk_->fail(conn, watcher->watch, JobId(0), page.error());
  }
  if (page->oldest > since) desk_->send(conn, bus::Gap{watcher->watch, since + 1, page->oldest});
  for (const JobEnd& end : page->ends) {
    const bool single = watcher->ids.erase(end.job.raw()) > 0;
    if (single || watcher->watches_all) {
      if (auto read = read_end(end, ended_); !read)
        log::error("an end cannot be read: " + read.error().message);
      else
        send_end(conn, end, ended_, Duration{});
    }
    if (single) desk_->unwatch_job(end.job);
  }
  replay_ends(conn, page->more ? page->reached : until);
}

void Front::send_end(ConnId conn, const JobEnd& end, const StoredEnd& stored, Duration whole) {
  bus::Event event;
  event.job = end.job.raw();
  event.seq = end.seq;
  event.what = name_of(end.state);
  event.fraction = end.state == EndState::done ? 1 : 0;
  event.code = end.code;
  event.message = end.message;
  event.field = end.field;
  event.attempts = end.attempts;
  event.whole_ns = whole.count();
  if (end.state == EndState::done) event.files = stored.done.files;
  if (desk_->send_end(conn, event, stored.result.params, stored.result.blobs)) return;
  // What a worker said does not fit: the end itself is told all the same.
  event.files.clear();
  event.field = {};
  event.message = "what its worker said does not fit into a message";
  TM_CHECK(desk_->send_end(conn, event, {}, {}));
}

// ---- questions ----

void Front::reply_json(ConnId conn, std::int64_t request, const json& value) {
  auto packed = bus::msgpack_of_json(value);
  if (!packed) return desk_->fail(conn, request, JobId(0), packed.error());
  if (!desk_->send(conn, bus::Reply{request, {}}, *packed))
    desk_->fail(conn, request, JobId(0),
                {Errc::too_big, "the answer is larger than a message may be: ask for less"});
}

void Front::on_ask(ConnId conn, const bus::Item& item) {
  const auto ask = bus::read<bus::Ask>(item);
  if (!ask) return desk_->fail(conn, 0, JobId(0), ask.error());
  switch (item.verb) {
    case bus::Verb::ping:
      return reply_json(conn, ask->request,
                        {{"epoch", opened_.epoch},
                         {"ledger", opened_.ledger_id},
                         {"head", announced_},
                         {"version", TALLYMILL_VERSION}});
    case bus::Verb::snapshot: {
      json snapshot = snapshot_json();
      if (ask->state == "prometheus") {
        measure();
        snapshot["prometheus"] = metrics::to_prometheus(registry_.snapshot());
      }
      return reply_json(conn, ask->request, snapshot);
    }
    case bus::Verb::workers:
      return reply_json(conn, ask->request, {{"schema", 1}, {"workers", stages_->workers_json()}});
    case bus::Verb::topology:
      return reply_json(conn, ask->request, topology_json());
    case bus::Verb::kinds:
      return reply_json(conn, ask->request, kinds_json());
    case bus::Verb::cancel:
      if (committer_->queued() > limits::commit_queue / 2)
        return desk_->fail(conn, ask->request, JobId(ask->job),
                           {Errc::busy, "the disk is behind", {}, milliseconds(50)});
      if (machine_->is_live(JobId(ask->job))) {
        machine_->cancel(desk_->ask(conn, ask->request), JobId(ask->job), clock_.now());
        return carry_out();
      }
      return ask_ledger(conn, item.verb, *ask);
    case bus::Verb::retry:
      return retry_job(conn, ask->request, JobId(ask->job));
    default:
      return ask_ledger(conn, item.verb, *ask);
  }
}

void Front::ask_ledger(ConnId conn, bus::Verb verb, const bus::Ask& ask) {
  const JobId job(ask.job);
  const std::int64_t request = ask.request;
  const auto no = [this, conn, request, job](const Error& error) -> bus::Errands::Answer {
    return [this, conn, request, job, error] { desk_->fail(conn, request, job, error); };
  };
  const auto status = [this](const JobRow& row) {
    return status_json(row, machine_->live_state(row.id), machine_->attempts(row.id));
  };
  switch (verb) {
    case bus::Verb::status:
    case bus::Verb::cancel:  // of a job that is not live: say what became of it
      (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
        auto row = reader_->status(job);
        if (!row) return no(row.error());
        return [=, this, row = std::move(*row)] {
          if (verb == bus::Verb::status) return reply_json(conn, request, status(row));
          desk_->fail(conn, request, job,
                      {Errc::wrong_state,
                       fmt::format("the job is {} already",
                                   row.end ? name_of(row.end->state) : "being accepted")});
        };
      });
      return;
    case bus::Verb::result:
      (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
        auto end = reader_->result(job);
        if (!end) return no(end.error());
        return [=, this, end = std::move(*end)] { send_result(conn, request, end); };
      });
      return;
    case bus::Verb::timeline:
      (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
        auto stored = reader_->timeline(job);
        if (!stored) return no(stored.error());
        auto timeline = timeline_json(*stored);
        if (!timeline) return no(timeline.error());
        return [=, this, timeline = std::move(*timeline)] { reply_json(conn, request, timeline); };
      });
      return;
    default: {
      const int limit = ask.limit <= 0 ? limits::jobs_page : std::min(ask.limit, limits::jobs_page);
      (void)errand(*errands_, conn, request,
                   [=, this, state = std::string(ask.state), kind = std::string(ask.kind),
                    before = JobId(ask.before)]() -> bus::Errands::Answer {
                     auto rows = reader_->jobs(state, kind, before, limit);
                     if (!rows) return no(rows.error());
                     return [=, this, rows = std::move(*rows)] {
                       json jobs = json::array();
                       for (JobRow row : rows) {
                         if (row.end) clean_text(row.end->message, limits::list_text_bytes);
                         if (row.end) clean_text(row.end->field, limits::list_text_bytes);
                         jobs.push_back(status(row));
                       }
                       reply_json(conn, request, {{"schema", 1}, {"jobs", std::move(jobs)}});
                     };
                   });
    }
  }
}

void Front::send_result(ConnId conn, std::int64_t request, const JobEnd& end) {
  StoredEnd stored;
  if (auto read = read_end(end, stored); !read)
    return desk_->fail(conn, request, end.job, read.error());
  if (end.state != EndState::done)
    return desk_->fail(conn, request, end.job,
                       {errc_named(end.code).value_or(Errc::stage_failed), end.message, end.field});
  if (!desk_->send(conn, bus::Reply{request, stored.done.files}, stored.result.params,
                   stored.result.blobs))
    desk_->fail(conn, request, end.job,
                {Errc::too_big, "what its worker said does not fit into a message"});
}

// A dead letter stays one: its retry is a new job with the same body.
void Front::retry_job(ConnId conn, std::int64_t request, JobId job) {
  (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
    auto row = reader_->status(job);
    auto body = reader_->body(job);
    return [=, this, row = std::move(row), body = std::move(body)] {
      if (!row) return desk_->fail(conn, request, job, row.error());
      if (!row->end || row->end->state == EndState::done)
        return desk_->fail(conn, request, job,
                           {Errc::wrong_state,
                            "only a job that failed, expired or was cancelled "
                            "can be retried"});
      if (!body) return desk_->fail(conn, request, job, body.error());
      const auto parts = read_body(body->body);
      if (!parts) return desk_->fail(conn, request, job, parts.error());
      auto submit = bus::read<bus::Submit>({bus::Verb::submit, parts->header, {}, {}});
      if (!submit) return desk_->fail(conn, request, job, submit.error());
      submit->request = request;
      submit->parent = job.raw();
      submit->key = {};
      submit->deadline_unix_ns = 0;
      submit->not_before_unix_ns = 0;
      std::vector<zmq::message_t> blobs;
      for (const std::string_view blob : parts->blobs) blobs.emplace_back(blob.data(), blob.size());
      bus::Packer packer;
      if (auto added = packer.try_add(*submit, parts->params); !added)
        return desk_->fail(conn, request, job, added.error());
      auto envelope = bus::Envelope::decode(packer.take());
      TM_CHECK(envelope.has_value());
      hand_.intake = clock_.now();
      take_submit(conn, desk_->ask(conn, request), *submit, envelope->items().front().header,
                  parts->params, blobs);
    };
  });
}

// ---- blobs ----

void Front::on_put(ConnId conn, const bus::Item& item) {
  const auto put = bus::read<bus::Put>(item);
  if (!put) return desk_->fail(conn, 0, JobId(0), put.error());
  if (put->bytes < 0 || put->offset < 0 || Bytes(put->bytes) > limits::max_job_bytes)
    return desk_->fail(conn, put->request, JobId(0),
                       {Errc::too_big, "a blob is larger than a job may be", "/b"});
  if (!item.blobs.empty() &&
      Bytes(static_cast<std::int64_t>(item.blobs[0].size())) > limits::piece_bytes)
    return desk_->fail(conn, put->request, JobId(0),
                       {Errc::too_big, "a blob is put in pieces of at most 1 MiB", "/o"});
  if (!has_room_for(Bytes(put->bytes))) return desk_->fail(conn, put->request, JobId(0), disk_low);
  std::string piece(item.blobs.empty() ? std::string_view{} : item.blobs[0].to_string_view());
  const Bytes size(static_cast<std::int64_t>(piece.size()));
  auto carried = carry(size,
                       [this, conn, request = put->request, digest = std::string(put->digest),
                        whole = Bytes(put->bytes), offset = Bytes(put->offset),
                        piece = std::move(piece)]() -> bus::Errands::Answer {
                         auto stored = blobs_->put_piece(digest, whole, offset, piece);
                         return [this, conn, request, stored = std::move(stored)] {
                           if (!stored && stored.error().code == Errc::corrupt)
                             return stop_broken(blob_store, stored.error());
                           if (!stored) return desk_->fail(conn, request, JobId(0), stored.error());
                           reply_json(conn, request, {{"stored", *stored}});
                         };
                       });
  if (!carried) desk_->fail(conn, put->request, JobId(0), carried.error());
}

void Front::on_get(ConnId conn, const bus::Item& item) {
  const auto get = bus::read<bus::Get>(item);
  if (!get) return desk_->fail(conn, 0, JobId(0), get.error());
  if (auto checked = store::check_digest(get->digest); !checked)
    return desk_->fail(conn, get->request, JobId(0), checked.error());
  (void)errand(
      *porters_, conn, get->request,
      [this, conn, request = get->request, digest = std::string(get->digest), offset = get->offset,
       length = get->length]() -> bus::Errands::Answer {
        auto mapped = blobs_->map(digest);
        return [=, this, mapped = std::move(mapped)] {
          if (!mapped) return desk_->fail(conn, request, JobId(0), mapped.error());
          const auto all = mapped->bytes();
          const auto begin = static_cast<std::size_t>(
              std::clamp<std::int64_t>(offset, 0, static_cast<std::int64_t>(all.size())));
          const auto most = static_cast<std::size_t>(std::clamp<std::int64_t>(
              length <= 0 ? limits::piece_bytes.raw() : length, 0, limits::piece_bytes.raw()));
          const auto piece = all.substr(begin, most);
          if (!desk_->has_room(conn, Bytes(static_cast<std::int64_t>(piece.size()))))
            return desk_->fail(
                conn, request, JobId(0),
                {Errc::busy, "answers to this client wait to be read", {}, milliseconds(50)});
          bus::Reply reply{request, {}};
          reply.files.push_back({"", "", digest, static_cast<std::int64_t>(all.size()), 0});
          TM_CHECK(desk_->send(conn, reply, {}, {{piece}}));
        };
      });
}

}  // namespace tallymill::front
