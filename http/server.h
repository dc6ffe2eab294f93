// Server: HTTP/1.1 and WebSocket on one thread of its own, hard enough to stand on a public port.
//
//   Router router;
//   router.add({Method::get, "/healthz", Role::none, {.whole = ...}, {...}});
//   Server server(std::move(router), {.listen = "127.0.0.1:7780"});
//   if (auto opened = server.open(); !opened) ...
//   server.start();
//
// Each connection is a coroutine: header, guard, body, handler, answer, and again. A request that
// was pipelined waits until the one before it was answered. Handlers run on the server's thread and
// must not block; whoever answers from another thread comes back with post().
//
//   invariant: a connection holds at most one request, its body up to the route's bound, and
//              limits::http_outlet_bytes (or one message) of what it was not able to send yet
//   invariant: bodies that are read whole have at most limits::http_bodies_bytes together, from
//              when they are read until they are answered; one that finds no room is told 503. Of
//              those that are read in pieces a connection holds one piece
//
// What handlers hold of it may live longer than it: an Answer, an Outlet, a Socket then goes
// nowhere. When it ends, their calls are made for the last time, on its thread.
//
// Threads: made, opened and started anywhere; stop() from any but its own; drain() and post() from
// any; the rest on the server's thread, or before start().
// Source: Boost.Beast reads and writes the protocol, Boost.Asio waits; neither is seen outside
// connection.cc, server.cc and what only they include (bell.h, write_behind.h: Asio alone).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "http/exchange.h"
#include "http/guard.h"
#include "http/router.h"

namespace boost::asio {
class io_context;
}

namespace tallymill::http {

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // host:port; port 0: one that the system chooses
  GuardOptions guard = {};
  std::string certificate = {};  // PEM files: with both, TLS
  std::string key = {};
  bool socket_deflate = false;  // permessage-deflate: 46 KB a client, worth it over the internet
  std::string thread = "http";  // its name
  bool access_log = false;      // a line of the log for each request
  // Bounds that tests lower; see limits.h.
  std::size_t connections = 0;
  std::size_t bodies_bytes = 0;
  Duration header_time{};
  Duration idle{};
  Duration transfer_grace{};
  Duration ping{};
};

class Server {
 public:
  // `registry`: where it registers its metrics; nullptr: it has none.
  Server(Router router, ServerOptions options, metrics::Registry* registry = nullptr);
  ~Server();  // stops
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds. busy: the port is taken; denied: other hosts can reach the address and the guard lets
  // everybody in; bad_params: no address, no such certificate, no host.
  [[nodiscard]] Status open();
  [[nodiscard]] std::uint16_t port() const;
  void start();
  // No new connections; idle ones and WebSockets (1001) are closed, requests are answered, for at
  // most `patience`; then the thread ends, and `done` is called as the last thing on it. Returns at
  // once.
  void drain(Duration patience, std::function<void()> done = {});
  // Ends the thread and waits for it.
  void stop();

  // Serves these rows from now on; requests that came before are answered by the rows they met.
  void change(Router router);

  // `work` on the server's thread, soon. Any thread.
  void post(std::function<void()> work);
  // Calls `ready` when the descriptor becomes readable (an edge: read until there is no more).
  void watch(int fd, std::function<void()> ready);
  void unwatch(int fd);
  using TimerId = std::uint64_t;
  TimerId once(Duration delay, std::function<void()> fire);
  void cancel(TimerId timer);
  // For a Client that lives on the server's thread.
  [[nodiscard]] boost::asio::io_context& context();

  struct State;  // of server.cc

 private:
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::http
