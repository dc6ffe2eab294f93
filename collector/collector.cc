#include "collector/collector.h"

#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "collector/answers.h"
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
  http::Router router;
  add_own_routes(router);
  router.otherwise([] {
    auto response = failure({Errc::busy, "not ready: the store is being read"}, Fault::execution);
    response.headers.add("Retry-After", "1");
    return response;
  });
  std::string front;
  if (!options_.front_http.empty()) {
    auto url = front_url(options_.front_http);
    if (!url) return std::unexpected(std::move(url).error().in("collector.front_http"));
    front = std::move(*url);
  }
  const bool guarded = !options_.http.guard.tokens.empty();
  // Its rows come with the forward's, which needs the server.
  server_ = std::make_unique<http::Server>(http::Router(), options_.http, &registry_);
  if (auto opened = server_->open(); !opened) return opened;
  if (!front.empty()) {
    forward_ = std::make_unique<Forward>(*server_, registry_,
                                         Forward::Options{.front = front, .guarded = guarded});
    if (auto started = forward_->start(); !started) return started;
    forward_->add_routes(router);
    waterfalls_ = std::make_unique<Waterfalls>(
        *server_, registry_,
        Waterfalls::Options{.front = std::move(front),
                            .token = std::move(options_.front_token),
                            .file = std::filesystem::path(options_.folder) / "waterfalls.db"});
  }
  server_->change(std::move(router));
  server_->start();
  return {};
}

void Collector::add_own_routes(http::Router& router) {
  const auto row = [&](const char* path, http::Role role, auto answer) {
    router.add({http::Method::get,
                path,
                role,
                {.whole = [answer](http::Request&&, http::Answer to) { answer(std::move(to)); }},
                {}});
  };
  for (const char* path : {"/healthz", "/-/healthy"})
    row(path, http::Role::none, [](http::Answer to) { to.send(text("ok\n")); });
  for (const char* path : {"/readyz", "/-/ready"})
    row(path, http::Role::none, [this](http::Answer to) { answer_readiness(std::move(to)); });
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

// Degraded, and ready all the same: what does not need the front is answered.
void Collector::answer_readiness(http::Answer answer) const {
  using nlohmann::json;
  json checks{
      {"store", {{"state", ready_ ? "ok" : "down"}, {"detail", ready_ ? "" : "it is being read"}}}};
  const bool front_answers = !waterfalls_ || waterfalls_->trouble().empty();
  if (waterfalls_)
    checks["front"] = {{"state", front_answers ? "ok" : "degraded"},
                       {"detail", waterfalls_->trouble()}};
  const char* state = !ready_ ? "down" : front_answers ? "ok" : "degraded";
  answer.send(
      http::json_response({{"state", state}, {"checks", std::move(checks)}}, ready_ ? 200 : 503));
}

Status Collector::load() {
  auto store = Store::open(options_.folder, options_.store);
  if (!store) return std::unexpected(std::move(store).error());
  store_ = std::move(*store);
  return {};
}

Status Collector::start(Companion companion) {
  if (!store_)
    if (auto loaded = load(); !loaded) return loaded;
  if (waterfalls_)
    if (auto opened = waterfalls_->open(); !opened) return opened;
  if (auto opened = open_doors(); !opened) return opened;
  std::promise<void> served;
  server_->post([&] {
    serve(companion);
    served.set_value();
  });
  served.get_future().wait();
  if (telemetry_) telemetry_->start();
  if (statsd_) statsd_->start();
  return scraper_ ? scraper_->start() : Status();
}

Status Collector::open_doors() {
  if (!options_.bus.endpoints.empty()) {
    TelemetryListeners listeners{
        .metadata = [this](const Metadata& said) { (void)metadata_.add(said); },
        .exemplar = [this](SeriesId series, const Exemplar& one,
                           std::int64_t t_ms) { exemplars_.add(series, one, t_ms); }};
    telemetry_ =
        std::make_unique<TelemetryDoor>(*store_, registry_, options_.bus, std::move(listeners));
    if (auto opened = telemetry_->open(); !opened) return opened;
  }
  if (!options_.statsd.empty()) {
    auto door = StatsdDoor::open(options_.statsd, options_.http.guard.insecure, *store_, metadata_,
                                 registry_);
    if (!door) return std::unexpected(std::move(door).error());
    statsd_ = std::move(*door);
  }
  if (!options_.scrape.empty())
    scraper_ = std::make_unique<Scraper>(std::move(options_.scrape), *store_, metadata_, exemplars_,
                                         registry_);
  return {};
}

// On the server's thread: each part with its rows, which go into use together.
void Collector::serve(const Companion& companion) {
  api_ = std::make_unique<Api>(*store_, &exemplars_);
  status_ =
      std::make_unique<StatusApi>(*api_, StatusSources{.store = *store_,
                                                       .metadata = metadata_,
                                                       .scraper = scraper_.get(),
                                                       .rules = companion.rules,
                                                       .flags = options_.flags,
                                                       .retention = options_.store.retention});
  writes_ = std::make_unique<WriteDoor>(*store_, metadata_, exemplars_, registry_);
  live_ = std::make_unique<Live>(*store_, registry_, Live::Options{});
  watch_ = std::make_unique<Watch>(*store_, registry_, options_.folder, options_.leak_window);
  http::Router router;
  api_->add_routes(router);
  status_->add_routes(router);
  writes_->add_routes(router);
  live_->add_routes(router);
  if (forward_) forward_->add_routes(router);
  if (waterfalls_) waterfalls_->add_routes(router);
  if (companion.add_routes) companion.add_routes(router, *api_);
  add_own_routes(router);
  api_->start(*server_);
  writes_->start(*server_);
  live_->start(*server_);
  watch_->start();
  if (waterfalls_) waterfalls_->start();
  looks_ = std::make_unique<bus::Errands>(*server_, 1, "store-look");
  tell(store_->stats());
  ready_ = true;
  server_->change(std::move(router));
}

void Collector::tell_alert(std::uint64_t sequence, std::string said) {
  if (alerts_waiting_ >= Live::Options().alerts) return;
  ++alerts_waiting_;
  server_->post([this, sequence, said = std::move(said)]() mutable {
    --alerts_waiting_;
    if (live_) live_->tell_alert(sequence, std::move(said));
  });
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
  if (forward_) forward_->stop();
  if (waterfalls_) waterfalls_->stop();
  if (live_) live_->stop();
  if (api_) api_->stop();
  if (writes_) writes_->stop();
  looks_.reset();
}

void Collector::look_after() {
  // One is under way at a time.
  TM_CHECK(looks_->put([this] { return [this, stats = store_->stats()] { tell(stats); }; }));
}

void Collector::tell(const Store::Stats& stats) {
  StoreProbe(registry_).set(stats);
  const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
    registry_.gauge(name, help).set(static_cast<double>(value));
  };
  const MetadataStore::Stats metadata = metadata_.stats();
  gauge("tallymill_collector_metadata_metrics", "Metrics of which it is known what they are.",
        metadata.metrics);
  gauge("tallymill_collector_metadata_bytes", "Bytes of their names and texts.", metadata.bytes);
  gauge("tallymill_collector_answers_unread_bytes",
        "Bytes of answers to queries that are made and not read yet.", api_->unread_bytes());
  gauge("tallymill_collector_exemplars", "Exemplars that are kept.", exemplars_.stats().exemplars);
  server_->once(std::chrono::seconds(1), [this] { look_after(); });
}

}  // namespace tallymill::collector
