// TelemetryDoor: where processes push what they count: a PULL socket, and a thread that stores it.
//
//   invariant: nobody is ever answered, so nobody waits: a sender whose frames are not read drops
//              them (bus/telemetry.h)
//
// Threads: open(), start(), stop() by its maker; the intake on the door's own.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "bus/loop.h"
#include "bus/telemetry.h"
#include "collector/telemetry_intake.h"

namespace tallymill::collector {

struct TelemetryDoorOptions {
  std::vector<std::string> endpoints;
  std::string instance;  // of the collector, which tells of itself too
  bool insecure = false;
};

class TelemetryDoor {
 public:
  TelemetryDoor(Store& store, metrics::Registry& registry, TelemetryDoorOptions options,
                TelemetryListeners listeners = {});
  ~TelemetryDoor() { stop(); }
  TelemetryDoor(const TelemetryDoor&) = delete;
  TelemetryDoor& operator=(const TelemetryDoor&) = delete;

  // Errors as bus::open_socket.
  [[nodiscard]] Status open();
  void start();
  void stop();
  // The last one, with the port that the system chose.
  [[nodiscard]] std::string endpoint() { return bus::bound_endpoint(socket_); }

 private:
  void read();

  const SystemClock clock_;
  const metrics::Registry& registry_;
  TelemetryDoorOptions options_;
  TelemetryIntake intake_;
  zmq::context_t context_ = bus::make_context();
  zmq::socket_t socket_;
  bus::Loop loop_{clock_};
  bus::Frames frames_;
  std::thread thread_;
  std::unique_ptr<bus::Telemetry> own_;
};

}  // namespace tallymill::collector
