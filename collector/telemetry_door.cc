#include "collector/telemetry_door.h"

#include <utility>

#include "base/limits.h"
#include "base/thread.h"

namespace tallymill::collector {

TelemetryDoor::TelemetryDoor(Store& store, metrics::Registry& registry,
                             TelemetryDoorOptions options, TelemetryListeners listeners)
    : registry_(registry),
      options_(std::move(options)),
      intake_(store, registry, std::move(listeners)) {}

Status TelemetryDoor::open() {
  const bus::SocketOptions options{.insecure = options_.insecure};
  auto socket = bus::make_socket(context_, bus::Role::telemetry_in, options);
  if (!socket) return std::unexpected(std::move(socket).error().in("bus"));
  socket_ = std::move(*socket);
  for (const std::string& one : options_.endpoints)
    if (auto opened = bus::open_also(socket_, bus::Role::telemetry_in, one, options); !opened)
      return std::unexpected(std::move(opened).error().in("bus"));
  // Of itself it hears as of all others.
  auto own = bus::Telemetry::start(context_, {.endpoint = endpoint(),
                                              .job = "collector",
                                              .instance = options_.instance,
                                              .sources = {[this] { return registry_.snapshot(); }},
                                              .insecure = options_.insecure,
                                              .process = false});
  if (!own) return std::unexpected(std::move(own).error());
  own_ = std::move(*own);
  return {};
}

void TelemetryDoor::start() {
  thread_ = std::thread([this] {
    name_thread("telemetry-in");
    loop_.watch(socket_, [this] { read(); });
    loop_.every(limits::telemetry_period, [this] { intake_.look(loop_.now()); });
    loop_.run();
    loop_.unwatch(socket_);
  });
}

void TelemetryDoor::stop() {
  own_.reset();
  loop_.stop();
  if (thread_.joinable()) thread_.join();
  socket_.close();
}

void TelemetryDoor::read() {
  for (int i = 0; i < limits::messages_per_turn && bus::receive(socket_, frames_); ++i)
    if (frames_.size() == 1)
      intake_.take(frames_.front().to_string_view(), loop_.now());
    else
      intake_.take({}, loop_.now());
}

}  // namespace tallymill::collector
