// Outgoing: bytes of messages that libzmq has taken and not given to the kernel yet.
//
// libzmq bounds what waits for a peer by the number of its messages only. Each message of some size
// takes a count with it and gives it back when libzmq frees it: written, or dropped with the
// connection.
//
// Threads: any; frames are freed on libzmq's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/units.h"
#include "bus/envelope.h"

namespace tallymill::bus {

class Outgoing {
 public:
  Outgoing() = default;
  // Counted in `all` as well.
  explicit Outgoing(std::shared_ptr<Outgoing> all) : all_(std::move(all)) {}

  [[nodiscard]] Bytes bytes() const { return Bytes(bytes_.load(std::memory_order_relaxed)); }
  void add(std::int64_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (all_) all_->add(bytes);
  }

 private:
  std::atomic<std::int64_t> bytes_{0};
  const std::shared_ptr<Outgoing> all_;
};

// Counts the frames of a message from now until libzmq frees them: each large one by itself, small
// ones together with the last of them.
void track(Frames& frames, const std::shared_ptr<Outgoing>& outgoing);

}  // namespace tallymill::bus
