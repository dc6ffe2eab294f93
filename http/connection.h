// Connection: one client of a server, from its first byte to its last, and what all of them share.
//
// server.cc accepts connections and ends those that are late; connection.cc speaks with them. Both
// are one library's inside: nobody else includes this.
//
// Threads: the server's.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>

#include "http/guard.h"
#include "http/held_bodies.h"
#include "http/probe.h"
#include "http/router.h"
#include "http/server.h"

namespace boost::asio {
class io_context;
namespace ssl {
class context;
}
}  // namespace boost::asio

namespace tallymill::http {

using SteadyTime = std::chrono::steady_clock::time_point;

// What the sweep and the list of idle ones know of a connection.
class AnyConnection {
 public:
  virtual ~AnyConnection() = default;
  // Ends what it waits for; `why` is counted. Its coroutine says what is to be said.
  virtual void cut(std::string_view why) = 0;
  // The server leaves: closed now when it is in no request, else after it.
  virtual void leave() = 0;
  // The server has ended: handlers are told, and let go.
  virtual void abandon() = 0;
  // What the sweep sees of it: cut when it is past its deadline.
  virtual void look(SteadyTime at) = 0;

  SteadyTime deadline = SteadyTime::max();
  std::string_view deadline_of = "idle";
  std::optional<std::list<AnyConnection*>::iterator> resting;  // its place while in no request
};

// What the connections of one server share.
struct Shared {
  Shared(Router&& routes, ServerOptions&& said, metrics::Registry* registry);

  // Of this second, as a response's head says it.
  [[nodiscard]] std::string_view date();

  // Of a request: 16 hexadecimal digits.
  [[nodiscard]] std::string random_id();

  [[nodiscard]] const Router& router() const { return routers.back(); }

  std::list<Router> routers;  // the last is served; requests that came before know the others
  ServerOptions options;
  Probe probe;
  const Duration header_time;
  const Duration idle;
  const Duration grace;
  const Duration ping;
  const std::shared_ptr<HeldBodies> bodies;
  std::optional<Guard> guard;
  std::set<AnyConnection*> connections;
  std::list<AnyConnection*> resting;  // in no request, longest first
  std::function<void()> left;         // one has ended

 private:
  std::mt19937_64 random_{std::random_device{}()};  // not for secrets
  std::string date_;
  std::int64_t date_second_ = -1;
};

// Serves the client at this socket, which becomes its own. `tls`: nullptr for plain text.
void begin_connection(Shared& shared, boost::asio::io_context& context,
                      boost::asio::ssl::context* tls, int socket, bool ipv6);

// Nothing on the server's thread throws but a lack of memory: the coroutine goes, the server stays.
void log_end(const std::exception_ptr& thrown);

}  // namespace tallymill::http
