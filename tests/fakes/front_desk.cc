#include "tests/fakes/front_desk.h"

#include <algorithm>

#include "base/check.h"
#include "base/sha256.h"
#include "bus/client_state.h"
#include "bus/codec_json.h"

namespace tallymill::fakes {

using bus::Verb;
using nlohmann::json;

FrontDesk::FrontDesk(bus::Loop& loop, std::string endpoint)
    : loop_(loop), endpoint_(std::move(endpoint)) {
  start();
  loop_.at_turn_end([this, held = std::weak_ptr<int>(alive_)] {
    if (!held.expired()) flush();
  });
}

FrontDesk::~FrontDesk() { stop(); }

void FrontDesk::stop() {
  if (!router_) return;
  loop_.unwatch(*router_);
  router_.reset();
  peers_.clear();
  unanswered_.clear();
  partial_.clear();
}

void FrontDesk::start() {
  router_.emplace(context_, zmq::socket_type::router);
  router_->set(zmq::sockopt::linger, 0);
  router_->set(zmq::sockopt::sndhwm, 0);
  router_->set(zmq::sockopt::router_mandatory, true);
  // The port of a socket that was just closed is free once its I/O thread has let go of it.
  for (int i = 0;; ++i) {
    try {
      router_->bind(endpoint_);
      break;
    } catch (const zmq::error_t& e) {
      TM_CHECK(e.num() == EADDRINUSE && i < 1'000'000);
    }
  }
  endpoint_ = router_->get(zmq::sockopt::last_endpoint);
  ++epoch;
  loop_.watch(*router_, [this] { on_readable(); });
}

void FrontDesk::end(std::int64_t id, const std::string& state) {
  Job& job = jobs.at(id);
  if (job.end_seq != 0) return;
  job.state = state;
  job.end_seq = ++seq;
  for (auto& [name, peer] : peers_)
    if (peer.watches(job)) tell_end(peer, job);
  flush();
}

void FrontDesk::progress(std::int64_t id, double fraction) {
  for (auto& [name, peer] : peers_)
    if (peer.watches(jobs.at(id)))
      peer.out.add(bus::Event{.job = id, .seq = seq, .what = "progress", .fraction = fraction});
  flush();
}

void FrontDesk::on_readable() {
  bus::Frames frames;
  bus::Route route;
  while (router_ && bus::receive(*router_, route, frames)) {
    ++envelopes;
    Peer& peer = peers_[route.peer];
    peer.route = route;
    const auto envelope = bus::Envelope::decode(std::move(frames));
    TM_CHECK(envelope.has_value());
    for (const bus::Item& item : envelope->items()) {
      ++asked[item.verb];
      if (!silent) take(peer, item);
    }
  }
}

void FrontDesk::flush() {
  for (auto& [name, peer] : peers_)
    if (!peer.out.empty()) (void)bus::send(*router_, peer.route, peer.out.take());
}

void FrontDesk::take(Peer& peer, const bus::Item& item) {
  if (peer.out.full()) flush();
  switch (item.verb) {
    case Verb::hello: {
      const auto hello = bus::read<bus::Hello>(item);
      peer.client = hello->client;
      names.insert(peer.client);
      peer.out.add(bus::Welcome{.request = hello->request,
                                .epoch = epoch,
                                .ledger = ledger,
                                .head = seq,
                                .window_jobs = window_jobs,
                                .blobs = blobs_folder,
                                .version = "fake"});
      return;
    }
    case Verb::submit:
      return take_submit(peer, item);
    case Verb::watch:
      return take_watch(peer, item);
    case Verb::put:
      return take_put(peer, item);
    case Verb::get:
      return take_get(peer, item);
    default:
      return take_ask(peer, item);
  }
}

void FrontDesk::take_submit(Peer& peer, const bus::Item& item) {
  const auto m = bus::read<bus::Submit>(item);
  TM_CHECK(m.has_value());
  Job job{.client = peer.client,
          .kind = std::string(m->kind),
          .key = std::string(m->key),
          .params = std::string(item.params),
          .priority = m->priority};
  for (const bus::FileRef& file : m->inputs) {
    if (file.digest.empty()) {
      const zmq::message_t& blob = item.blobs[static_cast<std::size_t>(file.blob)];
      job.inputs.emplace_back(file.name, blob.to_string());
    } else if (const auto blob = blobs.find(std::string(file.digest)); blob != blobs.end()) {
      job.inputs.emplace_back(file.name, blob->second);
    } else {
      return refuse_with(peer, m->request, {Errc::not_found, "no such blob", "/inputs/0"});
    }
  }
  if (refuse)
    if (auto error = refuse(job)) return refuse_with(peer, m->request, *error);
  const auto [same, fresh] = job.key.empty() ? std::pair{keys_.end(), true}
                                             : keys_.try_emplace({job.client, job.key}, seq + 1);
  const bool known = !fresh;
  if (fresh) job.id = ++seq;
  const std::int64_t id = known ? same->second : job.id;
  if (fresh) jobs.emplace(id, std::move(job));
  ++jobs.at(id).submits;
  if (lose_answers) return;
  unanswered_.push_back({peer.route.peer, m->request, id, known});
  most_unanswered = std::max(most_unanswered, unanswered_.size());
  if (!answer_later) answer_submits();
  if (end_at_once && !known) end(id);
}

void FrontDesk::answer_submits() {
  for (const Unanswered& u : std::exchange(unanswered_, {})) {
    const auto peer = peers_.find(u.peer);
    if (peer == peers_.end()) continue;
    if (peer->second.out.full()) flush();
    peer->second.out.add(
        bus::Accepted{.request = u.request,
                      .job = u.job,
                      .seq = u.job,
                      .known = u.known,
                      .state = u.known ? jobs.at(u.job).state : std::string_view()});
  }
}

void FrontDesk::take_watch(Peer& peer, const bus::Item& item) {
  const auto m = bus::read<bus::Watch>(item);
  if (m->ids.empty()) peer.all = true;
  peer.ids.insert(m->ids.begin(), m->ids.end());
  if (m->since < 0) return;
  if (m->ledger != ledger || m->since < oldest || m->since > seq) {
    const bool beyond = m->since > seq;
    peer.out.add(bus::Gap{.request = m->request,
                          .from = beyond ? seq + 1 : m->since + 1,
                          .to = beyond ? m->since : oldest});
    return;
  }
  std::vector<const Job*> missed;
  for (const auto& [id, job] : jobs)
    if (job.end_seq > m->since && peer.watches(job)) missed.push_back(&job);
  std::ranges::sort(missed, {}, &Job::end_seq);
  for (const Job* job : missed) tell_end(peer, *job);
}

bool FrontDesk::is_busy(std::int64_t offset) {
  if (offset == 0 || busy_blobs == 0) return false;
  --busy_blobs;
  return true;
}

void FrontDesk::take_put(Peer& peer, const bus::Item& item) {
  const auto m = bus::read<bus::Put>(item);
  if (is_busy(m->offset))
    return refuse_with(peer, m->request, {Errc::busy, "full", {}, std::chrono::milliseconds(1)});
  const std::string digest(m->digest);
  if (asked[bus::Verb::put] == forget_at_put) partial_.clear();
  std::string& bytes = partial_[digest];
  if (m->offset == 0) bytes.clear();
  if (m->offset != static_cast<std::int64_t>(bytes.size()))
    return refuse_with(peer, m->request, {Errc::wrong_state, "another offset is next"});
  bytes += item.blobs[0].to_string();
  const bool whole = static_cast<std::int64_t>(bytes.size()) == m->bytes;
  if (whole) {
    TM_CHECK(sha256_hex(bytes) == digest);
    blobs[digest] = bytes;
    partial_.erase(digest);
  }
  reply(peer, m->request, {{"stored", whole}});
}

void FrontDesk::take_get(Peer& peer, const bus::Item& item) {
  const auto m = bus::read<bus::Get>(item);
  const auto blob = blobs.find(std::string(m->digest));
  if (blob == blobs.end()) return refuse_with(peer, m->request, {Errc::not_found, "no such blob"});
  if (is_busy(m->offset))
    return refuse_with(peer, m->request, {Errc::busy, "full", {}, std::chrono::milliseconds(1)});
  const std::string piece =
      blob->second.substr(static_cast<std::size_t>(m->offset), static_cast<std::size_t>(m->length));
  bus::Reply answer{.request = m->request};
  answer.files.push_back({.name = "piece",
                          .digest = m->digest,
                          .bytes = static_cast<std::int64_t>(blob->second.size()),
                          .blob = 0});
  peer.out.add(answer);
  peer.out.add_blob(zmq::message_t(piece.data(), piece.size()));
}

void FrontDesk::take_ask(Peer& peer, const bus::Item& item) {
  const auto m = bus::read<bus::Ask>(item);
  if (const auto answer = replies.find(item.verb); answer != replies.end())
    return reply(peer, m->request, answer->second);
  if (item.verb == Verb::ping) return reply(peer, m->request, json::object());
  const auto job = jobs.find(m->job);
  if (job == jobs.end())
    return refuse_with(peer, m->request, {Errc::not_found, "no such job", "/id"});
  if (item.verb == Verb::result) {
    if (job->second.state != "done")
      return refuse_with(peer, m->request, {Errc::wrong_state, "not ended"});
    bus::Reply answer{.request = m->request};
    add_refs(answer.files);
    peer.out.add(answer, *bus::msgpack_of_json(result_values));
    return add_blobs(peer);
  }
  if (item.verb == Verb::cancel) {
    end(job->first, "cancelled");
    return reply(peer, m->request, {{"state", "cancelled"}});
  }
  if (item.verb == Verb::retry) {
    Job again = job->second;
    again.id = ++seq;
    again.end_seq = 0;
    jobs.emplace(again.id, again);
    if (lose_answers) return;
    peer.out.add(bus::Accepted{.request = m->request, .job = again.id, .seq = seq});
    return;
  }
  reply(peer, m->request, {{"job", job->first}, {"state", job->second.state}, {"attempts", 1}});
}

void FrontDesk::reply(Peer& peer, std::int64_t request, const json& answer) {
  peer.out.add(bus::Reply{.request = request}, *bus::msgpack_of_json(answer));
}

void FrontDesk::refuse_with(Peer& peer, std::int64_t request, const Error& error) {
  peer.out.add(bus::Failure{.request = request,
                            .code = info(error.code).name,
                            .message = error.message,
                            .field = error.field,
                            .retry_after_ms = error.retry_after.count()});
}

void FrontDesk::tell_end(Peer& peer, const Job& job) {
  if (peer.out.full()) flush();
  bus::Event event{.job = job.id, .seq = job.end_seq, .what = job.state, .attempts = 1};
  if (job.state == "failed") {
    event.code = "E_STAGE";
    event.message = "planted";
  }
  if (job.state == "done") add_refs(event.files);
  peer.out.add(event, *bus::msgpack_of_json(result_values));
  if (job.state == "done") add_blobs(peer);
}

void FrontDesk::add_refs(std::vector<bus::FileRef>& refs) {
  std::int32_t blob = 0;
  for (const File& file : result_files) {
    bus::FileRef& ref = refs.emplace_back();
    ref.name = file.name;
    ref.bytes = static_cast<std::int64_t>(file.bytes.size());
    if (file.inline_bytes) {
      ref.blob = blob++;
      continue;
    }
    const auto stored = blobs.emplace(sha256_hex(file.bytes), file.bytes).first;
    ref.digest = stored->first;
  }
}

void FrontDesk::add_blobs(Peer& peer) {
  for (const File& file : result_files)
    if (file.inline_bytes) peer.out.add_blob(zmq::message_t(file.bytes.data(), file.bytes.size()));
}

}  // namespace tallymill::fakes
