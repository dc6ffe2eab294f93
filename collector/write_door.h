// Write door: samples over HTTP into the store: Prometheus remote write, and text with timestamps.
//
// A request is taken apart and stored on a thread of its own, so that neither the disk nor a large
// push holds up who asks. It is answered when what it brought is in the store's log.
//
//   invariant: at most limits::writes wait; one more is told to come later (503)
//   invariant: what was refused is counted by its reason, and answered 400: sent again it would be
//              refused again. What could not be stored now is 503 or 507
//   invariant: bodies that wait are bounded by the server for all its connections
//              (limits::http_bodies_bytes); what is taken out of its block is there once, for there
//              is one thread: at most limits::write_request_bytes, and _samples of 24 bytes
//
// Threads: the server's; the writing on the door's own.
// Source: the Prometheus remote write specification 1.0.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/limits.h"
#include "base/metrics.h"
#include "bus/errands.h"
#include "collector/exemplars.h"
#include "collector/metadata.h"
#include "collector/remote_write.h"
#include "collector/store.h"
#include "http/server.h"

namespace tallymill::collector {

// Its metrics, names and labels only here. Threads: the door's own.
class WriteProbe {
 public:
  explicit WriteProbe(metrics::Registry& registry);
  metrics::Counter& samples;
  metrics::Counter& bad_labels;
  metrics::Counter& no_room;
  metrics::Counter& malformed;
  metrics::Gauge& known_labels;
  metrics::Gauge& known_labels_bytes;
};

class WriteDoor {
 public:
  // `known`: a bound that tests lower.
  WriteDoor(Store& store, MetadataStore& metadata, ExemplarStore& exemplars,
            metrics::Registry& registry, std::size_t known = limits::known_raw_labels);
  ~WriteDoor();
  // REQUIRES: before start().
  void add_routes(http::Router& router);
  void start(http::Server& server);
  void stop() { writer_.reset(); }

 private:
  class Sink;
  using Work = std::function<http::Response(const std::string& body)>;
  void run(http::Request&& request, http::Answer answer, Work work);
  [[nodiscard]] http::Response write(const std::string& body);
  [[nodiscard]] http::Response import(const std::string& body, const std::string& type);

  Store& store_;
  MetadataStore& metadata_;
  ExemplarStore& exemplars_;
  WriteProbe probe_;
  std::unique_ptr<bus::Errands> writer_;
  // The writer's thread:
  RemoteWrite reader_;
  std::unique_ptr<Sink> sink_;  // knows series by their bytes
};

}  // namespace tallymill::collector
