// Link: a client's connection to its front as the client sees it: whole messages in and out, and
// word of when it came and went. One over ZeroMQ is here; who reaches a front another way makes
// Links of its own and gives them to a Client as ClientOptions::dial.
//
// A Link tries to connect until it is, and breaks once: the client then drops it and dials again.
//
//   invariant: what is received came whole, in order, and after `connected`
//
// Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "base/result.h"
#include "bus/envelope.h"
#include "bus/loop.h"

namespace tallymill::bus {

// What its maker is to be told, on the loop. Either may end the Link.
struct LinkCalls {
  std::function<void()> changed;   // next() has one
  std::function<void()> readable;  // receive() may have one
};

class Link {
 public:
  struct Change {
    enum class What : std::uint8_t {
      connected,
      disconnected,
      failed,  // it could not connect, and tries again
    };
    What what = What::connected;
    // Why not, where that is known. With a code that is not worth a retry nobody tries again.
    std::optional<Error> why = {};
  };

  virtual ~Link() = default;
  // The next change, if there is one.
  [[nodiscard]] virtual bool next(Change& change) = 0;
  // The next message, if there is one; `into` is cleared first and keeps its memory.
  [[nodiscard]] virtual bool receive(Frames& into) = 0;
  // As bus::send: busy, and the frames are still the caller's, or away.
  [[nodiscard]] virtual Status send(Frames&& frames) = 0;
};

// A DEALER to the jobs door at `endpoint`. Errors as bus::open_socket. The context and the loop
// must outlive it.
struct ZmqLinkOptions {
  std::string endpoint;
  std::string routing_id;
  bool insecure = false;
};
[[nodiscard]] Result<std::unique_ptr<Link>> open_zmq_link(zmq::context_t& context, Loop& loop,
                                                          const ZmqLinkOptions& options,
                                                          LinkCalls calls);

}  // namespace tallymill::bus
