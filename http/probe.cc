#include "http/probe.h"

#include "base/check.h"

namespace tallymill::http {

Probe::Probe(metrics::Registry* registry)
    : registry_(registry == nullptr ? own_ : *registry),
      connections_(&registry_.gauge("tallymill_http_connections",
                                    "Connections that are open, also idle ones.")),
      in_flight_(&registry_.gauge("tallymill_http_requests_in_flight",
                                  "Requests whose answer is not on its way yet.")),
      sockets_(&registry_.gauge("tallymill_http_sockets", "WebSockets that are open.")),
      streams_(&registry_.gauge("tallymill_http_streams", "Answers that are streams, and open.")),
      outlet_bytes_(&registry_.gauge("tallymill_http_outlet_bytes",
                                     "Bytes that wait for readers of streams and WebSockets.")),
      body_bytes_(&registry_.gauge("tallymill_http_body_bytes",
                                   "Bytes of request bodies that are held until they are "
                                   "answered.")),
      received_bytes_(&registry_.counter("tallymill_http_received_bytes_total",
                                         "Bytes of request bodies and WebSocket messages.")),
      sent_bytes_(&registry_.counter("tallymill_http_sent_bytes_total",
                                     "Bytes of responses, streams and WebSocket messages.")),
      outlet_full_(&registry_.counter("tallymill_http_outlets_full_total",
                                      "Times that a slow reader's outlet took no more.")),
      accept_failed_(&registry_.counter("tallymill_http_accepts_failed_total",
                                        "Connections that no descriptor was left for.")) {
  for (const char* why : {"header_time", "idle", "body_rate", "reader_rate", "displaced", "refused",
                          "bad_request", "silent", "leaving", "linger"})
    cuts_.emplace(
        why, &registry_.counter("tallymill_http_cut_total",
                                "Connections that were ended from here, and why.", {{"why", why}}));
}

void Probe::answered(std::string_view route, Method method, int status, Duration took) {
  auto of = routes_.find(route);
  if (of == routes_.end()) of = routes_.emplace(route, OfRoute{}).first;
  auto& [requests, seconds] = of->second;
  if (seconds == nullptr)
    seconds = &registry_.histogram("tallymill_http_request_seconds",
                                   "From a request's header to the head of its answer.",
                                   {{"route", std::string(route)}});
  auto& counter = requests[{method, status}];
  if (counter == nullptr)
    counter = &registry_.counter("tallymill_http_requests_total", "Requests that were answered.",
                                 {{"route", std::string(route)},
                                  {"method", std::string(name_of(method))},
                                  {"status", std::to_string(status)}});
  counter->add();
  seconds->record(took);
}

void Probe::cut(std::string_view why) {
  const auto of = cuts_.find(why);
  TM_CHECK(of != cuts_.end());
  of->second->add();
}

}  // namespace tallymill::http
