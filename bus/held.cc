#include "bus/held.h"

#include <utility>

namespace tallymill::bus {
namespace {

constexpr std::size_t large = 4096;

struct Counted {
  zmq::message_t frame;
  std::shared_ptr<Held> held;
};

void let_go(void*, void* hint) {
  const std::unique_ptr<Counted> counted(static_cast<Counted*>(hint));
  counted->held->add(-static_cast<std::int64_t>(counted->frame.size()));
}

}  // namespace

void hold(Frames& frames, const std::shared_ptr<Held>& held) {
  for (zmq::message_t& frame : frames) {
    if (frame.size() < large) continue;
    auto counted = std::make_unique<Counted>(std::move(frame), held);
    held->add(static_cast<std::int64_t>(counted->frame.size()));
    Counted* const hint = counted.release();
    frame = zmq::message_t(hint->frame.data(), hint->frame.size(), let_go, hint);
  }
}

}  // namespace tallymill::bus
