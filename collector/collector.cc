#include "collector/collector.h"

#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <utility>

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
  row("/metrics", http::Role::read,
      [this](http::Answer to) { to.send(text(metrics::to_prometheus(registry_.snapshot()))); });
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

Status Collector::start() {
  auto store = Store::open(options_.folder, options_.store);
  if (!store) return std::unexpected(std::move(store).error());
  store_ = std::move(*store);
  if (waterfalls_)
    if (auto opened = waterfalls_->open(); !opened) return opened;
  std::promise<void> served;
  server_->post([this, &served] {
    serve();
    served.set_value();
  });
  served.get_future().wait();
  return {};
}

// On the server's thread: each part with its rows, which go into use together.
void Collector::serve() {
  api_ = std::make_unique<Api>(*store_);
  writes_ = std::make_unique<WriteDoor>(*store_, registry_);
  live_ = std::make_unique<Live>(*store_, registry_, Live::Options{});
  watch_ = std::make_unique<Watch>(*store_, registry_, options_.folder, options_.leak_window);
  http::Router router;
  api_->add_routes(router);
  writes_->add_routes(router);
  live_->add_routes(router);
  if (forward_) forward_->add_routes(router);
  if (waterfalls_) waterfalls_->add_routes(router);
  add_own_routes(router);
  api_->start(*server_);
  writes_->start(*server_);
  live_->start(*server_);
  watch_->start();
  if (waterfalls_) waterfalls_->start();
  look_after();
  ready_ = true;
  server_->change(std::move(router));
}

void Collector::drain(std::function<void()> done) {
  server_->drain(limits::http_drain, std::move(done));
}

void Collector::stop() {
  if (watch_) watch_->stop();
  if (server_) server_->stop();
  if (forward_) forward_->stop();
  if (waterfalls_) waterfalls_->stop();
  if (live_) live_->stop();
  if (api_) api_->stop();
  if (writes_) writes_->stop();
}

void Collector::look_after() {
  StoreProbe(registry_).set(store_->stats());
  server_->once(std::chrono::seconds(1), [this] { look_after(); });
}

}  // namespace tallymill::collector
