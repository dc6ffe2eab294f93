// Live: the collector's feed for pages, /ws: the latest value of each topic, once a second.
//
// A client names topics, each with a PromQL query (live_ask.h). Each tick, every distinct query is
// evaluated once, however many follow it, and each client gets one message with those of its topics
// whose value changed. There is no replay: who was away reads the present.
//
//   clients ──queries──▶ Live ──each once──▶ evaluation, on a thread ──▶ one message a client
//
// A client that has not taken the last message when the next is due is left alone: it costs nothing
// until it has, is then told {"gap": [first, last]} of the ticks that passed it by, and goes on
// with what is true now. http ends it when it takes nothing at all.
//
// Who wants them is told of alerts as they change, each with a sequence number: at once, or with
// the next tick where the last message is not taken yet. The last Options::alerts are remembered
// for that; who is further behind is told {"alerts_gap": [first, last]}.
//
//   invariant: clients, topics, queries, their texts and results are bounded (limits::live_*); what
//              would be one more is refused, and what is there goes on
//   invariant: evaluation takes limits::live_budget of a tick at most; queries that were not
//              reached are told as "late", and go first in the next tick
//
// Threads: the server's; evaluation on one of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/metrics.h"
#include "bus/errands.h"
#include "collector/live_ask.h"
#include "collector/promql/ast.h"
#include "collector/query.h"
#include "http/exchange.h"
#include "http/router.h"
#include "http/server.h"

namespace tallymill::collector {

// Its metrics, names and labels only here. Threads: the server's.
class LiveProbe {
 public:
  explicit LiveProbe(metrics::Registry& registry);
  metrics::Gauge& clients;
  metrics::Gauge& topics;
  metrics::Gauge& queries;
  metrics::Gauge& result_bytes;
  metrics::Gauge& behind;
  metrics::Gauge& busy;
  metrics::Gauge& alerts_bytes;
  metrics::Counter& messages;
  metrics::Counter& gaps;
  metrics::Counter& late;
  metrics::Counter& alert_gaps;
  metrics::Counter& refused;
};

class Live {
 public:
  // Bounds that tests lower.
  struct Options {
    std::size_t clients = limits::live_clients;
    std::size_t client_topics = limits::live_client_topics;
    std::size_t topics = limits::live_topics;
    std::size_t queries = limits::live_queries;
    Duration tick = limits::live_tick;
    Duration budget = limits::live_budget;
    std::size_t result_bytes = limits::live_result_bytes;
    std::size_t results_bytes = limits::live_results_bytes;
    std::size_t samples = limits::live_samples;
    // What is remembered of alerts: 10,000 that change at once have 8 MiB.
    std::size_t alerts = 1'000;
    std::size_t alerts_bytes = 1 << 20;
  };

  Live(const Source& source, metrics::Registry& registry, Options options);
  void add_routes(http::Router& router);
  void start(http::Server& server);
  void stop() { evaluation_.reset(); }
  // An alert changed: JSON, and its number, which rises. REQUIRES: the server's thread.
  void tell_alert(std::uint64_t sequence, std::string said);

 private:
  struct Query {
    std::shared_ptr<const promql::Node> node;
    std::size_t followers = 0;
    std::uint64_t version = 0;  // 0: it has no value yet
    std::size_t key = 0;        // of the value without its time; of an error, of that
    std::string said;           // {"status": ...}, as the API would
    bool late = false;
  };
  struct Topic {
    std::string query;
    std::shared_ptr<Query> value;
    std::uint64_t told = 0;  // which version
  };
  struct Client {
    std::shared_ptr<http::Socket> socket;
    std::map<std::string, Topic, std::less<>> topics;
    std::optional<std::uint64_t> behind_from;  // the first tick that it was not told of
    std::string after;                         // the topic up to which the last message had room
    std::optional<std::uint64_t> alerts_told;  // the last one; nothing: it does not want them
  };
  // One query on its way through an evaluation.
  struct Asked {
    std::string query;
    std::shared_ptr<Query> into;
    std::optional<std::string> said = {};  // nothing: there was no time
    std::size_t key = 0;
  };
  struct Round {
    std::vector<Asked> all;
    std::int64_t at_ms = 0;
    Duration took{};
    std::size_t bytes = 0;  // of what was said
  };

  void open(std::shared_ptr<http::Socket> socket);
  void hear(std::uint64_t id, std::string_view message);
  [[nodiscard]] Status subscribe(Client& client, const LiveAsk::Topic& topic);
  [[nodiscard]] Result<std::shared_ptr<Query>> query_of(const std::string& text,
                                                        std::string& canonical);
  void unfollow(const Topic& topic);
  void drop(std::uint64_t id);

  void tick();
  void evaluate(Round& round) const;
  [[nodiscard]] std::string too_large(std::size_t bytes) const;
  void take(const Round& round);
  void tell(Client& client, std::int64_t at_ms);
  [[nodiscard]] std::string message_of(Client& client, std::int64_t at_ms) const;
  void tell_alerts(Client& client);
  void look();

  const Source& source_;
  const Options options_;
  LiveProbe probe_;
  http::Server* server_ = nullptr;
  std::unique_ptr<bus::Errands> evaluation_;
  std::map<std::uint64_t, Client> clients_;
  std::uint64_t next_client_ = 1;
  std::map<std::string, std::shared_ptr<Query>> queries_;  // by their one form of text
  std::size_t topics_ = 0;
  std::size_t result_bytes_ = 0;
  std::uint64_t tick_ = 0;
  std::string first_;  // the query that goes first in the next tick
  std::deque<std::pair<std::uint64_t, std::string>> alerts_;  // the last of them
  std::uint64_t last_alert_ = 0;
  std::size_t alerts_bytes_ = 0;
  bool evaluating_ = false;
};

}  // namespace tallymill::collector
