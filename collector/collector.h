// Collector: the side path as one process: doors in, the store, doors out.
//
//   remote write, text ──▶ WriteDoor ──┐          ┌── Api, StatusApi ◀── Grafana, promtool, people
//   processes ──▶ TelemetryDoor ───────┼─▶ Store ◀┴── Live ◀── pages
//   targets ◀── Scraper ───────────────┤
//   StatsD ──▶ StatsdDoor ─────────────┘
//   front ◀── Waterfalls, Forward ◀── pages
//
// Whoever else works on its store in this process (alerting) is made between load() and start(),
// and answers over its server.
//
// It answers before it is ready: that it lives, that it is not ready, and what is the front's to
// answer. All else is 503 until what was acknowledged has been read back.
//
//   invariant: nothing is opened that it was not told to
//   invariant: ready means that all that was acknowledged is there
//
// Threads: open(), start(), stop() by its maker; the rest on the server's thread and its errands'.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/secret.h"
#include "bus/errands.h"
#include "collector/api.h"
#include "collector/exemplars.h"
#include "collector/forward.h"
#include "collector/live.h"
#include "collector/metadata.h"
#include "collector/scrape.h"
#include "collector/statsd_door.h"
#include "collector/status_api.h"
#include "collector/store.h"
#include "collector/telemetry_door.h"
#include "collector/watch.h"
#include "collector/waterfalls.h"
#include "collector/write_door.h"
#include "http/server.h"

namespace tallymill::collector {

struct CollectorOptions {
  http::ServerOptions http;
  std::string folder;  // of the store
  Store::Options store;
  TelemetryDoorOptions bus;  // without endpoints: none
  std::vector<ScrapeJob> scrape = {};
  std::string statsd = {};                        // host:port; empty: no such socket
  std::map<std::string, std::string> flags = {};  // as /api/v1/status/flags tells them
  std::string front_http;                         // empty: none
  Secret front_token;  // of role read, for what is asked of the front here
  std::chrono::seconds leak_window{600};
};

// Who else answers here; both outlive stop().
struct Companion {
  const RuleSource* rules = nullptr;
  std::function<void(http::Router&, Api&)> add_routes = {};
};

class Collector {
 public:
  explicit Collector(CollectorOptions options);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Listens, and answers that it is not ready. Errors as http::Server::open; bad_params: the
  // front's URL is none.
  [[nodiscard]] Status open();
  // Replays the store, which is what takes time. Errors as Store::open.
  [[nodiscard]] Status load();
  // Opens the other doors, and is ready; loads first, unless that is done. Errors as load().
  [[nodiscard]] Status start(Companion companion = {});
  // Requests are answered; `done` is called at the end, on the server's thread.
  void drain(std::function<void()> done);
  void stop();
  // An alert changed: JSON with a number that rises, for the live feed. Lost while too many wait:
  // who follows finds the gap; and before start(), when nobody can follow. REQUIRES: after open().
  // Threads: any.
  void tell_alert(std::uint64_t sequence, std::string said);
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] metrics::Registry& registry() { return registry_; }
  [[nodiscard]] Store& store() { return *store_; }  // REQUIRES: load()

 private:
  void add_own_routes(http::Router& router);
  [[nodiscard]] http::Response own_metrics(const http::Request& request) const;
  [[nodiscard]] Status open_doors();
  void serve(const Companion& companion);
  void answer_readiness(http::Answer answer) const;
  void look_after();
  void tell(const Store::Stats& stats);

  CollectorOptions options_;
  metrics::Registry registry_;
  MetadataStore metadata_;
  ExemplarStore exemplars_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<WriteDoor> writes_;
  std::unique_ptr<TelemetryDoor> telemetry_;
  std::unique_ptr<Scraper> scraper_;
  std::unique_ptr<StatsdDoor> statsd_;
  std::unique_ptr<StatusApi> status_;
  std::unique_ptr<Live> live_;
  std::unique_ptr<bus::Errands> looks_;  // at the store, which may wait for its disk
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<http::Server> server_;
  // On the server's thread, so before it.
  std::unique_ptr<Forward> forward_;
  std::unique_ptr<Waterfalls> waterfalls_;
  std::atomic<std::size_t> alerts_waiting_ = 0;  // for the server's thread
  bool ready_ = false;                           // of the server's thread
};

}  // namespace tallymill::collector
