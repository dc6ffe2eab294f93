// Lane: the way into one worker, for one sender: a PUSH socket to one lane number of one worker
// incarnation.
//
// The sender's credits see to it that no more goes in than the worker holds; the lane's own part is
// that nothing is sent twice or to somebody else. It connects once. When that connection breaks, or
// a send is refused, the lane is broken for good: what it had not written is dropped, it is closed
// without lingering and never reused. A living worker then binds the next lane number and says
// hello again.
//
// Every job that goes in has a number, from 1, so that the worker sees what did not come.
//
//   invariant: once broken, always broken; a number is given out once
//
// Threads: the sender's loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "bus/endpoints.h"
#include "bus/envelope.h"

namespace tallymill::bus {

class Lane {
 public:
  enum class State : std::uint8_t { connecting, open, broken };

  // What the worker's hello says of its lane.
  struct Name {
    std::string worker;  // incarnation
    std::int32_t number = 1;
    std::string endpoint;
  };

  // Starts to connect. Errors as open_socket.
  [[nodiscard]] static Result<std::unique_ptr<Lane>> connect(zmq::context_t& context, Name name,
                                                             bool insecure = false);

  [[nodiscard]] const Name& name() const { return name_; }
  [[nodiscard]] State state() const { return state_; }

  // Readable when the connection may have changed: watch it on the loop, and call update().
  [[nodiscard]] zmq::socket_t& events() { return monitor_->socket(); }
  State update();

  // The number for the next job: Work::number.
  // REQUIRES: the job goes into the next send().
  [[nodiscard]] std::int64_t take_number() { return ++numbered_; }
  // Numbers given out: what this lane has sent, or lost when it broke.
  [[nodiscard]] std::int64_t numbered() const { return numbered_; }

  // Gives the frames to the socket, without waiting. An error means that the lane is broken and
  // nothing of these frames was sent; what is done about the jobs in it is decided by their leases.
  // REQUIRES: state() is open.
  [[nodiscard]] Status send(Frames&& frames);

 private:
  Lane(Name name, zmq::socket_t&& socket, std::unique_ptr<Monitor>&& monitor);

  Name name_;
  State state_ = State::connecting;
  std::int64_t numbered_ = 0;
  zmq::socket_t socket_;  // before monitor_, which must go first
  std::unique_ptr<Monitor> monitor_;
};

}  // namespace tallymill::bus
