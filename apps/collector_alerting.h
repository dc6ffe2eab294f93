// CollectorAlerting: alerting as the collector program has it, from its settings: rules over the
// collector's store, told to whom the settings name, answered over its server; and endpoints that
// are watched.
//
// Threads: open(), start(), stop() by its maker; the rest by any.
#pragma once

#include <memory>
#include <zmq.hpp>

#include "alerting/alerting.h"
#include "alerting/alerts_api.h"
#include "alerting/prober.h"
#include "apps/store_sink.h"
#include "base/clock.h"
#include "base/config.h"
#include "collector/collector.h"

namespace tallymill::apps {

class CollectorAlerting {
 public:
  // Whether the settings say anything of it.
  [[nodiscard]] static bool is_wanted(const Config& config);
  // Errors as Alerting::open, and as alerting::read_sinks. REQUIRES: the collector has loaded, and
  // outlives it.
  [[nodiscard]] static Result<std::unique_ptr<CollectorAlerting>> open(
      const Config& config, collector::Collector& collector);

  ~CollectorAlerting() { stop(); }
  CollectorAlerting(const CollectorAlerting&) = delete;
  CollectorAlerting& operator=(const CollectorAlerting&) = delete;

  [[nodiscard]] collector::Companion companion();
  // Errors as Alerting::start and Prober::start.
  [[nodiscard]] Status start();
  void stop();
  // Logs how many rules there are, for patterns of files may name none, and who is told.
  void say_what_is_judged() const;
  [[nodiscard]] alerting::Alerting& alerting() { return *alerting_; }

 private:
  explicit CollectorAlerting(collector::Store& store) : store_(store), sink_(store) {}

  collector::Store& store_;
  SystemClock clock_;
  zmq::context_t context_{1};
  StoreSink sink_;
  std::unique_ptr<alerting::Alerting> alerting_;
  std::unique_ptr<alerting::AlertsApi> api_;
  std::unique_ptr<alerting::Prober> prober_;  // null: nothing is watched
};

}  // namespace tallymill::apps
