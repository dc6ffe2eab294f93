// BacktestApi: POST /api/v1/rules/backtest: rules over the samples of this collector.
//
// The body is JSON (backtest_json.h), or a rule file as it is (YAML) with `from`, `to` and
// `interval` in the query; the answer's data is that of backtest_json.h. It is made on the Api's
// workers, one at a time: who comes meanwhile is told to come later.
//
//   invariant: at most one runs; it takes at most limits::backtest_time, and ends when who asked
//              hangs up
//
// Threads: the server's; a backtest on the Api's workers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "alerting/backtest.h"
#include "alerting/backtest_json.h"
#include "base/metrics.h"
#include "collector/api.h"
#include "http/router.h"

namespace tallymill::alerting {

class BacktestApi {
 public:
  struct Options {
    std::chrono::milliseconds interval{60'000};  // of groups that say none
    RuleState::Options rules = {};
    std::uint64_t evaluations = limits::backtest_evaluations;
    std::chrono::milliseconds time = limits::backtest_time;
  };
  // REQUIRES: both outlive it.
  BacktestApi(const collector::Source& source, const Options& options, metrics::Registry& registry);
  // REQUIRES: both outlive the server's work.
  void add_routes(http::Router& router, collector::Api& api);

 private:
  void ask(collector::Api& api, http::Request&& request, http::Answer answer);
  [[nodiscard]] http::Response judge(const BacktestAsked& asked,
                                     const std::atomic<bool>& cancelled) const;

  const collector::Source& source_;
  const Options options_;
  metrics::Counter& started_;
  metrics::Counter& refused_;
  metrics::Gauge& running_;
  std::atomic<bool> is_running_ = false;
};

}  // namespace tallymill::alerting
