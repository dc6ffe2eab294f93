// Control: the worker's socket to the front's control door.
//
// A DEALER whose routing id is the incarnation. What a turn of the loop wants to say is packed and
// leaves at the end of the turn; while there is no connection it is dropped, since every word here
// is healed by a later hello or beat, and stale ones would only mislead a front that was away.
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <zmq.hpp>

#include "bus/endpoints.h"
#include "bus/envelope.h"
#include "bus/loop.h"
#include "stages/shared.h"

namespace tallymill::stages {

class Control {
 public:
  struct On {
    std::function<void()> up;  // a connection is there: the first one, or another
    std::function<void(const bus::Item&)> item;
  };
  Control(Shared& shared, bus::Loop& loop, On on);
  ~Control();

  // Errors as bus::open_socket.
  [[nodiscard]] Status connect(const std::string& endpoint, bool insecure);

  [[nodiscard]] bool is_up() const { return up_; }
  // For this turn's messages.
  [[nodiscard]] bus::Packer& out();
  // Sends them now; the loop does so at the end of each turn.
  void flush();
  // Sends frames of their own.
  void send(bus::Frames&& frames);

 private:
  void read_monitor();
  void receive();

  Shared& shared_;
  bus::Loop& loop_;
  On on_;
  zmq::socket_t socket_;  // before monitor_, which must go first
  std::unique_ptr<bus::Monitor> monitor_;
  bus::Packer packer_;
  bool up_ = false;
};

}  // namespace tallymill::stages
