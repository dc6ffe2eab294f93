#include "stages/control.h"

#include <utility>

#include "base/limits.h"
#include "bus/frames.h"

namespace tallymill::stages {

Control::Control(Shared& shared, bus::Loop& loop, On on)
    : shared_(shared), loop_(loop), on_(std::move(on)) {}

Status Control::connect(const std::string& endpoint, bool insecure) {
  const bus::SocketOptions options{.routing_id = shared_.incarnation, .insecure = insecure};
  auto socket = bus::make_socket(shared_.zmq, bus::Role::worker_control, options);
  if (!socket) return std::unexpected(std::move(socket).error());
  socket_ = std::move(*socket);
  auto monitor = bus::Monitor::of(shared_.zmq, socket_);
  if (!monitor) return std::unexpected(std::move(monitor).error());
  monitor_ = std::move(*monitor);
  loop_.watch(monitor_->socket(), [this] { read_monitor(); });
  loop_.watch(socket_, [this] { receive(); });
  loop_.at_turn_end([this] { flush(); });
  return bus::open_also(socket_, bus::Role::worker_control, endpoint, options);
}

Control::~Control() {
  if (!monitor_) return;
  loop_.unwatch(socket_);
  loop_.unwatch(monitor_->socket());
}

bus::Packer& Control::out() {
  if (packer_.full()) flush();
  return packer_;
}

void Control::flush() {
  if (packer_.empty()) return;
  send(packer_.take());
}

void Control::send(bus::Frames&& frames) {
  if (up_) (void)bus::send(socket_, std::move(frames));
}

void Control::read_monitor() {
  bool came_up = false;
  for (bus::Monitor::Event event{}; monitor_->next(event);) {
    up_ = event == bus::Monitor::Event::connected;
    came_up |= up_;
  }
  if (came_up && up_) on_.up();
}

void Control::receive() {
  for (int i = 0; i < limits::messages_per_turn; ++i) {
    bus::Frames frames;
    if (!bus::receive(socket_, frames)) return;
    const auto envelope = bus::Envelope::decode(std::move(frames));
    if (!envelope) {
      shared_.probe.bad_message();
      continue;
    }
    for (const bus::Item& item : envelope->items()) on_.item(item);
  }
}

}  // namespace tallymill::stages
