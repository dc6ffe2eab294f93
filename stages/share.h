// share: one frame in two messages.
//
// Threads: the one that has `frame`.
#pragma once

#include <zmq.hpp>

namespace tallymill::stages {

// The same bytes; a large frame is shared, not copied.
inline zmq::message_t share(const zmq::message_t& frame) {
  zmq::message_t copy;
  // libzmq counts the references of a message, and starts to do so in the original.
  copy.copy(const_cast<zmq::message_t&>(frame));
  return copy;
}

}  // namespace tallymill::stages
