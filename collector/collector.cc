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
  api_ = std::make_unique<Api>(*store_, &exemplars_);
  writes_ = std::make_unique<WriteDoor>(*store_, metadata_, exemplars_, registry_);
  if (!options_.scrape.empty())
    scraper_ = std::make_unique<Scraper>(std::move(options_.scrape), *store_, metadata_, exemplars_,
                                         registry_);
  if (!options_.statsd.empty()) {
    auto door = StatsdDoor::open(options_.statsd, options_.http.guard.insecure, *store_, metadata_,
                                 registry_);
    if (!door) return std::unexpected(std::move(door).error());
    statsd_ = std::move(*door);
  }
  status_ =
      std::make_unique<StatusApi>(*api_, StatusSources{.store = *store_,
                                                       .metadata = metadata_,
                                                       .scraper = scraper_.get(),
                                                       .flags = options_.flags,
                                                       .retention = options_.store.retention});
  watch_ = std::make_unique<Watch>(*store_, registry_, options_.folder, options_.leak_window);
  http::Router router;
  api_->add_routes(router);
  status_->add_routes(router);
  writes_->add_routes(router);
  add_own_routes(router);
  if (!options_.bus.endpoints.empty()) {
    telemetry_ = std::make_unique<TelemetryDoor>(*store_, registry_, options_.bus);
    if (auto opened = telemetry_->open(); !opened) return opened;
  }
  server_ = std::make_unique<http::Server>(std::move(router), options_.http, &registry_);
  if (auto opened = server_->open(); !opened) return opened;
  return scraper_ ? scraper_->start() : Status();
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
              {.whole = [this](http::Request&& request,
                               http::Answer answer) { answer.send(own_metrics(request)); }},
              {}});
}

// As text unless OpenMetrics is wanted more.
http::Response Collector::own_metrics(const http::Request& request) const {
  constexpr const char* openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  constexpr const char* plain = "text/plain; version=0.0.4; charset=utf-8";
  const std::string accept = request.headers.list("Accept");
  const bool open = http::weight_of(accept, openmetrics) > http::weight_of(accept, plain);
  const metrics::Snapshot snapshot = registry_.snapshot();
  http::Response response{.type = open ? openmetrics : plain};
  response.body = open ? metrics::to_openmetrics(snapshot) + std::string(metrics::openmetrics_end)
                       : metrics::to_prometheus(snapshot);
  return response;
}

void Collector::start() {
  api_->start(*server_);
  writes_->start(*server_);
  if (statsd_) statsd_->start();
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
  if (scraper_) scraper_->stop();
  if (statsd_) statsd_->stop();
  if (api_) api_->stop();
  if (writes_) writes_->stop();
}

void Collector::look_after() {
  StoreProbe(registry_).set(store_->stats());
  const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
    registry_.gauge(name, help).set(static_cast<double>(value));
  };
  const MetadataStore::Stats metadata = metadata_.stats();
  gauge("tallymill_collector_metadata_metrics", "Metrics of which it is known what they are.",
        metadata.metrics);
  gauge("tallymill_collector_metadata_bytes", "Bytes of their names and texts.", metadata.bytes);
  gauge("tallymill_collector_exemplars", "Exemplars that are kept.", exemplars_.stats().exemplars);
  server_->once(std::chrono::seconds(1), [this] { look_after(); });
}

}  // namespace tallymill::collector
