#include "collector/collector.h"

#include <utility>

#include "base/limits.h"
#include "collector/store_probe.h"

namespace tallymill::collector {
namespace {

http::Response text(std::string said) {
  return {.status = 200, .type = "text/plain; charset=utf-8", .body = std::move(said)};
}

}  // namespace

Collector::Collector(CollectorOptions options) : options_(std::move(options)) {}
Collector::~Collector() { stop(); }

Status Collector::open() {
  auto store = Store::open(options_.folder, options_.store);
  if (!store) return std::unexpected(std::move(store).error());
  store_ = std::move(*store);
  api_ = std::make_unique<Api>(*store_);
  writes_ = std::make_unique<WriteDoor>(*store_, registry_);
  watch_ = std::make_unique<Watch>(*store_, registry_, options_.folder, options_.leak_window);
  http::Router router;
  api_->add_routes(router);
  writes_->add_routes(router);
  add_own_routes(router);
  if (!options_.bus.endpoints.empty()) {
    telemetry_ = std::make_unique<TelemetryDoor>(*store_, registry_, options_.bus);
    if (auto opened = telemetry_->open(); !opened) return opened;
  }
  server_ = std::make_unique<http::Server>(std::move(router), options_.http, &registry_);
  return server_->open();
}

// Ready is open: what was acknowledged is there before anybody is listened to.
void Collector::add_own_routes(http::Router& router) {
  for (const char* path : {"/healthz", "/readyz", "/-/healthy", "/-/ready"})
    router.add({http::Method::get,
                path,
                http::Role::none,
                {.whole = [](http::Request&&, http::Answer answer) { answer.send(text("ok\n")); }},
                {}});
  router.add({http::Method::get,
              "/metrics",
              http::Role::read,
              {.whole =
                   [this](http::Request&&, http::Answer answer) {
                     answer.send(text(metrics::to_prometheus(registry_.snapshot())));
                   }},
              {}});
}

void Collector::start() {
  api_->start(*server_);
  writes_->start(*server_);
  watch_->start();
  server_->post([this] { look_after(); });
  server_->start();
  if (telemetry_) telemetry_->start();
}

void Collector::drain(std::function<void()> done) {
  server_->drain(limits::http_drain, std::move(done));
}

void Collector::stop() {
  if (telemetry_) telemetry_->stop();
  if (watch_) watch_->stop();
  if (server_) server_->stop();
  if (api_) api_->stop();
  if (writes_) writes_->stop();
}

void Collector::look_after() {
  StoreProbe(registry_).set(store_->stats());
  server_->once(std::chrono::seconds(1), [this] { look_after(); });
}

}  // namespace tallymill::collector
