#include "bus/outgoing.h"

#include <utility>

namespace tallymill::bus {
namespace {

// A count costs an allocation: a message of less than this is bounded well enough by the number of
// messages.
constexpr std::size_t large = 4096;

struct Counted {
  zmq::message_t frame;
  std::int64_t bytes = 0;
  std::shared_ptr<Outgoing> outgoing;
  // libzmq hands it to another thread by fences that a sanitizer does not see: it sees this one.
  std::atomic<bool> given = false;
};

void let_go(void*, void* hint) {
  const std::unique_ptr<Counted> counted(static_cast<Counted*>(hint));
  (void)counted->given.load(std::memory_order_acquire);
  counted->outgoing->add(-counted->bytes);
}

void count(zmq::message_t& frame, std::size_t bytes, const std::shared_ptr<Outgoing>& outgoing) {
  auto counted =
      std::make_unique<Counted>(std::move(frame), static_cast<std::int64_t>(bytes), outgoing);
  outgoing->add(counted->bytes);
  counted->given.store(true, std::memory_order_release);
  Counted* const hint = counted.release();
  frame = zmq::message_t(hint->frame.data(), hint->frame.size(), let_go, hint);
}

}  // namespace

void track(Frames& frames, const std::shared_ptr<Outgoing>& outgoing) {
  std::size_t small = 0;
  zmq::message_t* last_small = nullptr;
  for (zmq::message_t& frame : frames) {
    if (frame.size() >= large) {
      count(frame, frame.size(), outgoing);
    } else {
      small += frame.size();
      last_small = &frame;
    }
  }
  if (small >= large) count(*last_small, small, outgoing);
}

}  // namespace tallymill::bus
