// Probe of the http library: its metrics, and their names and labels only here.
//
// Threads: the server's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/metrics.h"
#include "http/message.h"

namespace tallymill::http {

class Probe {
 public:
  // nullptr: nothing is counted where anybody sees it.
  explicit Probe(metrics::Registry* registry);

  // A request was answered: `route` is the pattern, or "none" where no route matched.
  void answered(std::string_view route, Method method, int status, Duration took);
  // A connection was ended by this end, and why. REQUIRES: one of those that probe.cc names.
  void cut(std::string_view why);
  void accept_failed() { accept_failed_->add(); }

  metrics::Gauge& connections() { return *connections_; }
  metrics::Gauge& in_flight() { return *in_flight_; }
  metrics::Gauge& sockets() { return *sockets_; }
  metrics::Gauge& streams() { return *streams_; }
  metrics::Gauge& outlet_bytes() { return *outlet_bytes_; }
  metrics::Gauge& body_bytes() { return *body_bytes_; }
  metrics::Counter& received_bytes() { return *received_bytes_; }
  metrics::Counter& sent_bytes() { return *sent_bytes_; }
  metrics::Counter& outlet_full() { return *outlet_full_; }

 private:
  metrics::Registry own_;  // where there is no other
  metrics::Registry& registry_;
  metrics::Gauge* connections_;
  metrics::Gauge* in_flight_;
  metrics::Gauge* sockets_;
  metrics::Gauge* streams_;
  metrics::Gauge* outlet_bytes_;
  metrics::Gauge* body_bytes_;
  metrics::Counter* received_bytes_;
  metrics::Counter* sent_bytes_;
  metrics::Counter* outlet_full_;
  metrics::Counter* accept_failed_;
  struct OfRoute {
    std::map<std::pair<Method, int>, metrics::Counter*> requests;  // by status too
    metrics::Histogram* seconds = nullptr;
  };
  std::map<std::string, OfRoute, std::less<>> routes_;
  std::map<std::string, metrics::Counter*, std::less<>> cuts_;
};

// One of those that a gauge counts, for as long as it lives.
class Counted {
 public:
  explicit Counted(metrics::Gauge& gauge) : gauge_(gauge) { gauge_.add(1); }
  ~Counted() { gauge_.add(-1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  metrics::Gauge& gauge_;
};

}  // namespace tallymill::http
