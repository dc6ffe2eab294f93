#include "bus/endpoints.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/address.h"
#include "base/address_holder.h"
#include "base/check.h"
#include "base/limits.h"

namespace tallymill::bus {
namespace {

struct Wiring {
  zmq::socket_type type;
  bool binds;
  int out_queue;  // SNDHWM: never 0, which means no bound
  int in_queue;   // RCVHWM
  bool reconnects = true;
};

Wiring wiring_of(Role role) {
  using zmq::socket_type;
  constexpr int unused = 1;
  switch (role) {
    case Role::front_jobs:
      return {socket_type::router, true, limits::client_out_queue, limits::client_in_queue};
    case Role::client_jobs:
      return {socket_type::dealer, false, limits::client_in_queue, limits::client_out_queue};
    case Role::front_control:
      return {socket_type::router, true, limits::control_queue, limits::control_queue};
    case Role::worker_control:
      return {socket_type::dealer, false, limits::control_queue, limits::control_queue};
    case Role::front_results:
      return {socket_type::pull, true, unused, limits::results_queue};
    case Role::worker_results:
      return {socket_type::push, false, limits::results_queue, unused};
    case Role::lane_in:
      return {socket_type::pull, true, unused, limits::lane_queue};
    case Role::lane_out:
      return {socket_type::push, false, limits::lane_queue, unused, false};
    case Role::telemetry_in:
      return {socket_type::pull, true, unused, limits::telemetry_in_queue};
    case Role::telemetry_out:
      return {socket_type::push, false, limits::telemetry_out_queue, unused};
    case Role::alerts_out:
      return {socket_type::pub, true, limits::client_out_queue, unused};
  }
  TM_CHECK(false);
}

int ms(std::chrono::milliseconds t) { return static_cast<int>(t.count()); }

// How long a socket that is closed may still write what it was given. What lies in a lane belongs
// to a worker that is gone.
std::chrono::milliseconds linger_of(Role role) {
  if (role == Role::lane_out) return std::chrono::milliseconds(0);
  return role == Role::telemetry_out ? limits::telemetry_linger : limits::linger;
}

Bytes largest_frame(Role role) {
  return role == Role::telemetry_in ? limits::telemetry_frame_bytes : limits::max_zmq_frame_bytes;
}

void set_options(zmq::socket_t& socket, Role role, const Wiring& wiring,
                 const SocketOptions& options) {
  socket.set(zmq::sockopt::sndhwm, wiring.out_queue);
  socket.set(zmq::sockopt::rcvhwm, wiring.in_queue);
  socket.set(zmq::sockopt::maxmsgsize, largest_frame(role).raw());
  socket.set(zmq::sockopt::handshake_ivl, ms(limits::handshake));
  socket.set(zmq::sockopt::heartbeat_ivl, ms(limits::zmtp_heartbeat));
  socket.set(zmq::sockopt::heartbeat_timeout, ms(limits::zmtp_timeout));
  socket.set(zmq::sockopt::heartbeat_ttl, ms(limits::zmtp_timeout));
  socket.set(zmq::sockopt::linger, ms(linger_of(role)));
  if (wiring.type == zmq::socket_type::router) {
    // Unknown peers and full queues are errors, not silence; and a client that comes back under
    // its old routing id takes its place again.
    socket.set(zmq::sockopt::router_mandatory, true);
    socket.set(zmq::sockopt::router_handover, true);
  }
  if (!wiring.binds) {
    socket.set(zmq::sockopt::immediate, true);
    socket.set(zmq::sockopt::connect_timeout, ms(limits::handshake));
    socket.set(zmq::sockopt::reconnect_ivl, wiring.reconnects ? ms(limits::reconnect_first) : -1);
    socket.set(zmq::sockopt::reconnect_ivl_max,
               wiring.reconnects ? ms(limits::reconnect_slowest) : 0);
  }
  if (!options.routing_id.empty()) socket.set(zmq::sockopt::routing_id, options.routing_id);
}

Status check_address(const std::string& endpoint, bool insecure) {
  if (endpoint.starts_with("inproc://")) return {};
  if (auto parsed = parse_endpoint(endpoint); !parsed)
    return std::unexpected(std::move(parsed).error());
  if (!insecure && !is_loopback(endpoint))
    return fail(Errc::denied, fmt::format("{} can be reached from other hosts, and this door has "
                                          "no lock; say --insecure if that is meant",
                                          endpoint));
  return {};
}

Status cannot(const char* what, const std::string& endpoint, int error) {
  if (error == EADDRINUSE) return fail(Errc::busy, address_in_use(endpoint));
  return fail(Errc::away, fmt::format("cannot {} {}: {}", what, endpoint, zmq_strerror(error)));
}

rlim_t open_files_allowed() {
  rlimit allowed{};
  TM_CHECK(::getrlimit(RLIMIT_NOFILE, &allowed) == 0);
  return allowed.rlim_cur;
}

std::unexpected<Error> no_socket(int error) {
  if (error != EMFILE && error != ENFILE)
    return fail(Errc::away, fmt::format("cannot make a socket: {}", zmq_strerror(error)));
  return fail(Errc::away,
              fmt::format("no more sockets: this process may open {} files (ulimit -n); allow it "
                          "more, or use fewer threads and workers",
                          open_files_allowed()));
}

}  // namespace

void allow_open_files() {
  rlimit allowed{};
  TM_CHECK(::getrlimit(RLIMIT_NOFILE, &allowed) == 0);
  const rlim_t wanted = std::min<rlim_t>(limits::open_files, allowed.rlim_max);
  if (wanted <= allowed.rlim_cur) return;
  allowed.rlim_cur = wanted;
  (void)::setrlimit(RLIMIT_NOFILE, &allowed);
}

zmq::context_t make_context() {
  zmq::context_t context;
  const auto most = std::clamp<rlim_t>(open_files_allowed() / 2, 1, limits::sockets);
  context.set(zmq::ctxopt::max_sockets, static_cast<int>(most));
  return context;
}

Result<zmq::socket_t> make_socket(zmq::context_t& context, Role role,
                                  const SocketOptions& options) {
  const Wiring wiring = wiring_of(role);
  try {
    zmq::socket_t socket(context, wiring.type);
    set_options(socket, role, wiring, options);
    return socket;
  } catch (const zmq::error_t& e) {
    return no_socket(e.num());
  }
}

Result<zmq::socket_t> open_socket(zmq::context_t& context, Role role, const std::string& endpoint,
                                  const SocketOptions& options) {
  auto socket = make_socket(context, role, options);
  if (!socket) return socket;
  if (auto ok = open_also(*socket, role, endpoint, options); !ok)
    return std::unexpected(std::move(ok).error());
  return socket;
}

Status open_also(zmq::socket_t& socket, Role role, const std::string& endpoint,
                 const SocketOptions& options) {
  if (auto ok = check_address(endpoint, options.insecure); !ok) return ok;
  const bool binds = wiring_of(role).binds;
  // libzmq unlinks what it finds at an ipc path: a second front would quietly take the first one's
  // place.
  if (binds && endpoint.starts_with("ipc://") && ipc_answers(endpoint))
    return cannot("bind", endpoint, EADDRINUSE);
  const int rc = binds ? zmq_bind(socket.handle(), endpoint.c_str())
                       : zmq_connect(socket.handle(), endpoint.c_str());
  if (rc != 0) return cannot(binds ? "bind" : "connect to", endpoint, zmq_errno());
  return {};
}

std::string bound_endpoint(zmq::socket_t& socket) {
  return socket.get(zmq::sockopt::last_endpoint);
}

std::string lane_endpoint(std::string_view base, std::string_view incarnation,
                          std::int32_t number) {
  if (base.starts_with("tcp://")) return fmt::format("{}:*", base);
  return fmt::format("{}/lane-{}-{}", base, incarnation, number);
}

Result<std::unique_ptr<Monitor>> Monitor::of(zmq::context_t& context, zmq::socket_t& watched) {
  static std::atomic<std::uint64_t> last{0};
  const auto address = fmt::format("inproc://monitor-{}", ++last);
  // CLOSED comes with each failed attempt to connect.
  constexpr int wanted = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                         ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
  try {
    zmq::socket_t events(context, zmq::socket_type::pair);
    events.set(zmq::sockopt::linger, 0);
    if (zmq_socket_monitor(watched.handle(), address.c_str(), wanted) != 0)
      return no_socket(zmq_errno());
    std::unique_ptr<Monitor> monitor(new Monitor(watched.handle(), std::move(events)));
    monitor->events_.connect(address);
    return monitor;
  } catch (const zmq::error_t& e) {
    return no_socket(e.num());
  }
}

Monitor::Monitor(void* watched, zmq::socket_t&& events)
    : watched_(watched), events_(std::move(events)) {}

// The sender first: libzmq's I/O thread would wait for ever to write to a monitor that nobody
// reads.
Monitor::~Monitor() { zmq_socket_monitor(watched_, nullptr, 0); }

bool Monitor::next(Event& event) {
  zmq::message_t head;
  while (events_.recv(head, zmq::recv_flags::dontwait)) {
    std::uint16_t what = 0;
    if (head.size() < sizeof what) continue;
    std::memcpy(&what, head.data(), sizeof what);
    zmq::message_t address;
    while (head.more() && events_.recv(address, zmq::recv_flags::dontwait) && address.more()) {
    }
    switch (what) {
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        event = Event::connected;
        return true;
      case ZMQ_EVENT_DISCONNECTED:
        event = Event::disconnected;
        return true;
      case ZMQ_EVENT_MONITOR_STOPPED:
        break;
      default:
        event = Event::failed;
        return true;
    }
  }
  return false;
}

}  // namespace tallymill::bus
