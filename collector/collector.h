// Collector: the side path as one process: doors in, the store, doors out.
//
//   remote write, text ──▶ WriteDoor ──┐
//   processes ──▶ TelemetryDoor ───────┤
//   targets ◀── Scraper ───────────────┼─▶ Store ◀── Api, StatusApi ◀── Grafana, promtool, people
//   StatsD ──▶ StatsdDoor ─────────────┘
//
//   invariant: nothing is opened that it was not told to
//
// Threads: open(), start(), stop() by its maker; the rest on the server's thread and its errands'.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "collector/api.h"
#include "collector/exemplars.h"
#include "collector/metadata.h"
#include "collector/scrape.h"
#include "collector/statsd_door.h"
#include "collector/status_api.h"
#include "collector/store.h"
#include "collector/telemetry_door.h"
#include "collector/watch.h"
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
  std::chrono::seconds leak_window{600};
};

class Collector {
 public:
  explicit Collector(CollectorOptions options);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Replays the store, which is what takes time. Errors as Store::open, http::Server::open.
  [[nodiscard]] Status open();
  void start();
  // Requests are answered; `done` is called at the end, on the server's thread.
  void drain(std::function<void()> done);
  void stop();
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

 private:
  void add_own_routes(http::Router& router);
  [[nodiscard]] http::Response own_metrics(const http::Request& request) const;
  void look_after();

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
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace tallymill::collector
