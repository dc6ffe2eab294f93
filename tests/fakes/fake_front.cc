#include "tests/fakes/fake_front.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include "base/check.h"
#include "base/clock.h"
#include "bus/codec_json.h"
#include "bus/frames.h"

namespace tallymill::fakes {

using nlohmann::json;

std::int64_t monotonic_ns() { return to_ns(SystemClock().now()); }

TempFolder::TempFolder() {
  std::string wanted = (std::filesystem::temp_directory_path() / "tm-XXXXXX").string();
  TM_CHECK(mkdtemp(wanted.data()) != nullptr);
  path_ = wanted;
}
TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void FakeFront::open() {
  control_ = zmq::socket_t(context_, zmq::socket_type::router);
  control_.set(zmq::sockopt::linger, 0);
  control_.set(zmq::sockopt::router_handover, true);
  control_.bind(control());
  results_ = zmq::socket_t(context_, zmq::socket_type::pull);
  results_.set(zmq::sockopt::linger, 0);
  results_.bind(results());
}

void FakeFront::restart() {
  control_.close();
  results_.close();
  if (lane_) lane_.close();
  lane_endpoint_.clear();
  ++epoch;
  number_ = 0;
  open();
}

bool FakeFront::wait(const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    pump();
  }
  return true;
}

void FakeFront::pump() {
  std::array<zmq::pollitem_t, 2> items{
      {{control_.handle(), 0, ZMQ_POLLIN, 0}, {results_.handle(), 0, ZMQ_POLLIN, 0}}};
  (void)zmq::poll(items, std::chrono::milliseconds(5));
  bus::Frames frames;
  bus::Route from;
  while (bus::receive(control_, from, frames)) {
    const auto envelope = bus::Envelope::decode(std::move(frames));
    TM_CHECK(envelope.has_value());
    for (const bus::Item& item : envelope->items()) on_control(from.peer, item);
  }
  while (bus::receive(results_, frames)) {
    ++result_messages;
    const auto envelope = bus::Envelope::decode(std::move(frames));
    TM_CHECK(envelope.has_value());
    for (const bus::Item& item : envelope->items()) on_done(item, false);
  }
}

void FakeFront::on_control(const std::string& peer, const bus::Item& item) {
  const json params = bus::json_of_msgpack(item.params).value();
  switch (item.verb) {
    case bus::Verb::worker_hello: {
      const auto m = bus::read<bus::WorkerHello>(item).value();
      hellos.push_back({peer, std::string(m.incarnation), std::string(m.stage),
                        std::string(m.endpoint), m.lane, m.limit_jobs, m.concurrency,
                        params.at("held"), params.at("kinds")});
      if (answers_hello) welcome();
      return;
    }
    case bus::Verb::beat: {
      const auto m = bus::read<bus::Beat>(item).value();
      beats.push_back({peer, params.at("held"), m.missing, m.busy_ratio, m.draining});
      return tell(bus::Tell{.echo_ns = m.sent_ns, .front_ns = monotonic_ns()});
    }
    case bus::Verb::hop_event: {
      const auto m = bus::read<bus::HopEvent>(item).value();
      events.push_back({m.token, std::string(m.what), std::string(m.reason), m.at_ns});
      return;
    }
    case bus::Verb::live: {
      const auto m = bus::read<bus::Live>(item).value();
      lives.push_back({m.token, m.fraction, item.blobs.empty() ? "" : item.blobs[0].to_string()});
      return;
    }
    case bus::Verb::done:
      return on_done(item, true);
    default:
      TM_CHECK(false);
  }
}

void FakeFront::on_done(const bus::Item& item, bool on_control) {
  const auto m = bus::read<bus::Done>(item).value();
  SeenDone seen{m.token,
                std::string(m.worker),
                std::string(m.outcome),
                std::string(m.code),
                std::string(m.message),
                std::string(m.field),
                m.retry,
                {},
                {},
                bus::json_of_msgpack(item.params).value(),
                on_control};
  for (const bus::Hop& hop : m.hops) {
    SeenHop copy{std::string(hop.stage), std::string(hop.worker), hop.sent_ns,   hop.received_ns,
                 hop.started_ns,         hop.finished_ns,         hop.handed_ns, {}};
    for (const bus::SpanStamp& span : hop.spans)
      copy.spans.push_back({std::string(span.name), span.begin_ns, span.end_ns, span.depth});
    seen.hops.push_back(std::move(copy));
  }
  for (const bus::FileRef& file : m.files)
    seen.files.push_back(
        {std::string(file.name), std::string(file.media_type), std::string(file.digest),
         file.blob >= 0 ? item.blobs[static_cast<std::size_t>(file.blob)].to_string() : "",
         file.bytes});
  all_done.push_back(std::move(seen));
}

void FakeFront::send(std::vector<bus::Work> works, const std::vector<json>& params,
                     const std::vector<std::string>& inline_inputs) {
  TM_CHECK(!hellos.empty());
  if (lane_endpoint_ != hello().endpoint) {
    if (lane_) lane_.close();
    lane_ = zmq::socket_t(context_, zmq::socket_type::push);
    lane_.set(zmq::sockopt::linger, 0);
    lane_endpoint_ = hello().endpoint;
    lane_.connect(lane_endpoint_);
    number_ = 0;
  }
  bus::Packer packer;
  for (std::size_t i = 0; i < works.size(); ++i) {
    bus::Work& work = works[i];
    work.from = "front";
    work.number = ++number_;
    if (work.hops.empty())
      work.hops.push_back({.stage = "compute", .worker = "?", .sent_ns = monotonic_ns()});
    if (work.route.empty()) work.route.push_back({hello().stage, hello().incarnation, {}});
    for (std::size_t b = 0; b < inline_inputs.size(); ++b)
      work.inputs.push_back({"input",
                             "application/octet-stream",
                             {},
                             static_cast<std::int64_t>(inline_inputs[b].size()),
                             static_cast<std::int32_t>(b)});
    packer.add(work, bus::msgpack_of_json(i < params.size() ? params[i] : json::object()).value());
    for (const std::string& bytes : inline_inputs)
      packer.add_blob(zmq::message_t(bytes.data(), bytes.size()));
  }
  TM_CHECK(bus::send(lane_, packer.take()).has_value());
}

void FakeFront::post(bus::Packer& packer) {
  (void)bus::send(control_, bus::Route{hello().peer, false}, packer.take());
}

void FakeFront::tell(const bus::Tell& message) {
  bus::Packer packer;
  packer.add(message);
  post(packer);
}

void FakeFront::tell(const bus::Token& token, std::string_view what) {
  tell(bus::Tell{.verdicts = {{token, what}}});
}

void FakeFront::lanes(const std::vector<bus::LaneRef>& lanes) {
  bus::Packer packer;
  packer.add(bus::Lanes{.lanes = lanes});
  post(packer);
}

void FakeFront::welcome() {
  bus::Packer packer;
  packer.add(bus::WorkerWelcome{
      .epoch = epoch, .heartbeat_ms = heartbeat_ms, .blobs = blobs, .store = store, .jobs = jobs});
  post(packer);
}

const SeenDone* FakeFront::done(const bus::Token& token) const {
  const auto found = std::ranges::find(all_done, token, &SeenDone::token);
  return found == all_done.end() ? nullptr : &*found;
}

int FakeFront::dones(const bus::Token& token) const {
  return static_cast<int>(std::ranges::count(all_done, token, &SeenDone::token));
}

const SeenEvent* FakeFront::event(const bus::Token& token, std::string_view what) const {
  for (const SeenEvent& event : events)
    if (event.token == token && event.what == what) return &event;
  return nullptr;
}

bool FakeFront::listed(const bus::Token& token, int phase) const {
  if (beats.empty()) return false;
  const json wanted = {token.job, token.epoch, token.attempt, phase};
  return std::ranges::find(beats.back().held, wanted) != beats.back().held.end();
}

}  // namespace tallymill::fakes
