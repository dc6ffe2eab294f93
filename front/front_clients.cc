// What clients ask of the front, verb by verb. Submits, watches, lists and blobs: the files beside.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "bus/codec_json.h"
#include "front/front.h"

namespace tallymill::front {

using nlohmann::json;
using std::chrono::milliseconds;

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
    case bus::Verb::ends:
    case bus::Verb::waterfalls:
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

bool Front::errand(bus::Errands& who, ConnId conn, std::int64_t request,
                   bus::Errands::Errand errand) {
  if (who.put(std::move(errand))) return true;
  desk_->fail(conn, request, JobId(0),
              {Errc::busy, "as many questions wait as may wait", {}, milliseconds(50)});
  return false;
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
      } else if (ask->state == "openmetrics") {
        measure();
        snapshot["openmetrics"] = metrics::to_openmetrics(registry_.snapshot());
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
    case bus::Verb::jobs:
      return list_jobs(conn, *ask);
    case bus::Verb::ends:
      return list_ends(conn, *ask);
    case bus::Verb::waterfalls:
      return list_waterfalls(conn, *ask);
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
  switch (verb) {
    case bus::Verb::status:
    case bus::Verb::cancel:  // of a job that is not live: say what became of it
      (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
        auto row = reader_->status(job);
        if (!row) return no(row.error());
        return [=, this, row = std::move(*row)] {
          if (verb == bus::Verb::status) return reply_json(conn, request, status_json(row));
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
        return [=, this, stored = std::move(*stored)]() mutable {
          // The whole of a job that has just ended waits for a commit to ride on.
          for (const Whole& one : batch_.wholes)
            if (stored.job.end && stored.job.end->seq == one.seq) stored.whole = one.whole;
          const auto timeline = timeline_json(stored);
          if (!timeline) return desk_->fail(conn, request, job, timeline.error());
          reply_json(conn, request, *timeline);
        };
      });
      return;
    default:
      return;
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

}  // namespace tallymill::front
