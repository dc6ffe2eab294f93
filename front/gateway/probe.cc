#include "front/gateway/probe.h"

namespace tallymill::gateway {

Probe::Probe(metrics::Registry& registry)
    : lines_(&registry.gauge("tallymill_gateway_lines",
                             "Clients by name that submit over HTTP, each with its connection.")),
      followers_(&registry.gauge("tallymill_gateway_followers",
                                 "Streams and WebSockets that follow events.")),
      feed_bytes_(&registry.gauge("tallymill_gateway_feed_bytes",
                                  "Events that are held for those who follow them.")),
      waits_(&registry.gauge("tallymill_gateway_waits",
                             "Requests that wait for the end of their job.")),
      upload_pieces_(&registry.gauge("tallymill_gateway_upload_pieces",
                                     "Pieces of bodies that wait to be written.")),
      wires_(&registry.gauge("tallymill_wire_sockets",
                             "Clients that speak the wire through a WebSocket.")),
      wire_waiting_bytes_(&registry.gauge("tallymill_wire_waiting_bytes",
                                          "Bytes that wait between such clients and the front.")),
      wire_denied_(&registry.counter("tallymill_wire_denied_total",
                                     "Messages that the role of their token may not send.")),
      wires_refused_(&registry.counter("tallymill_wire_refused_total",
                                       "Such connections that were ended from here.")) {}

}  // namespace tallymill::gateway
