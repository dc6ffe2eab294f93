#include "alerting/prober.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "alerting/prober_postgres.h"
#include "alerting/prober_redis.h"
#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using Kind = ProbeConfig::Kind;

std::unique_ptr<http::Client> client_of(const ProbeConfig& probe) {
  if (probe.kind != Kind::http) return nullptr;
  http::ClientOptions options;
  options.timeout = probe.timeout;
  options.connections = 1;
  options.body_bytes = Bytes(limits::probe_body_bytes);
  options.ca_file = probe.ca_file;
  options.thread = "probe http";
  if (!probe.secret.empty()) options.token = Secret(std::string(probe.secret.reveal()));
  return std::make_unique<http::Client>(std::move(options));
}

Status fetch(http::Client& client, const ProbeConfig& probe) {
  const auto answer = client.fetch({.url = probe.url});
  if (!answer) return std::unexpected(answer.error());
  const bool fits = probe.status != 0 ? answer->status == probe.status
                                      : answer->status >= 200 && answer->status <= 299;
  if (!fits) return fail(Errc::away, fmt::format("it answers with status {}", answer->status));
  if (answer->body.find(probe.body) == std::string::npos)
    return fail(Errc::away, "its answer has not the text that it should have");
  return {};
}

}  // namespace

Prober::Prober(std::vector<ProbeConfig> probes, SampleSink& sink, metrics::Registry& registry,
               const Clock& clock)
    : sink_(sink), clock_(clock), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TM_CHECK(stop_);
  for (ProbeConfig& probe : probes) {
    auto client = client_of(probe);
    watches_.push_back({.probe = std::move(probe), .client = std::move(client)});
  }
  registry.gauge("tallymill_alerting_probes", "Endpoints that are watched.")
      .set(static_cast<double>(watches_.size()));
}

Prober::~Prober() { stop(); }

Status Prober::start() {
  for (const Watch& watch : watches_)
    if (watch.client)
      if (auto started = watch.client->start(); !started)
        return std::unexpected(std::move(started).error().in("probe '" + watch.probe.name + "'"));
  for (Watch& watch : watches_) watch.thread = std::thread([this, &watch] { run(watch); });
  return {};
}

void Prober::stop() {
  (void)::eventfd_write(stop_.fd(), 1);
  for (const Watch& watch : watches_)
    if (watch.client) watch.client->stop();
  for (Watch& watch : watches_)
    if (watch.thread.joinable()) watch.thread.join();
}

void Prober::run(Watch& watch) {
  name_thread("probe");
  for (Instant due = clock_.now();;) {
    const Instant begin = clock_.now();
    const auto outcome = check(watch, ProberWait(stop_.fd(), begin + watch.probe.timeout, clock_));
    if (!outcome && outcome.error().code == Errc::cancelled) return;
    tell(watch, outcome, clock_.now() - begin);
    due = std::max(due + watch.probe.interval, clock_.now());
    if (!ProberWait(stop_.fd(), due, clock_).idle()) return;
  }
}

Status Prober::check(Watch& watch, const ProberWait& wait) {
  const ProbeConfig& probe = watch.probe;
  switch (probe.kind) {
    case Kind::tcp: {
      auto connection = connect_tcp(probe.host, probe.port, wait);
      if (!connection) return std::unexpected(std::move(connection).error());
      return {};
    }
    case Kind::http:
      return fetch(*watch.client, probe);
    case Kind::redis:
      return ping_redis(probe, wait);
    case Kind::postgres:
      return select_one(probe.secret, wait);
  }
  std::unreachable();
}

void Prober::tell(Watch& watch, const Status& outcome, Duration took) {
  const ProbeConfig& probe = watch.probe;
  const bool up = outcome.has_value();
  if (watch.up != up) {
    const std::string who =
        fmt::format("probe {} ({} {})", probe.name, name_of(probe.kind), probe.target);
    if (!up)
      log::warn(fmt::format("{} is down: {}", who, outcome.error().message));
    else
      log::info(who + " is up");
  }
  watch.up = up;
  const auto labels = [&](const char* metric) {
    return collector::Labels::of({{std::string(collector::metric_name), metric},
                                  {"probe", probe.name},
                                  {"kind", std::string(name_of(probe.kind))},
                                  {"target", probe.target}});
  };
  const std::int64_t t_ms = to_ns(clock_.wall()) / 1'000'000;
  const SampleSink::Sample samples[] = {{labels("tallymill_probe_up"), t_ms, up ? 1.0 : 0.0},
                                        {labels("tallymill_probe_duration_seconds"), t_ms,
                                         std::chrono::duration<double>(took).count()}};
  if (auto stored = sink_.append(samples); !stored)
    log::error(fmt::format("probe {}: {}", probe.name, stored.error().message));
}

}  // namespace tallymill::alerting
