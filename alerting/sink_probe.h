// Probe of the sinks: their metrics, and their names and labels only here.
//
// Threads: made anywhere; then one sink's own.
#pragma once

#include <chrono>
#include <string>

#include "base/metrics.h"

namespace tallymill::alerting {

class SinkProbe {
 public:
  enum class Outcome : std::uint8_t { taken, again, given_up };

  SinkProbe(metrics::Registry& registry, const std::string& sink);
  // A message was sent, or a batch of alerts.
  void sent(Outcome outcome, Duration took);
  void waiting(std::int64_t notices) { waiting_->set(static_cast<double>(notices)); }
  // How long the oldest of them has waited; 0: there is none.
  void oldest(Duration waits) { oldest_->set(std::chrono::duration<double>(waits).count()); }
  void muted() { muted_->add(); }
  // So many since the outbox was opened.
  void merged(std::int64_t all);

 private:
  metrics::Counter* outcomes_[3];
  metrics::Histogram* seconds_;
  metrics::Gauge* waiting_;
  metrics::Gauge* oldest_;
  metrics::Counter* muted_;
  metrics::Counter* merged_;
};

}  // namespace tallymill::alerting
