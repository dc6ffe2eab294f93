#include "stages/lane_in.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "bus/endpoints.h"
#include "bus/frames.h"

namespace tallymill::stages {

namespace {

std::size_t bytes_of(const bus::Item& item) {
  std::size_t bytes = item.header.size() + item.params.size();
  for (const zmq::message_t& blob : item.blobs) bytes += blob.size();
  return bytes;
}

}  // namespace

LaneIn::LaneIn(Shared& shared, bus::Loop& loop, std::string base, bool insecure, OnJobs on_jobs)
    : shared_(shared),
      loop_(loop),
      base_(std::move(base)),
      insecure_(insecure),
      on_jobs_(std::move(on_jobs)) {}

LaneIn::~LaneIn() { close(); }

Status LaneIn::bind_next() {
  const std::int32_t number = number_ + 1;
  auto lane = std::make_unique<Lane>();
  auto socket = bus::open_socket(shared_.zmq, bus::Role::lane_in,
                                 bus::lane_endpoint(base_, shared_.incarnation, number),
                                 {.insecure = insecure_});
  if (!socket) return std::unexpected(std::move(socket).error().in("bind a lane"));
  lane->socket = std::move(*socket);
  lane->endpoint = bus::bound_endpoint(lane->socket);
  number_ = number;
  Lane& placed = *lanes_.emplace_back(std::move(lane));
  loop_.watch(placed.socket, [this, &placed] { receive(placed); });
  if (lanes_.size() > 1) loop_.once(limits::lane_grace, [this] { retire_old(); });
  return {};
}

void LaneIn::retire_old() {
  if (lanes_.size() < 2) return;
  receive(*lanes_.front());
  close(*lanes_.front());
  lanes_.erase(lanes_.begin());
}

void LaneIn::close() {
  for (const auto& lane : lanes_) close(*lane);
  lanes_.clear();
}

void LaneIn::close(Lane& lane) {
  loop_.unwatch(lane.socket);
  lane.socket.close();
  // libzmq leaves the file of an ipc socket behind.
  if (constexpr std::string_view ipc = "ipc://"; lane.endpoint.starts_with(ipc))
    ::unlink(lane.endpoint.substr(ipc.size()).c_str());
}

void LaneIn::drain() {
  for (const auto& lane : lanes_) receive(*lane);
}

void LaneIn::receive(Lane& lane) {
  for (int i = 0; i < limits::messages_per_turn; ++i) {
    bus::Frames frames;
    if (!bus::receive(lane.socket, frames)) break;
    take_message(lane, std::move(frames));
  }
  if (came_.empty()) return;
  on_jobs_(came_);
  came_.clear();
}

void LaneIn::take_message(Lane& lane, bus::Frames&& untrusted) {
  const Instant now = shared_.clock.now();
  auto decoded = bus::Envelope::decode(std::move(untrusted));
  if (!decoded) {
    shared_.probe.bad_message();
    return;
  }
  const auto envelope = std::make_shared<const bus::Envelope>(std::move(*decoded));
  for (const bus::Item& item : envelope->items()) {
    auto job = std::make_shared<HeldJob>();
    if (item.verb != bus::Verb::work || !bus::read_into(item, job->work) || job->work.hop < 0) {
      shared_.probe.bad_message();
      continue;
    }
    count_number(lane, job->work);
    job->token = job->work.token;
    job->item = item;
    job->envelope = envelope;
    job->received = now;
    job->bytes = bytes_of(item);
    came_.push_back(std::move(job));
  }
}

void LaneIn::count_number(Lane& lane, const bus::Work& work) {
  if (work.number <= 0) return;
  auto found = lane.sources.find(work.from);
  if (found == lane.sources.end()) {
    if (lane.sources.size() >= limits::lane_sources) return;
    found = lane.sources.emplace(work.from, Source{}).first;
  }
  Source& source = found->second;
  if (work.from == "front" && work.token.epoch > source.epoch) source = {work.token.epoch, 0};
  if (work.number > source.last + 1) {
    missing_ += work.number - source.last - 1;
    shared_.probe.missing(static_cast<std::uint64_t>(work.number - source.last - 1));
  }
  source.last = std::max(source.last, work.number);
}

}  // namespace tallymill::stages
