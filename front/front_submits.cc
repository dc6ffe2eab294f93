// Submits: from what a client sent to what the machine is asked, and the answers of those refused.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/limits.h"
#include "base/sha256.h"
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

// What a submit takes of its connection's window: what the client gave, not how it was packed.
Bytes size_in_window(const bus::Item& item) {
  std::size_t size = item.params.size();
  for (const zmq::message_t& blob : item.blobs) size += blob.size();
  return Bytes(static_cast<std::int64_t>(size));
}
}  // namespace

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
  // Nothing of a submit that will be refused is stored; only one with a key may have been accepted
  // when its kind was still there, and that is found out later.
  if (large) {
    auto wrong = submit_refusal(*desk_->find(conn), submit_);
    if (!wrong) wrong = disk_refusal(size_in_window(item));
    if (!wrong && submit_.key.empty())
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
          if (error && error->code == Errc::corrupt) return stop_broken("the blob store", *error);
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

}  // namespace tallymill::front
