// Wire: the bus through a WebSocket (docs/protocol.md, "Through a WebSocket"): for who may reach
// the front over HTTP only. Each is a client of the front like any other, with a connection of its
// own to it, over which its messages go as they came.
//
//   http::Client ──frames packed, one message──▶ Wire: whose, may it? ──DEALER, inproc──▶ Front
//
// What is looked at on the way: the verbs, against the role of the caller's token; and the name in
// hello, which with tokens is the token's. What a caller may not ask is answered E_DENIED here and
// never reaches the front.
//
// A client that does not read is held up, not hung up: nothing is taken from the front until it has
// read what was sent, so that the front counts what waits for it, and tells of a gap, as on tcp.
//
//   invariant: a message that is passed holds only verbs that its caller's role may ask
//   invariant: of a client are held one message of the front's, and limits::wire_waiting_bytes of
//              its own that the front has not taken, or of refusals that it has not read
//
// Threads: the HTTP server's; judge() any.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <zmq.hpp>

#include "bus/envelope.h"
#include "front/gateway/probe.h"
#include "http/message.h"
#include "http/server.h"

namespace tallymill::gateway {

// The least role that may ask this; the same as over HTTP (routes.cc).
[[nodiscard]] http::Role role_of(bus::Verb verb);

// A caller's message: what of it goes to the front, and what is answered instead. Either may be
// empty. What cannot be read is passed: the front refuses it as at any other door.
struct Judged {
  bus::Frames passed;
  bus::Frames answer;
  std::size_t denied = 0;  // messages
};
[[nodiscard]] Judged judge(bus::Frames&& frames, const http::Caller& caller);

// One client's connection.
class Wire : public std::enable_shared_from_this<Wire> {
 public:
  Wire(http::Server& server, Probe& probe, http::Caller caller, zmq::socket_t&& front,
       std::shared_ptr<http::Socket> client);
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // A message of the client's. False: it may not go on speaking; why was said to it.
  [[nodiscard]] bool hear(http::Socket::Kind kind, std::string_view untrusted);
  // What waits for either side goes on its way, as far as there is room.
  void move();

 private:
  [[nodiscard]] bool to_front(bus::Frames&& frames);
  [[nodiscard]] bool to_client(const bus::Frames& frames);
  [[nodiscard]] bool full(std::int64_t more);
  void wait(std::int64_t bytes);

  http::Server& server_;
  Probe& probe_;
  const http::Caller caller_;
  zmq::socket_t front_;
  int fd_;
  std::shared_ptr<http::Socket> client_;
  bus::Frames frames_;
  std::deque<bus::Frames> to_front_;   // what the front has no room for
  std::deque<std::string> to_client_;  // what the client has no room for, packed
  std::int64_t waiting_bytes_ = 0;     // of both
  bool moving_ = false;
};

// All of them.
class Wires {
 public:
  // `front`: its endpoint, in `context`.
  Wires(http::Server& server, zmq::context_t& context, std::string front, Probe& probe)
      : server_(server), context_(context), front_(std::move(front)), probe_(probe) {}

  // Beyond limits::wire_sockets it is closed with 1013: try again later.
  void open(const http::Caller& caller, const std::shared_ptr<http::Socket>& client);
  void move_all() {
    for (const auto& [id, wire] : wires_) wire->move();
  }
  [[nodiscard]] std::size_t size() const { return wires_.size(); }

 private:
  void drop(std::uint64_t id);

  http::Server& server_;
  zmq::context_t& context_;
  std::string front_;
  Probe& probe_;
  std::map<std::uint64_t, std::shared_ptr<Wire>> wires_;
  std::uint64_t last_id_ = 0;
};

}  // namespace tallymill::gateway
