#include "front/gateway/gateway.h"

#include <utility>

#include "base/limits.h"
#include "base/log.h"

namespace tallymill::gateway {

Gateway::Gateway(GatewayOptions options, zmq::context_t& context)
    : options_(std::move(options)),
      context_(context),
      server_(routes(), options_.http, &registry_) {}

Gateway::~Gateway() { stop(); }

Status Gateway::open() {
  auto blobs = store::Blobs::open(options_.blobs, false);
  if (!blobs) return std::unexpected(std::move(blobs).error());
  blobs_ = std::move(*blobs);
  if (auto opened = server_.open(); !opened) return opened;
  lines_ = std::make_unique<Lines>(server_, context_, options_.front);
  auto questions = Line::open(server_, context_, options_.front, "gateway");
  if (!questions) return std::unexpected(std::move(questions).error());
  questions_ = std::move(*questions);
  waits_ = std::make_unique<Waits>(*questions_, server_);
  auto events = Line::open(server_, context_, options_.front, "gateway");
  if (!events) return std::unexpected(std::move(events).error());
  events_ = std::move(*events);
  feed_ = std::make_unique<Feed>(*events_, server_);
  wires_ = std::make_unique<Wires>(server_, context_, options_.front, probe_);
  feed_->on_end([this](std::int64_t job) { waits_->on_end(job); });
  porters_ = std::make_unique<bus::Errands>(server_, limits::errands, "uploads");
  return {};
}

void Gateway::start() {
  server_.post([this] {
    look_after();
    keep_streams_alive();
  });
  server_.start();
}

void Gateway::drain(std::function<void()> done) {
  server_.post([this] {
    questions_->read();
    events_->read();
    feed_->tell_all();
    wires_->move_all();
    waits_->give_up();
  });
  server_.drain(limits::http_drain, std::move(done));
}

void Gateway::stop() {
  server_.stop();
  porters_.reset();
}

void Gateway::look_after() {
  lines_->give_up_old();
  questions_->give_up(SystemClock().now() - limits::gateway_answer);
  events_->give_up(SystemClock().now() - limits::gateway_answer);
  feed_->forget(SystemClock().now() - limits::gateway_events_age);
  probe_.lines().set(static_cast<double>(lines_->size()));
  probe_.followers().set(static_cast<double>(feed_->followers()));
  probe_.feed_bytes().set(static_cast<double>(feed_->bytes().raw()));
  probe_.waits().set(static_cast<double>(waits_->size()));
  probe_.upload_pieces().set(static_cast<double>(porters_->waiting()));
  server_.once(std::chrono::seconds(1), [this] { look_after(); });
}

}  // namespace tallymill::gateway
