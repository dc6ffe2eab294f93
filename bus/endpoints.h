// Endpoints: the wiring table. Which socket stands at each end of each link, who binds, and the
// options that libzmq needs for it; nobody else sets a socket option.
//
//   link      binds                connects
//   jobs      front     ROUTER     client            DEALER
//   control   front     ROUTER     worker            DEALER   routing id = incarnation
//   results   front     PULL       worker            PUSH
//   lane      worker    PULL       front, worker     PUSH     one per incarnation and lane number
//   telemetry collector PULL       every process     PUSH
//   alerts    collector PUB        anybody           SUB
//
// A connecting socket queues nothing while it is not connected (IMMEDIATE): what it cannot send now
// is refused with busy, and the sender decides. Queued messages would come to a peer that was
// restarted in between, or vanish without a word. Whether it is connected tells its Monitor.
//
// Threads: a socket belongs to the thread that uses it; opening from any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <zmq.hpp>

#include "base/result.h"

namespace tallymill::bus {

enum class Role : std::uint8_t {
  front_jobs,
  client_jobs,
  front_control,
  worker_control,
  front_results,
  worker_results,
  lane_in,        // at the worker
  lane_out,       // at whoever sends to it: use Lane (lane.h)
  telemetry_in,   // at the collector
  telemetry_out,  // at everybody: use Telemetry (telemetry.h)
  alerts_out,     // at the collector: what alerts did, best effort
};

struct SocketOptions {
  std::string routing_id = {};  // of a connecting DEALER; empty: the ROUTER chooses one
  bool insecure = false;        // addresses that other hosts can reach are allowed
};

// As many files as the process may open, up to limits::open_files: a shell's 1,024 are a few
// hundred connections.
void allow_open_files();

// For as many sockets as the files that the process may open allow, up to limits::sockets: half of
// them, the rest are connections and files. Where that is not enough, making one more is an error.
[[nodiscard]] zmq::context_t make_context();

// A socket of that role with its options, not yet bound or connected: for a Monitor that must see
// the first attempt. Then open_also(). away: the process has no more sockets; the message says what
// to do.
[[nodiscard]] Result<zmq::socket_t> make_socket(zmq::context_t& context, Role role,
                                                const SocketOptions& options = {});

// A socket of that role, bound or connected. bad_params: no endpoint, or too long for its kind;
// denied: other hosts can reach it and `insecure` was not said; busy: somebody has the address, and
// the message says who if that can be told; away: the system refuses it otherwise.
[[nodiscard]] Result<zmq::socket_t> open_socket(zmq::context_t& context, Role role,
                                                const std::string& endpoint,
                                                const SocketOptions& options = {});

// One more address for a socket that was opened: ipc beside tcp. Errors as open_socket.
[[nodiscard]] Status open_also(zmq::socket_t& socket, Role role, const std::string& endpoint,
                               const SocketOptions& options = {});

// The address that a socket was bound to last: with the port that the system chose.
[[nodiscard]] std::string bound_endpoint(zmq::socket_t& socket);

// Where a worker binds lane `number`: `base` is an ipc folder ("ipc:///run/tallymill") or a host
// ("tcp://127.0.0.1", a port the system chooses).
[[nodiscard]] std::string lane_endpoint(std::string_view base, std::string_view incarnation,
                                        std::int32_t number);

// Says when a socket's connection came and went.
// Threads: the socket's.
class Monitor {
 public:
  enum class Event : std::uint8_t {
    connected,     // and usable: the handshake is over
    disconnected,  // after connected
    failed,        // it could not connect; with a role that reconnects it goes on trying
  };

  // away: the process has no more sockets.
  // REQUIRES: `watched` stays open longer than the monitor lives; it may be moved.
  [[nodiscard]] static Result<std::unique_ptr<Monitor>> of(zmq::context_t& context,
                                                           zmq::socket_t& watched);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Readable while there are events: for Loop::watch.
  [[nodiscard]] zmq::socket_t& socket() { return events_; }
  // The next event, if there is one.
  [[nodiscard]] bool next(Event& event);

 private:
  Monitor(void* watched, zmq::socket_t&& events);

  void* watched_;
  zmq::socket_t events_;
};

}  // namespace tallymill::bus
