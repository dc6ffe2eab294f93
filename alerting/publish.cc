#include "alerting/publish.h"

#include <fmt/format.h>

#include <utility>

#include "alerting/alert_json.h"
#include "bus/endpoints.h"

namespace tallymill::alerting {

Result<Publish> Publish::open(zmq::context_t& context, const std::string& endpoint, bool insecure,
                              const Clock& clock) {
  auto socket = bus::open_socket(context, bus::Role::alerts_out, endpoint, {.insecure = insecure});
  if (!socket) return std::unexpected(std::move(socket).error());
  return Publish(std::move(*socket), to_ns(clock.wall()) / 1'000'000);
}

void Publish::publish(const Notice& notice) {
  const std::string topic =
      fmt::format("alert.{}.{}", word_of(notice.alert), notice.alert.labels.get("alertname"));
  const std::lock_guard lock(socket_mutex_);
  const std::string body = notice_json(notice, epoch_ms_, ++sequence_);
  try {
    (void)socket_.send(zmq::buffer(topic), zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    (void)socket_.send(zmq::buffer(body), zmq::send_flags::dontwait);
  } catch (const zmq::error_t&) {
    return;  // the context is going: who listens finds the gap
  }
}

std::string Publish::endpoint() {
  const std::lock_guard lock(socket_mutex_);
  return bus::bound_endpoint(socket_);
}

}  // namespace tallymill::alerting
