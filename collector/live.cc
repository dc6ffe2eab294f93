#include "collector/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "collector/answers.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"

namespace tallymill::collector {
namespace {

using std::chrono::steady_clock;

// What one message holds before the rest waits for the next: half of what may wait for a client.
constexpr auto message_bytes = static_cast<std::size_t>(limits::http_outlet_bytes.raw()) / 2;

std::string body_of(const http::Response& response) { return std::string(response.body.bytes()); }

std::size_t key_of(const std::string& text) { return std::hash<std::string>()(text); }

}  // namespace

LiveProbe::LiveProbe(metrics::Registry& registry)
    : clients(registry.gauge("tallymill_collector_live_clients", "Clients of the live feed.")),
      topics(registry.gauge("tallymill_collector_live_topics", "Topics that they follow.")),
      queries(registry.gauge("tallymill_collector_live_queries",
                             "Distinct queries of these, each evaluated once a second.")),
      result_bytes(registry.gauge("tallymill_collector_live_result_bytes",
                                  "Bytes of their latest results.")),
      behind(registry.gauge("tallymill_collector_live_clients_behind",
                            "Clients that have not taken their last message.")),
      busy(registry.gauge("tallymill_collector_live_busy_ratio",
                          "Share of the last tick that evaluation took.")),
      alerts_bytes(registry.gauge("tallymill_collector_live_alerts_bytes",
                                  "Bytes of the last alerts that changed.")),
      messages(registry.counter("tallymill_collector_live_messages_total",
                                "Messages with values that were sent.")),
      gaps(registry.counter("tallymill_collector_live_gaps_total",
                            "Times that a client was told of ticks that passed it by.")),
      late(registry.counter("tallymill_collector_live_late_total",
                            "Queries for which a tick had no time.")),
      alert_gaps(registry.counter("tallymill_collector_live_alert_gaps_total",
                                  "Times that a client was told of alerts that passed it by.")),
      refused(registry.counter("tallymill_collector_live_refused_total",
                               "Clients, messages and topics that were refused.")) {}

Live::Live(const Source& source, metrics::Registry& registry, Options options)
    : source_(source), options_(options), probe_(registry) {}

void Live::add_routes(http::Router& router) {
  router.add({.method = http::Method::get,
              .path = "/ws",
              .role = http::Role::read,
              .handler = {.socket =
                              [this](http::Request&&, std::shared_ptr<http::Socket> socket) {
                                open(std::move(socket));
                              }},
              .operation = {},
              .body_bytes = limits::live_message_bytes});
}

void Live::start(http::Server& server) {
  server_ = &server;
  evaluation_ = std::make_unique<bus::Errands>(server, 1, "live");
  server_->once(options_.tick, [this] { tick(); });
}

// ---- clients ----

void Live::open(std::shared_ptr<http::Socket> socket) {
  if (clients_.size() >= options_.clients) {
    probe_.refused.add();
    return socket->close(1013, "as many follow as may");
  }
  const std::uint64_t id = next_client_++;
  Client& client = clients_[id];
  client.socket = std::move(socket);
  client.socket->on_message(
      [this, id](http::Socket::Kind, std::string_view said) { hear(id, said); });
  client.socket->on_closed([this, id](int) { drop(id); });
}

void Live::drop(std::uint64_t id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  for (const auto& [name, topic] : found->second.topics) unfollow(topic);
  clients_.erase(found);
}

void Live::hear(std::uint64_t id, std::string_view message) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = found->second;
  const auto refuse = [&](std::string_view why) {
    probe_.refused.add();
    const auto socket = client.socket;
    drop(id);
    socket->close(1008, why);
  };
  const auto ask = parse_live_ask(message);
  if (!ask) return refuse(ask.error().message);
  if (ask->alerts)
    client.alerts_told =
        *ask->alerts ? std::optional(client.alerts_told.value_or(last_alert_)) : std::nullopt;
  for (const std::string& name : ask->unsubscribe) {
    const auto topic = client.topics.find(name);
    if (topic == client.topics.end()) continue;
    unfollow(topic->second);
    client.topics.erase(topic);
  }
  std::string refused;
  for (const LiveAsk::Topic& topic : ask->subscribe) {
    const Status done = subscribe(client, topic);
    if (done) continue;
    probe_.refused.add();
    refused += refused.empty() ? "{\"topic\":" : ",{\"topic\":";
    append_json(refused, std::string_view(topic.name).substr(0, limits::live_topic_bytes));
    refused += ",\"error\":";
    append_json(refused, done.error().message);
    refused += '}';
  }
  if (refused.empty()) return;
  if (!client.socket->send(http::Socket::Kind::text, "{\"refused\":[" + refused + "]}"))
    refuse("what is said to you is not read");
}

Status Live::subscribe(Client& client, const LiveAsk::Topic& topic) {
  if (topic.name.empty() || topic.name.size() > limits::live_topic_bytes)
    return fail(Errc::bad_params,
                fmt::format("a topic's name has 1 to {} bytes", limits::live_topic_bytes));
  const auto known = client.topics.find(topic.name);
  const bool is_new = known == client.topics.end();
  if (is_new && client.topics.size() >= options_.client_topics)
    return fail(Errc::busy,
                fmt::format("a client follows at most {} topics", options_.client_topics));
  if (is_new && topics_ >= options_.topics)
    return fail(Errc::busy, "as many topics are followed as may");
  std::string canonical;
  auto query = query_of(topic.query, canonical);
  if (!query) return std::unexpected(std::move(query).error());
  ++(*query)->followers;
  ++topics_;
  if (!is_new) unfollow(known->second);
  client.topics.insert_or_assign(topic.name, Topic{std::move(canonical), std::move(*query)});
  return {};
}

Result<std::shared_ptr<Live::Query>> Live::query_of(const std::string& text,
                                                    std::string& canonical) {
  if (text.size() > limits::live_query_bytes)
    return fail(Errc::too_big,
                fmt::format("a query has at most {} bytes here", limits::live_query_bytes));
  auto node = promql::parse(text);
  if (!node) return std::unexpected(std::move(node).error());
  if ((*node)->type != promql::Type::vector && (*node)->type != promql::Type::scalar)
    return fail(Errc::bad_params, "a topic's query is an instant vector or a scalar");
  canonical = promql::text(**node);
  const auto known = queries_.find(canonical);
  if (known != queries_.end()) return known->second;
  if (queries_.size() >= options_.queries)
    return fail(Errc::busy, "as many distinct queries are followed as may");
  auto made = std::make_shared<Query>();
  made->node = std::move(*node);
  queries_.emplace(canonical, made);
  return made;
}

void Live::unfollow(const Topic& topic) {
  --topics_;
  if (--topic.value->followers > 0) return;
  result_bytes_ -= topic.value->said.size();
  topic.value->said.clear();
  queries_.erase(topic.query);
}

// ---- alerts ----

void Live::tell_alert(std::uint64_t sequence, std::string said) {
  last_alert_ = sequence;
  alerts_bytes_ += said.size();
  alerts_.emplace_back(sequence, std::move(said));
  while (alerts_.size() > options_.alerts || alerts_bytes_ > options_.alerts_bytes) {
    alerts_bytes_ -= alerts_.front().second.size();
    alerts_.pop_front();
  }
  for (auto& [id, client] : clients_) tell_alerts(client);
}

// What it was not told yet, as much as fits in a message.
void Live::tell_alerts(Client& client) {
  if (!client.alerts_told || *client.alerts_told >= last_alert_ || client.socket->queued() > 0)
    return;
  auto next = std::ranges::upper_bound(alerts_, *client.alerts_told, {},
                                       &std::pair<std::uint64_t, std::string>::first);
  const std::uint64_t first = next == alerts_.end() ? last_alert_ + 1 : next->first;
  std::string message = "{";
  if (first > *client.alerts_told + 1) {
    probe_.alert_gaps.add();
    message += fmt::format("\"alerts_gap\":[{},{}],", *client.alerts_told + 1, first - 1);
  }
  message += "\"alerts\":[";
  client.alerts_told = first - 1;
  for (bool is_first = true; next != alerts_.end(); ++next) {
    // Also what came when there was no room for it on the way is a gap, which the next one tells.
    if (next->first != *client.alerts_told + 1) break;
    if (!is_first && message.size() + next->second.size() > message_bytes) break;
    if (!std::exchange(is_first, false)) message += ',';
    message += next->second;
    client.alerts_told = next->first;
  }
  (void)client.socket->send(http::Socket::Kind::text, message + "]}");
}

// ---- ticks ----

void Live::tick() {
  server_->once(options_.tick, [this] { tick(); });
  ++tick_;
  look();
  for (auto& [id, client] : clients_) tell_alerts(client);
  if (evaluating_ || queries_.empty()) return;
  const auto round = std::make_shared<Round>();
  std::vector<Asked>& all = round->all;
  all.reserve(queries_.size());
  const auto first = queries_.lower_bound(first_);
  for (auto at = first; at != queries_.end(); ++at) all.push_back({at->first, at->second});
  for (auto at = queries_.begin(); at != first; ++at) all.push_back({at->first, at->second});
  round->at_ms = to_ns(SystemClock().wall()) / 1'000'000'000 * 1000;
  evaluating_ = evaluation_->put([this, round] {
    const auto began = steady_clock::now();
    evaluate(*round);
    round->took = steady_clock::now() - began;
    return [this, round] { take(*round); };
  });
}

// On the thread of its own. One that takes long leaves time for others.
void Live::evaluate(Round& round) const {
  const auto end = steady_clock::now() + options_.budget;
  const promql::Grid grid{round.at_ms, 1, 1};
  for (Asked& asked : round.all) {
    const auto now = steady_clock::now();
    if (now >= end) return;
    promql::EvaluateOptions options;
    options.samples = options_.samples;
    options.until = std::min(end, now + options_.budget / 2);
    const auto value = promql::evaluate(*asked.into->node, grid, source_, options);
    if (!value && value.error().code == Errc::deadline) continue;
    // The same values at another time are no news.
    const auto plain = value ? data_of(*value, promql::Grid{0, 1, 1}, true)
                             : Result<std::string>(std::unexpected(value.error()));
    asked.key = key_of(plain ? *plain : plain.error().message);
    if (plain && plain->size() > options_.result_bytes)
      asked.said = too_large(plain->size());
    else
      asked.said = body_of(plain ? answered(data_of(*value, grid, true)) : answered(plain));
    // As much as all may have together is held twice: what was said last, and this.
    if (round.bytes + asked.said->size() > options_.results_bytes) {
      asked.said = too_large(asked.said->size());
      asked.key = key_of(*asked.said);
    }
    round.bytes += asked.said->size();
  }
}

std::string Live::too_large(std::size_t bytes) const {
  const Error error{Errc::too_big,
                    fmt::format("the result has {} bytes: a topic has at most {}, and all "
                                "together {}",
                                bytes, options_.result_bytes, options_.results_bytes)};
  return body_of(failure(error, Fault::execution));
}

void Live::take(const Round& round) {
  using Seconds = std::chrono::duration<double>;
  evaluating_ = false;
  probe_.busy.set(Seconds(round.took) / Seconds(options_.tick));
  first_.clear();
  for (const Asked& asked : round.all) {
    Query& query = *asked.into;
    query.late = !asked.said;
    if (query.late) probe_.late.add();
    if (query.late && first_.empty()) first_ = asked.query;
    if (query.late || query.followers == 0) continue;
    if (query.version > 0 && query.key == asked.key) continue;
    std::string said = *asked.said;
    query.key = asked.key;
    if (result_bytes_ - query.said.size() + said.size() > options_.results_bytes) {
      // Its value is news again as soon as there is room.
      said = too_large(said.size());
      query.key = key_of(said);
      if (query.version > 0 && said == query.said) continue;
    }
    result_bytes_ += said.size();
    result_bytes_ -= query.said.size();
    query.said = std::move(said);
    ++query.version;
  }
  for (auto& [id, client] : clients_) tell(client, round.at_ms);
}

void Live::tell(Client& client, std::int64_t at_ms) {
  if (client.topics.empty()) return;
  if (client.socket->queued() > 0) {
    if (!client.behind_from) client.behind_from = tick_;
    return;
  }
  if (const auto from = std::exchange(client.behind_from, std::nullopt)) {
    probe_.gaps.add();
    (void)client.socket->send(http::Socket::Kind::text,
                              fmt::format("{{\"gap\":[{},{}]}}", *from, tick_ - 1));
  }
  const std::string message = message_of(client, at_ms);
  if (message.empty()) return;
  probe_.messages.add();
  (void)client.socket->send(http::Socket::Kind::text, message);
}

// Empty: nothing changed, and nothing is late. Where not all fits, the next one begins behind it.
std::string Live::message_of(Client& client, std::int64_t at_ms) const {
  std::string values;
  std::string late;
  std::string last;
  const auto add = [&](const std::string& name, Topic& topic) {
    if (topic.value->late) {
      if (!late.empty()) late += ',';
      append_json(late, name);
    }
    if (topic.told == topic.value->version) return true;
    if (values.size() + topic.value->said.size() > message_bytes && !values.empty()) return false;
    if (!values.empty()) values += ',';
    append_json(values, name);
    values.append(":").append(topic.value->said);
    topic.told = topic.value->version;
    last = name;
    return true;
  };
  const auto first = client.topics.upper_bound(std::exchange(client.after, {}));
  bool all = true;
  for (auto at = first; all && at != client.topics.end(); ++at) all = add(at->first, at->second);
  for (auto at = client.topics.begin(); all && at != first; ++at) all = add(at->first, at->second);
  if (!all) client.after = last;
  if (values.empty() && late.empty()) return {};
  std::string message =
      fmt::format("{{\"tick\":{},\"time\":{},\"topics\":{{{}}}", tick_, at_ms / 1000, values);
  if (!late.empty()) message.append(",\"late\":[").append(late).append("]");
  if (!all) message += ",\"more\":true";
  return message + "}";
}

void Live::look() {
  probe_.clients.set(static_cast<double>(clients_.size()));
  probe_.topics.set(static_cast<double>(topics_));
  probe_.queries.set(static_cast<double>(queries_.size()));
  probe_.alerts_bytes.set(static_cast<double>(alerts_bytes_));
  probe_.result_bytes.set(static_cast<double>(result_bytes_));
  probe_.behind.set(static_cast<double>(std::ranges::count_if(
      clients_, [](const auto& one) { return one.second.behind_from.has_value(); })));
}

}  // namespace tallymill::collector
