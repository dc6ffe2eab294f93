// AlertsApi: what is asked of alerting over HTTP, beside what Prometheus' API tells (the collector
// answers that from a RuleSource): Alertmanager's v2 API for alerts and silences, why an alert
// fires, and the reload of rules.
//
//   GET    /api/v2/alerts        those that fire        POST /api/v2/silences      a new one,
//   changes GET    /api/v2/silences      all, or some           GET  /api/v2/status GET
//   /api/v2/silence/{id}                         GET  /api/v2/receivers DELETE /api/v2/silence/{id}
//   ends it now            GET  /api/v1/alerts/explain?name=
//
// An error is problem+json; who takes application/json alone, as amtool does, gets Alertmanager's
// form of it, a text in quotes.
//
// Threads: the server's; what takes long on the Api's workers.
// Source: Alertmanager 0.25, API v2; Prometheus 2.42, management API.
#pragma once

#include <atomic>
#include <functional>
#include <string>

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
  using Answers = Result<http::Response> (AlertsApi::*)(const http::Request& request,
                                                        const std::atomic<bool>& cancelled);
  void row(http::Router& router, collector::Api& api, http::Method method, const std::string& path,
           Answers answers);

  using Request = http::Request;
  using Gone = std::atomic<bool>;
  [[nodiscard]] Result<http::Response> alerts(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> silences(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> silence(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> set_silence(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> expire(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> receivers(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> status(const Request& request, const Gone& gone);
  [[nodiscard]] Result<http::Response> explain(const Request& request, const Gone& gone);
  void reload(collector::Api& api, http::Answer answer);

  Alerting& alerting_;
  const std::int64_t started_ms_ = alerting_.now_ms();
};

}  // namespace tallymill::alerting
