#include "alerting/backtest_api.h"

#include <memory>
#include <string>
#include <utility>

#include "alerting/yaml_reader.h"
#include "collector/answers.h"
#include "collector/parameters.h"

namespace tallymill::alerting {
namespace {

std::string_view said(const http::Request& request, std::string_view name) {
  for (const auto& [key, value] : request.query)
    if (key == name) return value;
  return {};
}

bool is_json(const http::Request& request) {
  return request.headers.get("Content-Type").starts_with("application/json");
}

Result<BacktestAsked> asked_of(const http::Request& request) {
  if (is_json(request)) return parse_backtest(request.body);
  BacktestAsked asked;
  for (const auto& [name, to] : {std::pair("from", &asked.from_ms), {"to", &asked.to_ms}}) {
    const auto ms = collector::time_ms_of(said(request, name));
    if (!ms)
      return fail(Errc::bad_params, std::string("the query's '") + name +
                                        "' is no time: seconds since 1970, or "
                                        "2026-11-28T13:00:00Z");
    *to = *ms;
  }
  if (const auto text = said(request, "interval"); !text.empty()) {
    const auto ms = config_duration_ms(text);
    if (!ms || *ms <= 0)
      return fail(Errc::bad_params, "the query's 'interval' is no length of time as 15s or 1m");
    asked.interval_ms = *ms;
  }
  const std::string_view name = said(request, "name");
  auto groups = parse_rule_file(request.body, name.empty() ? "rules" : name);
  if (!groups) return std::unexpected(std::move(groups).error());
  asked.groups = std::move(*groups);
  return asked;
}

}  // namespace

BacktestApi::BacktestApi(const collector::Source& source, const Options& options,
                         metrics::Registry& registry)
    : source_(source),
      options_(options),
      started_(registry.counter("tallymill_alerting_backtests_total",
                                "Backtests that were asked for over HTTP and begun.")),
      refused_(registry.counter("tallymill_alerting_refused_backtests_total",
                                "Backtests that were refused, for one was running.")),
      running_(registry.gauge("tallymill_alerting_backtest_running", "Whether a backtest runs.")) {}

void BacktestApi::add_routes(http::Router& router, collector::Api& api) {
  router.add({.method = http::Method::post,
              .path = "/api/v1/rules/backtest",
              .role = http::Role::read,
              .handler = {.whole =
                              [this, &api](http::Request&& request, http::Answer answer) {
                                ask(api, std::move(request), std::move(answer));
                              }},
              .operation = {},
              .body_bytes = Bytes(static_cast<std::int64_t>(limits::rule_file_bytes)),
              .accepts = {.type = "application/json, text/yaml, application/yaml"}});
}

void BacktestApi::ask(collector::Api& api, http::Request&& request, http::Answer answer) {
  if (is_running_.exchange(true)) {
    refused_.add();
    return answer.send(
        collector::failure({Errc::busy, "another backtest is running: come again later"},
                           collector::Fault::execution));
  }
  // Whatever becomes of the work, also when nobody does it.
  running_.set(1);
  const std::shared_ptr<void> running(this, [](void* kept_by) {
    auto* const self = static_cast<BacktestApi*>(kept_by);
    self->running_.set(0);
    self->is_running_ = false;
  });
  // Rules of some MB take a second to read: not the server's.
  const auto kept = std::make_shared<http::Request>(std::move(request));
  api.run(std::move(answer), [this, kept, running](const std::atomic<bool>& cancelled) {
    const auto asked = asked_of(*kept);
    if (!asked) return collector::failure(asked.error(), collector::Fault::request);
    started_.add();
    return judge(*asked, cancelled);
  });
}

http::Response BacktestApi::judge(const BacktestAsked& asked,
                                  const std::atomic<bool>& cancelled) const {
  BacktestOptions options{.from_ms = asked.from_ms,
                          .to_ms = asked.to_ms,
                          .interval = options_.interval,
                          .rules = options_.rules,
                          .evaluations = options_.evaluations,
                          .until = std::chrono::steady_clock::now() + options_.time,
                          .cancelled = &cancelled};
  if (asked.interval_ms) options.interval = std::chrono::milliseconds(*asked.interval_ms);
  const auto result = backtest(asked.groups, source_, options);
  if (!result) return collector::failure(result.error(), collector::Fault::execution);
  return collector::answered(collector::bounded(
      backtest_json(*result, count_messages(*result, asked.sinks ? &*asked.sinks : nullptr))));
}

}  // namespace tallymill::alerting
