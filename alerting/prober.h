// Prober: asks endpoints again and again whether they answer as they should, and stores what they
// did:
//
//   tallymill_probe_up{probe, kind, target}                 1 or 0
//   tallymill_probe_duration_seconds{probe, kind, target}   of the try, also of one that failed
//
// tcp: somebody takes the connection. http: the status, and a text in the body, are those that are
// expected. redis: PING is answered. postgres: SELECT 1 is. Each try is a connection of its own
// (http keeps its), and is over after the probe's timeout. That it went down, or up, is logged with
// the reason.
//
//   invariant: a try ends in its time, but for the look-up of a name, which has the system's
//   invariant: what one endpoint does holds up no other: each has a thread
//   invariant: no secret is in a log, a label or an error
//
// Threads: start(), stop() by its maker.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "alerting/group.h"
#include "alerting/prober_config.h"
#include "alerting/prober_wait.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "http/client.h"
#include "store/durable.h"

namespace tallymill::alerting {

class Prober {
 public:
  // REQUIRES: what is borrowed outlives it.
  Prober(std::vector<ProbeConfig> probes, SampleSink& sink, metrics::Registry& registry,
         const Clock& clock);
  ~Prober();  // stops
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // bad_params: a ca_file cannot be read; nothing is asked then. To be called once.
  [[nodiscard]] Status start();
  // Tries that are under way are given up.
  void stop();

 private:
  struct Watch {
    ProbeConfig probe;
    std::unique_ptr<http::Client> client;  // of http
    std::optional<bool> up;                // as it was told last
    std::thread thread;
  };
  void run(Watch& watch);
  [[nodiscard]] Status check(Watch& watch, const ProberWait& wait);
  void tell(Watch& watch, const Status& outcome, Duration took);

  SampleSink& sink_;
  const Clock& clock_;
  store::File stop_;  // an event, readable when it stops
  std::vector<Watch> watches_;
};

}  // namespace tallymill::alerting
