// Probe of the gateway: its metrics, and their names and labels only here.
//
// Threads: the HTTP server's.
#pragma once

#include "base/metrics.h"

namespace tallymill::gateway {

class Probe {
 public:
  explicit Probe(metrics::Registry& registry);

  metrics::Gauge& lines() { return *lines_; }
  metrics::Gauge& followers() { return *followers_; }
  metrics::Gauge& feed_bytes() { return *feed_bytes_; }
  metrics::Gauge& waits() { return *waits_; }
  metrics::Gauge& upload_pieces() { return *upload_pieces_; }
  metrics::Gauge& wires() { return *wires_; }
  metrics::Gauge& wire_waiting_bytes() { return *wire_waiting_bytes_; }
  metrics::Counter& wire_denied() { return *wire_denied_; }
  metrics::Counter& wires_refused() { return *wires_refused_; }

 private:
  metrics::Gauge* lines_;
  metrics::Gauge* followers_;
  metrics::Gauge* feed_bytes_;
  metrics::Gauge* waits_;
  metrics::Gauge* upload_pieces_;
  metrics::Gauge* wires_;
  metrics::Gauge* wire_waiting_bytes_;
  metrics::Counter* wire_denied_;
  metrics::Counter* wires_refused_;
};

}  // namespace tallymill::gateway
