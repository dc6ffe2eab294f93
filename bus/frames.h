// Frames over sockets: whole messages in and out, without waiting and without exceptions.
//
// Threads: the socket's.
#pragma once

#include <string>

#include "bus/envelope.h"

namespace tallymill::bus {

// Where a ROUTER's message came from, and where the answer goes.
struct Route {
  std::string peer;        // routing id
  bool delimiter = false;  // a REQ socket puts an empty frame in front, and wants it back
  friend bool operator==(const Route&, const Route&) = default;
};

// The next message, if there is one; false otherwise. `into` is cleared first and keeps its memory.
// Frames beyond what an envelope may have are dropped but for one, for which decode() refuses it.
[[nodiscard]] bool receive(zmq::socket_t& socket, Frames& into);
// The same on a ROUTER: the routing id and a REQ's delimiter come off.
[[nodiscard]] bool receive(zmq::socket_t& router, Route& from, Frames& into);

// Sends one message now or not at all: a peer gets it whole or nothing of it, and the next message
// is not touched by what became of this one. busy: the peer's queue is full, or nobody is connected
// (a socket with IMMEDIATE); away: a ROUTER knows no such peer. With either the frames are still
// the caller's. away also when the connection broke while the message was being written: then
// `frames` is empty. Without an error libzmq has the message; a connection that breaks later loses
// it all the same.
[[nodiscard]] Status send(zmq::socket_t& socket, Frames&& frames);
[[nodiscard]] Status send(zmq::socket_t& router, const Route& to, Frames&& frames);

}  // namespace tallymill::bus
