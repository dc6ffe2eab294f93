// Tunnel: the bus through a WebSocket of a server (docs/protocol.md, "Through a WebSocket"): how a
// command reaches a front that it can reach over HTTP only.
//
//   bus::Client ──Link──▶ Tunnel ──http::Client──▶ GET /v1/wire ──▶ the front's gateway
//
// To the client it is a connection like any other: it tries until it is there, and breaks when the
// WebSocket does, whereupon the client makes another one and goes on where it was. A server that is
// no front, or does not know the token, is told as the reason why there is no connection.
//
//   invariant: what waits is bounded: limits::tunnel_out_bytes to the server, or one message, and
//              limits::tunnel_in_bytes from it; beyond that nothing more is read
//
// Threads: the client's; the WebSocket's calls are made on the thread of http::Client.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "bus/link.h"
#include "http/client.h"

namespace tallymill::cli {

// "http://..." and "https://...": what a Tunnel leads to.
[[nodiscard]] bool is_http(std::string_view server);

struct TunnelOptions {
  std::string server;  // "https://mill.example:7780", or with a path before /v1/wire
  Secret token = {};   // empty: none
  std::string ca_file = {};
  bool insecure = false;  // http:// to another host
};

class Tunnel {
 public:
  // bad_params: no such URL, or the CA file cannot be read; denied: others could read along.
  [[nodiscard]] static Result<std::unique_ptr<Tunnel>> to(TunnelOptions options);

  // For ClientOptions::dial. REQUIRES: the tunnel outlives the client.
  [[nodiscard]] Result<std::unique_ptr<bus::Link>> dial(bus::Loop& loop, bus::LinkCalls calls);

 private:
  Tunnel(std::string url, http::ClientOptions options);

  const std::string url_;  // of the wire
  http::Client client_;
};

}  // namespace tallymill::cli
