// Publish: says on a ZeroMQ PUB socket what alerts do, to whoever listens just now.
//
// Two frames: the topic, `alert.<state>.<name>` (pending, firing, resolved, inactive), and JSON
// with an epoch, that of this publisher, and a sequence, which rises by 1 with each notice whatever
// its topic: who listens to all of them finds a gap by it. Best effort: what a listener does not
// take in time is gone.
//
// Threads: publish() by any.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <zmq.hpp>

#include "alerting/sink.h"
#include "base/clock.h"
#include "base/result.h"

namespace tallymill::alerting {

class Publish {
 public:
  // As bus::open_socket. `context` outlives it.
  [[nodiscard]] static Result<Publish> open(zmq::context_t& context, const std::string& endpoint,
                                            bool insecure, const Clock& clock);
  Publish(Publish&& other) noexcept
      : socket_(std::move(other.socket_)), epoch_ms_(other.epoch_ms_), sequence_(other.sequence_) {}

  void publish(const Notice& notice);
  [[nodiscard]] std::string endpoint();

 private:
  Publish(zmq::socket_t&& socket, std::int64_t epoch_ms)
      : socket_(std::move(socket)), epoch_ms_(epoch_ms) {}
  std::mutex socket_mutex_;  // guards the socket and the sequence
  zmq::socket_t socket_;
  std::int64_t epoch_ms_;
  std::uint64_t sequence_ = 0;
};

}  // namespace tallymill::alerting
