#include "bus/link.h"

#include <utility>

#include "bus/endpoints.h"
#include "bus/frames.h"

namespace tallymill::bus {
namespace {

class ZmqLink final : public Link {
 public:
  ZmqLink(Loop& loop, zmq::socket_t&& socket) : loop_(loop), socket_(std::move(socket)) {}
  ~ZmqLink() override {
    loop_.unwatch(socket_);
    if (monitor_) loop_.unwatch(monitor_->socket());
  }
  ZmqLink(const ZmqLink&) = delete;
  ZmqLink& operator=(const ZmqLink&) = delete;

  Status open(zmq::context_t& context, const ZmqLinkOptions& options, LinkCalls&& calls) {
    // The monitor first: it must see the first attempt.
    auto monitor = Monitor::of(context, socket_);
    if (!monitor) return std::unexpected(std::move(monitor).error());
    monitor_ = std::move(*monitor);
    loop_.watch(socket_, std::move(calls.readable));
    loop_.watch(monitor_->socket(), std::move(calls.changed));
    return open_also(socket_, Role::client_jobs, options.endpoint, {.insecure = options.insecure});
  }

  bool next(Change& change) override {
    Monitor::Event event{};
    if (!monitor_->next(event)) return false;
    switch (event) {
      case Monitor::Event::connected:
        change = {Change::What::connected};
        break;
      case Monitor::Event::disconnected:
        change = {Change::What::disconnected};
        break;
      case Monitor::Event::failed:
        change = {Change::What::failed};
        break;
    }
    return true;
  }
  bool receive(Frames& into) override { return bus::receive(socket_, into); }
  Status send(Frames&& frames) override { return bus::send(socket_, std::move(frames)); }

 private:
  Loop& loop_;
  zmq::socket_t socket_;
  std::unique_ptr<Monitor> monitor_;  // before the socket: see Monitor
};

}  // namespace

Result<std::unique_ptr<Link>> open_zmq_link(zmq::context_t& context, Loop& loop,
                                            const ZmqLinkOptions& options, LinkCalls calls) {
  auto socket = make_socket(context, Role::client_jobs,
                            {.routing_id = options.routing_id, .insecure = options.insecure});
  if (!socket) return std::unexpected(std::move(socket).error());
  auto link = std::make_unique<ZmqLink>(loop, std::move(*socket));
  if (auto opened = link->open(context, options, std::move(calls)); !opened)
    return std::unexpected(std::move(opened).error());
  return link;
}

}  // namespace tallymill::bus
