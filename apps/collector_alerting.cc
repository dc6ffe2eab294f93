#include "apps/collector_alerting.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "base/log.h"
#include "http/url.h"

namespace tallymill::apps {
namespace {

// Those of the file, and the Alertmanagers that are named beside it.
Result<alerting::SinksConfig> sinks_of(const Config& config) {
  alerting::SinksConfig sinks;
  if (!config.alerting.sinks.empty()) {
    auto read = alerting::read_sinks(config.alerting.sinks);
    if (!read) return std::unexpected(std::move(read).error());
    sinks = std::move(*read);
  }
  for (const std::string& said : config.alerting.alertmanager) {
    const std::string url = said.find("://") == std::string::npos ? "http://" + said : said;
    // Before it is anybody's name in logs and metrics: a secret may stand in it.
    const auto parsed = http::parse_url(url);
    if (!parsed) return fail(Errc::bad_params, "alerting.alertmanager: " + parsed.error().message);
    if (parsed->socket || parsed->target.find('?') != std::string::npos)
      return fail(Errc::bad_params,
                  "alerting.alertmanager: expected host:port, or http(s)://host:port/path");
    sinks.sinks.push_back({.name = url, .kind = alerting::SinkConfig::Kind::alertmanager});
    sinks.sinks.back().url = url;
  }
  return sinks;
}

std::string url_of(const Config& config, std::uint16_t port) {
  if (!config.alerting.external_url.empty()) return config.alerting.external_url;
  const std::string& http = config.collector.http;
  return fmt::format("http://{}:{}", http.substr(0, http.rfind(':')), port);
}

}  // namespace

bool CollectorAlerting::is_wanted(const Config& config) {
  return !config.alerting.rules.empty() || config.alerting.shipped_rules ||
         !config.alerting.sinks.empty() || !config.alerting.alertmanager.empty() ||
         !config.alerting.probes.empty();
}

Result<std::unique_ptr<CollectorAlerting>> CollectorAlerting::open(
    const Config& config, collector::Collector& collector) {
  auto sinks = sinks_of(config);
  if (!sinks) return std::unexpected(std::move(sinks).error());
  std::unique_ptr<CollectorAlerting> made(new CollectorAlerting(collector.store()));
  const alerting::Alerting::Options options{
      .rules = config.alerting.rules,
      .shipped_percent =
          config.alerting.shipped_rules ? static_cast<int>(config.alerting.window_percent) : 0,
      .sinks = std::move(*sinks),
      .outbox = std::filesystem::path(config.collector.data) / "alerts.db",
      .external_url = url_of(config, collector.port()),
      .interval = config.alerting.evaluation_interval,
      .resend_delay = config.alerting.resend_delay,
      .outage_tolerance = config.alerting.for_outage_tolerance,
      .grace = config.alerting.for_grace_period,
      .insecure = config.collector.insecure,
      .own_bus = !config.collector.bus.empty(),
      .feed = [&collector](std::uint64_t sequence, std::string said) {
        collector.tell_alert(sequence, std::move(said));
      }};
  auto opened = alerting::Alerting::open(options, collector.store(), made->sink_, made->context_,
                                         collector.registry(), made->clock_);
  if (!opened) return std::unexpected(std::move(opened).error());
  made->alerting_ = std::move(*opened);
  // Before the doors open, so that no sample is missed.
  collector.store().listen(&made->alerting_->arrivals());
  made->api_ = std::make_unique<alerting::AlertsApi>(*made->alerting_);
  if (config.alerting.probes.empty()) return made;
  auto probes = alerting::read_probes(config.alerting.probes);
  if (!probes) return std::unexpected(std::move(probes).error());
  made->prober_ = std::make_unique<alerting::Prober>(std::move(*probes), made->sink_,
                                                     collector.registry(), made->clock_);
  return made;
}

Status CollectorAlerting::start() {
  if (auto started = alerting_->start(); !started) return started;
  return prober_ ? prober_->start() : Status();
}

void CollectorAlerting::stop() {
  if (prober_) prober_->stop();
  store_.listen(nullptr);
  if (alerting_) alerting_->stop();
}

void CollectorAlerting::say_what_is_judged() const {
  std::size_t groups = 0;
  std::size_t rules = 0;
  alerting_->look([&](std::span<const alerting::GroupStatus> all) {
    groups = all.size();
    for (const alerting::GroupStatus& one : all) rules += one.rules->rules.size();
  });
  std::string told;
  for (const alerting::SinkConfig& sink : alerting_->options().sinks.sinks)
    told += (told.empty() ? "" : ", ") + sink.name;
  const std::string said = fmt::format("rules: {} in groups: {}, told to: {}", rules, groups,
                                       told.empty() ? "nobody" : told);
  if (rules == 0)
    log::warn(said + ": say --rules FILE, or --shipped-rules");
  else
    log::info(said);
}

collector::Companion CollectorAlerting::companion() {
  return {.rules = alerting_.get(),
          .add_routes = [this](http::Router& router, collector::Api& api) {
            api_->add_routes(router, api);
          }};
}

}  // namespace tallymill::apps
