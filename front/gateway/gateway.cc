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
  auto events = Line::open(server_, context_, options_.front, "gateway");
  if (!events) return std::unexpected(std::move(events).error());
  events_ = std::move(*events);
  feed_ = std::make_unique<Feed>(*events_, server_);
  wires_ = std::make_unique<Wires>(server_, context_, options_.front, registry_);
  questions_->on_event([this](const bus::Item& item) { on_event(item); });
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

void Gateway::drain() { server_.drain(limits::http_drain); }

void Gateway::stop() {
  server_.stop();
  porters_.reset();
}

void Gateway::look_after() {
  lines_->give_up_old();
  questions_->give_up(SystemClock().now() - limits::gateway_answer);
  events_->give_up(SystemClock().now() - limits::gateway_answer);
  server_.once(std::chrono::seconds(1), [this] { look_after(); });
}

}  // namespace tallymill::gateway
