#include "bus/lane.h"

#include <utility>

#include "base/check.h"
#include "bus/frames.h"

namespace tallymill::bus {

Result<std::unique_ptr<Lane>> Lane::connect(zmq::context_t& context, Name name, bool insecure) {
  // The monitor must be there before the first attempt, or that attempt's failure goes unseen.
  auto socket = make_socket(context, Role::lane_out);
  if (!socket) return std::unexpected(std::move(socket).error());
  auto monitor = Monitor::of(context, *socket);
  if (!monitor) return std::unexpected(std::move(monitor).error());
  std::unique_ptr<Lane> lane(new Lane(std::move(name), std::move(*socket), std::move(*monitor)));
  if (auto ok =
          open_also(lane->socket_, Role::lane_out, lane->name_.endpoint, {.insecure = insecure});
      !ok)
    return std::unexpected(std::move(ok).error());
  return lane;
}

Lane::Lane(Name name, zmq::socket_t&& socket, std::unique_ptr<Monitor>&& monitor)
    : name_(std::move(name)), socket_(std::move(socket)), monitor_(std::move(monitor)) {}

Lane::State Lane::update() {
  Monitor::Event event{};
  while (monitor_->next(event)) {
    if (event != Monitor::Event::connected)
      state_ = State::broken;
    else if (state_ == State::connecting)
      state_ = State::open;
  }
  return state_;
}

Status Lane::send(Frames&& frames) {
  TM_CHECK(state_ == State::open);
  auto sent = bus::send(socket_, std::move(frames));
  if (!sent) state_ = State::broken;
  return sent;
}

}  // namespace tallymill::bus
