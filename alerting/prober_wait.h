// ProberWait: one try of a probe, bounded in time: who speaks to the endpoint waits here for its
// socket, until the try's time is over or the prober stops.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "store/durable.h"

namespace tallymill::alerting {

class ProberWait {
 public:
  // `stop`: readable when the prober stops.
  ProberWait(int stop, Instant end, const Clock& clock) : stop_(stop), end_(end), clock_(clock) {}

  // Until the socket is ready for these `events` of poll(), or broke. deadline: the time is over;
  // cancelled: the prober stops.
  [[nodiscard]] Status ready(int fd, short events) const;
  // Nothing but waiting; false: the prober stops.
  [[nodiscard]] bool idle() const;

 private:
  [[nodiscard]] int left_ms() const;

  const int stop_;
  const Instant end_;
  const Clock& clock_;
};

// A connection, which does not block. away: nobody takes it, or there is no such name. A name is
// looked up by the system, in its own time, which may be longer than the try's.
[[nodiscard]] Result<store::File> connect_tcp(const std::string& host, std::uint16_t port,
                                              const ProberWait& wait);
[[nodiscard]] Status send_all(int fd, std::string_view bytes, const ProberWait& wait);

}  // namespace tallymill::alerting
