#include "alerting/sinks.h"

#include <utility>

#include "alerting/exec.h"
#include "alerting/smtp.h"
#include "alerting/webhook.h"

namespace tallymill::alerting {
namespace {

using Kind = SinkConfig::Kind;

Result<HttpPost::Options> http_options(const SinkConfig& config) {
  HttpPost::Options options;
  options.ca_file = config.ca_file;
  options.timeout = config.timeout;
  if (config.secret_url.none()) {
    options.url = Secret(std::string(config.url));
  } else {
    auto url = read_secret(config.secret_url);
    if (!url) return std::unexpected(std::move(url).error());
    options.url = std::move(*url);
  }
  auto token = read_secret(config.secret);
  if (!token) return std::unexpected(std::move(token).error());
  options.token = std::move(*token);
  return options;
}

Result<std::unique_ptr<Sink>> make_webhook(const SinkConfig& config, const SinksOptions& options) {
  auto http = http_options(config);
  if (!http) return std::unexpected(std::move(http).error());
  auto sink = std::make_unique<Webhook>(Webhook::Options{
      .name = config.name,
      .form = config.kind == Kind::slack ? Webhook::Form::slack : Webhook::Form::alertmanager,
      .external_url = options.external_url,
      .http = std::move(*http)});
  if (auto started = sink->start(); !started) return std::unexpected(std::move(started).error());
  return sink;
}

Result<std::unique_ptr<Sink>> make_smtp(const SinkConfig& config) {
  auto password = read_secret(config.secret);
  if (!password) return std::unexpected(std::move(password).error());
  auto sink = std::make_unique<Smtp>(Smtp::Options{.name = config.name,
                                                   .url = config.url,
                                                   .from = config.from,
                                                   .to = config.to,
                                                   .username = config.username,
                                                   .password = std::move(*password),
                                                   .starttls = config.starttls,
                                                   .ca_file = config.ca_file,
                                                   .timeout = config.timeout});
  if (auto started = sink->start(); !started) return std::unexpected(std::move(started).error());
  return sink;
}

Result<std::unique_ptr<Sink>> make_one(const SinkConfig& config, const SinksOptions& options) {
  if (config.kind == Kind::smtp) return make_smtp(config);
  if (config.kind != Kind::exec) return make_webhook(config, options);
  return std::make_unique<Exec>(Exec::Options{.name = config.name,
                                              .command = config.command,
                                              .external_url = options.external_url,
                                              .timeout = config.timeout});
}

Status add(Sinks& sinks, const SinkConfig& config, const SinksOptions& options,
           zmq::context_t& context, metrics::Registry& registry, const Clock& clock) {
  if (config.kind == Kind::publish) {
    auto made = Publish::open(context, config.endpoint, options.insecure, clock);
    if (!made) return std::unexpected(std::move(made).error());
    sinks.publishers.push_back(std::make_unique<Publish>(std::move(*made)));
    return {};
  }
  if (config.kind == Kind::alertmanager) {
    auto http = http_options(config);
    if (!http) return std::unexpected(std::move(http).error());
    sinks.alertmanagers.push_back(std::make_unique<Alertmanager>(
        Alertmanager::Options{.name = config.name,
                              .http = std::move(*http),
                              .resend_delay = options.resend_delay,
                              .external_labels = options.external_labels},
        registry, clock));
    return {};
  }
  auto made = make_one(config, options);
  if (!made) return std::unexpected(std::move(made).error());
  sinks.destinations.push_back({std::move(*made), config.route});
  return {};
}

}  // namespace

Result<Sinks> make_sinks(const SinksConfig& config, const SinksOptions& options,
                         zmq::context_t& context, metrics::Registry& registry, const Clock& clock) {
  Sinks sinks;
  for (const SinkConfig& one : config.sinks)
    if (auto done = add(sinks, one, options, context, registry, clock); !done)
      return std::unexpected(std::move(done).error().in("sink " + one.name));
  return sinks;
}

}  // namespace tallymill::alerting
