// AlertsApi: what is asked of alerting over HTTP, beside what Prometheus' API tells (the collector
// answers that from a RuleSource).
//
// Threads: the server's; what takes long on the Api's workers.
// Source: Prometheus 2.42, management API.
#pragma once

#include "alerting/alerting.h"
#include "collector/api.h"
#include "http/router.h"

namespace tallymill::alerting {

class AlertsApi {
 public:
  // REQUIRES: it outlives this.
  explicit AlertsApi(Alerting& alerting) : alerting_(alerting) {}
  // REQUIRES: both outlive the server's work.
  void add_routes(http::Router& router, collector::Api& api);

 private:
  void reload(collector::Api& api, http::Answer answer);

  Alerting& alerting_;
};

}  // namespace tallymill::alerting
