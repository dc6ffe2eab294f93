// Http listeners: many clients of a front's events on one thread, as cheap as they can be, so that
// on a machine that they share with the front it is the front that is measured.
//
// Plain sockets and one epoll: what comes is looked through for its events, not parsed. It relies
// on how our server writes: each chunk of a stream and each frame of a WebSocket ends with an
// event.
//
// Threads: made and asked by one; what comes is read on a thread of its own. Forks come before it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/histogram.h"

namespace tallymill::bench {

class HttpListeners {
 public:
  // So many Server-Sent Events and WebSockets, each connected and greeted when this returns.
  HttpListeners(std::uint16_t port, int streams, int sockets);
  ~HttpListeners();
  HttpListeners(const HttpListeners&) = delete;
  HttpListeners& operator=(const HttpListeners&) = delete;

  // Of the ends that each has heard, the fewest.
  [[nodiscard]] std::int64_t fewest_ends() const;
  [[nodiscard]] int lost() const { return lost_; }  // connections
  [[nodiscard]] int gaps() const { return gaps_; }
  void stop();
  // From what an event says of its time to when it was read. REQUIRES: stop() was called.
  [[nodiscard]] const LoadHistogram& stream_lag() const { return stream_lag_; }
  [[nodiscard]] const LoadHistogram& socket_lag() const { return socket_lag_; }

 private:
  struct One;
  void run();
  void heard(One& one, std::int64_t at);
  void event(One& one, std::string_view text, std::int64_t at);

  std::vector<std::unique_ptr<One>> all_;
  std::atomic<bool> stopped_ = false;
  std::atomic<int> lost_ = 0;
  std::atomic<int> gaps_ = 0;
  LoadHistogram stream_lag_;
  LoadHistogram socket_lag_;
  std::thread thread_;
};

}  // namespace tallymill::bench
