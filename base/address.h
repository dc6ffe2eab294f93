// Address: what an endpoint such as tcp://127.0.0.1:7750 says, and whether the world can reach it.
//
// Every door is on loopback or ipc unless the operator says otherwise in words (--insecure). The
// judgement is made from the text alone, without asking a resolver: a name that is not known to be
// local counts as routable.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill {

struct Endpoint {
  std::string transport;   // "tcp", "ipc"
  std::string host;        // tcp: without brackets; ipc: the path
  std::uint16_t port = 0;  // tcp only; 0 when the system is to choose ("*")
};

// bad_params: another transport, no port, a port that is none, a path that does not fit a socket.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view text);

// That no other host can reach it: ipc, inproc, 127.0.0.0/8, ::1, "localhost", the interface "lo".
[[nodiscard]] bool is_loopback(std::string_view endpoint);

// The endpoint `told` by a peer, as it is reached by one who reached that peer at `reached`: the
// port is right, but the host is how the peer names itself, which may be "any" or its loopback.
[[nodiscard]] std::string beside(std::string_view reached, std::string_view told);

// The address of this host that a peer at `endpoint` sees: where a lane must be bound for it. Loop-
// back when the endpoint is, is no tcp address, or cannot be reached. Sends nothing.
[[nodiscard]] std::string address_towards(std::string_view endpoint);

}  // namespace tallymill
