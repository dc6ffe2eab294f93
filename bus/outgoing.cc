#include "bus/outgoing.h"

#include <utility>

namespace tallymill::bus {
namespace {

constexpr std::size_t large = 4096;

struct Counted {
  zmq::message_t frame;
  std::shared_ptr<Outgoing> outgoing;
};

void let_go(void*, void* hint) {
  const std::unique_ptr<Counted> counted(static_cast<Counted*>(hint));
  counted->outgoing->add(-static_cast<std::int64_t>(counted->frame.size()));
}

}  // namespace

void track(Frames& frames, const std::shared_ptr<Outgoing>& outgoing) {
  for (zmq::message_t& frame : frames) {
    if (frame.size() < large) continue;
    auto counted = std::make_unique<Counted>(std::move(frame), outgoing);
    outgoing->add(static_cast<std::int64_t>(counted->frame.size()));
    Counted* const hint = counted.release();
    frame = zmq::message_t(hint->frame.data(), hint->frame.size(), let_go, hint);
  }
}

}  // namespace tallymill::bus
