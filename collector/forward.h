// Forward: what a page asks under /v1 is the front's to answer: passed on to its HTTP, and the
// answer passed back, so that the page speaks to one origin.
//
//   page ──▶ http::Server, its door rules ──▶ Forward ──▶ http::Client ──▶ the front's HTTP
//
// The caller was let in by the collector's own guard. The front then judges for itself: it is told
// the caller's Authorization, its own Host, and no Origin. What belongs to one connection stays
// there (RFC 9110, 7.6.1); path and query go on as they came.
//
// Bodies go through in pieces, in both directions, as fast as the slower side takes them; a
// WebSocket message by message, and its goodbye with code and reason. A client that leaves takes
// its request to the front with it.
//
//   invariant: of a request are held one piece of each body and what waits in its outlet; of a
//              WebSocket one message beside the outlets of its two ends
//   invariant: at most limits::forward_requests, and as many WebSockets as limits::forward_sockets,
//              from when the front is asked for one; one more is told to come later (503)
//   invariant: with tokens here and none at the front, who may not operate gets no /v1/wire: its
//              verbs would be judged by nobody
//
// A front that cannot be reached is 502, one that does not answer in time 504.
//
// Threads: the server's; stop() by its maker when that has ended.
// Source: RFC 9110, 7.6 (message forwarding).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/metrics.h"
#include "http/client.h"
#include "http/router.h"
#include "http/server.h"

namespace tallymill::collector {

// Its metrics, names and labels only here. Threads: the server's.
class ForwardProbe {
 public:
  explicit ForwardProbe(metrics::Registry& registry);
  metrics::Gauge& requests;
  metrics::Gauge& sockets;
  metrics::Counter& answered;
  metrics::Counter& away;
  metrics::Counter& late;
  metrics::Counter& broken;
  metrics::Counter& left;
  metrics::Counter& full;
};

// "127.0.0.1:7780" or "http://mill.example/below" -> the URL without a slash at its end.
// bad_params: it is none.
[[nodiscard]] Result<std::string> front_url(std::string_view said);

// The fields of a request as the front is told them.
[[nodiscard]] http::Headers forwarded_fields(const http::Request& request);
// The fields of the front's answer as the client is told them.
[[nodiscard]] http::Headers answered_fields(const http::Headers& front);

class Forward {
 public:
  struct Options {
    std::string front;     // see front_url()
    bool guarded = false;  // there are tokens here
    Duration answer = limits::forward_answer;
    std::size_t requests = limits::forward_requests;
    std::size_t sockets = limits::forward_sockets;
    Bytes body = limits::forward_body_bytes;
  };

  Forward(http::Server& server, metrics::Registry& registry, Options options);
  // bad_params: see http::Client::start().
  [[nodiscard]] Status start() { return client_.start(); }
  void add_routes(http::Router& router);
  void stop() { client_.stop(); }

 private:
  class Relay;
  class Inlet;
  class Tie;
  class Place;
  [[nodiscard]] std::unique_ptr<http::BodyReader> forward(http::Request&& request,
                                                          http::Answer answer);
  void open_socket(http::Request&& request, http::Answer answer);
  void dial(const http::Request& request, http::Answer answer, std::shared_ptr<Place> place);
  // Who hears of the front's own tokens only: `answer` goes on, or is refused.
  void dial_if_judged(const http::Request& request, http::Answer answer,
                      std::shared_ptr<Place> place);

  const Options options_;
  ForwardProbe probe_;
  std::size_t requests_ = 0;
  std::size_t sockets_ = 0;
  http::Client client_;
};

}  // namespace tallymill::collector
