#include "stages/egress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "bus/frames.h"
#include "stages/carried_params.h"
#include "stages/share.h"

namespace tallymill::stages {

namespace {

zmq::message_t message_of(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

std::vector<bus::FileRef> refs_of(const std::vector<OutFile>& files, std::int32_t first_blob) {
  std::vector<bus::FileRef> refs;
  refs.reserve(files.size());
  for (const OutFile& file : files) {
    const bool by_digest = !file.digest.empty();
    refs.push_back(
        {file.name, file.media_type, file.digest, file.size, by_digest ? -1 : first_blob});
    if (!by_digest) ++first_blob;
  }
  return refs;
}

std::string_view word(Outcome::What what) {
  switch (what) {
    case Outcome::What::ok:
      return "ok";
    case Outcome::What::error:
      return "error";
    case Outcome::What::stopped:
      return "stopped";
  }
  std::unreachable();
}

const bus::LaneRef* next_hop(const bus::Work& work) {
  const auto next = static_cast<std::size_t>(work.hop) + 1;
  return work.hop >= 0 && next < work.route.size() ? &work.route[next] : nullptr;
}

}  // namespace

void Egress::set_lanes(const LaneSet& lanes) {
  for (auto it = ways_.begin(); it != ways_.end();) {
    const bool named =
        std::ranges::any_of(lanes, [&](const NextLane& l) { return l.endpoint == it->first; });
    if (!named && !it->second.gathered.empty()) flush();
    it = named ? std::next(it) : ways_.erase(it);
  }
  std::vector<bus::Lane*> connecting;
  bool warned = false;
  for (const NextLane& next : lanes) {
    if (ways_.contains(next.endpoint)) continue;
    auto lane = bus::Lane::connect(shared_.zmq, {next.worker, 1, next.endpoint}, shared_.insecure);
    Way& way = ways_[next.endpoint];
    if (!lane) {
      // Without sockets left it is all the others too.
      if (!std::exchange(warned, true))
        log::warn(fmt::format("lane to {}: {}", next.worker, lane.error().message));
      continue;
    }
    way.lane = std::move(*lane);
    connecting.push_back(way.lane.get());
  }
  const Instant until = shared_.clock.now() + limits::lane_connect;
  for (bus::Lane* lane : connecting) {
    while (lane->update() == bus::Lane::State::connecting) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - shared_.clock.now()).count();
      if (left <= 0) break;
      zmq_pollitem_t item{lane->events().handle(), 0, ZMQ_POLLIN, 0};
      (void)zmq_poll(&item, 1, left);
    }
  }
}

Egress::Way* Egress::usable(std::string_view endpoint) {
  const auto found = ways_.find(endpoint);
  if (found == ways_.end() || !found->second.lane) return nullptr;
  Way& way = found->second;
  return way.lane->update() == bus::Lane::State::open ? &way : nullptr;
}

void Egress::add(Outcome&& outcome) {
  if (outcome.job->stop.load(std::memory_order_relaxed) == Stop::voided) return;
  const Instant now =
      instant_from_ns(outcome.finished_ns != 0 ? outcome.finished_ns : to_ns(shared_.clock.now()));
  if (gathered_++ == 0) oldest_ = now;
  const bus::LaneRef* const next =
      outcome.what == Outcome::What::ok ? next_hop(outcome.job->work) : nullptr;
  if (next == nullptr) {
    to_front_.push_back(std::move(outcome));
    return;
  }
  if (Way* way = usable(next->endpoint)) {
    way->gathered.push_back(std::move(outcome));
  } else {
    --gathered_;
    hand_back(*outcome.job, now);
  }
}

bool Egress::due(Duration expected) const {
  if (gathered_ == 0) return false;
  if (gathered_ >= limits::results_per_flush || expected >= limits::result_age) return true;
  return shared_.clock.now() + expected - oldest_ >= limits::result_age;
}

void Egress::flush() {
  if (gathered_ == 0) return;
  const Instant now = shared_.clock.now();
  flush_results(now);
  for (auto& [endpoint, way] : ways_)
    if (!way.gathered.empty()) flush_way(way, now);
  if (!to_front_.empty()) flush_results(now);  // what did not fit into a message
  gathered_ = 0;
}

std::vector<bus::Hop> Egress::hops_of(Outcome& outcome, Instant handed) const {
  HeldJob& job = *outcome.job;
  std::vector<bus::Hop> hops = job.work.hops;
  if (hops.size() <= static_cast<std::size_t>(job.work.hop)) hops.emplace_back();
  bus::Hop& hop = hops.back();
  const ClockOffset& offset = shared_.offset;
  hop.stage = shared_.stage;
  hop.worker = shared_.incarnation;
  hop.received_ns = offset.to_front(to_ns(job.received));
  hop.started_ns = offset.to_front(outcome.started_ns);
  hop.finished_ns = offset.to_front(outcome.finished_ns);
  hop.handed_ns = offset.to_front(to_ns(handed));
  hop.clock_error_ns = offset.error_ns();
  hop.spans.reserve(outcome.spans.size());
  for (const SpanRecord& span : outcome.spans)
    hop.spans.push_back(
        {span.name, offset.to_front(span.begin_ns), offset.to_front(span.end_ns), span.depth});
  return hops;
}

void Egress::flush_results(Instant now) {
  std::vector<HeldPtr> packed;
  for (Outcome& outcome : to_front_) {
    clean_text(outcome.error.message, limits::error_text_bytes);
    clean_text(outcome.error.field, limits::error_text_bytes);
    bus::Done done{.token = outcome.job->token,
                   .worker = shared_.incarnation,
                   .outcome = word(outcome.what),
                   .hops = hops_of(outcome, now),
                   .files = refs_of(outcome.files, 0)};
    if (outcome.what != Outcome::What::ok) {
      done.code = info(outcome.error.code).name;
      done.message = outcome.error.message;
      done.field = outcome.error.field;
      done.retry = outcome.what == Outcome::What::error && info(outcome.error.code).retry;
    }
    if (!packer_.try_add(done, outcome.values)) {
      // Names or spans of the handler that no message holds: the job still has to end.
      done.outcome = "error";
      done.code = info(Errc::too_big).name;
      done.message = "the result's names do not fit into a message";
      done.files.clear();
      done.hops.back().spans.clear();
      outcome.files.clear();
      packer_.add(done);
    }
    for (const OutFile& file : outcome.files)
      if (file.digest.empty()) packer_.add_blob(message_of(file.bytes));
    packed.push_back(std::move(outcome.job));
    if (packer_.full() || packed.size() >= limits::results_per_flush) {
      send_results(packed, now);
      packed.clear();
    }
  }
  if (!packed.empty()) send_results(packed, now);
  to_front_.clear();
}

void Egress::send_results(std::span<const HeldPtr> jobs, Instant now) {
  auto sent = std::make_shared<Sent>();
  bus::Frames frames = packer_.take();
  sent->frames.reserve(frames.size());
  for (const zmq::message_t& frame : frames) sent->frames.push_back(share(frame));
  shared_.desk.retain(jobs, sent, now);
  for (const HeldPtr& job : jobs) job->envelope.reset();
  if (bus::send(results_, std::move(frames))) return;
  shared_.desk.not_sent(jobs);
  shared_.tell({Notice::What::unsent, {}, {}, 0, {}}, probe_);
  probe_.not_sent(jobs.size());
}

void Egress::flush_way(Way& way, Instant now) {
  std::vector<bus::Token> packed;
  for (Outcome& outcome : way.gathered) {
    if (!pack_next(way, outcome, now)) {
      to_front_.push_back(std::move(outcome));
      continue;
    }
    packed.push_back(outcome.job->token);
    if (packer_.full()) send_on(way, packed, now);
  }
  way.gathered.clear();
  if (!packed.empty()) send_on(way, packed, now);
}

void Egress::send_on(Way& way, std::vector<bus::Token>& packed, Instant now) {
  bus::Frames frames = packer_.take();
  const bool sent =
      way.lane->update() == bus::Lane::State::open && way.lane->send(std::move(frames)).has_value();
  const std::int64_t at_ns = shared_.offset.to_front(to_ns(now));
  for (const bus::Token& token : packed) {
    shared_.desk.gone(token);
    if (sent) {
      shared_.tell({Notice::What::finished, token, {}, at_ns, {}}, probe_);
      probe_.handed_on();
    } else {
      shared_.tell({Notice::What::back, token, "lane_gone", at_ns, {}}, probe_);
      probe_.lane_gone();
    }
  }
  packed.clear();
}

bool Egress::pack_next(Way& way, Outcome& outcome, Instant now) {
  HeldJob& job = *outcome.job;
  bus::Work work = job.work;
  work.hops = hops_of(outcome, now);
  work.hop += 1;
  const bus::LaneRef& to = work.route[static_cast<std::size_t>(work.hop)];
  const std::int64_t handed_ns = work.hops.back().handed_ns;
  work.hops.push_back({.stage = to.stage, .worker = to.worker, .sent_ns = handed_ns});
  work.from = shared_.incarnation;

  // Inline inputs keep their frames; what this hop made comes after them.
  std::vector<zmq::message_t> blobs;
  for (bus::FileRef& input : work.inputs) {
    if (input.blob < 0) continue;
    blobs.push_back(share(job.item.blobs[static_cast<std::size_t>(input.blob)]));
    input.blob = static_cast<std::int32_t>(blobs.size()) - 1;
  }
  work.carried = refs_of(outcome.files, static_cast<std::int32_t>(blobs.size()));
  for (const OutFile& file : outcome.files)
    if (file.digest.empty()) blobs.push_back(message_of(file.bytes));

  std::string_view params = job.item.params;
  if (work.hop > 1)
    if (const auto parts = split_params(params)) params = parts->params;
  // The number is taken once it is sure that the job goes.
  work.number = way.lane->numbered() + 1;
  if (blobs.size() > limits::item_blobs ||
      !packer_.try_add(work, join_params({params, outcome.values}))) {
    outcome.what = Outcome::What::error;
    outcome.error = {Errc::too_big, "what this hop made does not fit into a message", {}, {}};
    outcome.values.clear();
    outcome.files.clear();
    outcome.spans.clear();
    return false;
  }
  (void)way.lane->take_number();
  for (zmq::message_t& blob : blobs) packer_.add_blob(std::move(blob));
  return true;
}

void Egress::hand_back(const HeldJob& job, Instant now) {
  shared_.desk.gone(job.token);
  shared_.tell(
      {Notice::What::back, job.token, "lane_gone", shared_.offset.to_front(to_ns(now)), {}},
      probe_);
  probe_.lane_gone();
}

}  // namespace tallymill::stages
