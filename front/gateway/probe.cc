#include "front/gateway/probe.h"

namespace tallymill::gateway {

Probe::Probe(metrics::Registry& registry)
    : wires_(&registry.gauge("tallymill_wire_sockets",
                             "Clients that speak the wire through a WebSocket.")),
      wire_waiting_bytes_(&registry.gauge("tallymill_wire_waiting_bytes",
                                          "Bytes that wait between such clients and the front.")),
      wire_denied_(&registry.counter("tallymill_wire_denied_total",
                                     "Messages that the role of their token may not send.")),
      wires_refused_(&registry.counter("tallymill_wire_refused_total",
                                       "Such connections that were ended from here.")) {}

}  // namespace tallymill::gateway
