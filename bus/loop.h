// Loop: one thread, one poller, and the sockets, mailboxes and timers that belong to it.
//
// Everything on the road that owns a socket is a set of callbacks on a loop. A turn is: wait, run
// the callbacks of what is readable (each drains its socket, bounded by limits::messages_per_turn),
// run timers that are due, then the end-of-turn callbacks, which flush what the turn gathered. That
// is the whole batching policy: while work keeps coming, messages are coalesced per turn; when it
// stops, they leave at once. Nothing ever spins.
//
// A ZeroMQ socket's fd is edge-triggered, and any call on the socket may swallow the edge. So after
// a turn in which anything ran, every socket is asked for its events before the loop sleeps; the
// fds only wake it.
//
// Callbacks must not block: disk, SQL and image work belong to other threads, which answer through
// a Mailbox.
//
// Threads: made anywhere, then run() and everything else on one thread; stop() from any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <zmq.hpp>

#include "base/clock.h"

namespace tallymill::bus {

class Loop {
 public:
  explicit Loop(const Clock& clock);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // `ready` is called while `socket` has messages to receive. The socket must outlive its place
  // here.
  void watch(zmq::socket_t& socket, std::function<void()> ready);
  void unwatch(zmq::socket_t& socket);
  // The same for a file descriptor: a mailbox, a signalfd.
  void watch(int fd, std::function<void()> ready);
  void unwatch(int fd);

  using TimerId = std::uint64_t;
  // First after `period`, then every `period`; late ones are not made up for.
  TimerId every(Duration period, std::function<void()> fire);
  TimerId once(Duration delay, std::function<void()> fire);
  void cancel(TimerId timer);

  // Runs at the end of each turn, in the order given here.
  void at_turn_end(std::function<void()> flush);

  // Until stop(). A callback may call stop(); the turn is finished first. A stop() from before
  // run() counts: run() returns after one turn that does not wait.
  void run();
  // One turn that waits at most `longest`; true when anything ran. For tests and for those who own
  // another loop.
  bool turn(Duration longest);
  void stop();  // any thread, also a signal handler

  // The clock's reading at the start of this turn: one for all callbacks of a turn.
  [[nodiscard]] Instant now() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::bus
