// Sink: where notices go, and the message that they go in.
//
//   invariant: a message that is sent again is the same, to the byte
//
// Threads: send() by one thread of the sink's own; it may block as long as limits::sink_timeout.
// stop() by any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/alert.h"
#include "base/result.h"

namespace tallymill::alerting {

// One transition of one alert, as it is told. The same bytes at every try.
struct Notice {
  std::int64_t id = 0;  // rises in the order in which they came
  std::string key;      // idempotency: the same at every try, no other notice's
  Alert alert;
  std::string rule_group = {};
  std::string expr = {};
  std::string generator_url = {};
  std::int64_t at_ms = 0;  // when it was judged
};

// "pending", "firing", "resolved"; of one that was dropped while it was pending: "inactive".
[[nodiscard]] std::string_view word_of(const Alert& alert);
[[nodiscard]] inline bool is_over(const Alert& alert) { return alert.resolved_ms != 0; }

// What one group has to say. Without notices it is a reminder of what is standing.
struct Message {
  std::string key;  // idempotency: a notice's own if it has one only
  std::string group_key;
  collector::Labels group_labels = {};
  std::vector<Notice> notices = {};   // new; of an alert one at most
  std::vector<Notice> standing = {};  // told before, still firing, and none of the new
  std::size_t left_out = 0;           // standing ones above limits::sink_message_standing
};

class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  // bad_params: never, this message is given up and counted. All else: again later, and no sooner
  // than the error's retry_after. An error's text holds no secret, and nothing of an answer.
  [[nodiscard]] virtual Status send(const Message& message) = 0;
  // For good: a send() that runs ends soon, and so does each that comes later.
  virtual void stop() {}
};

}  // namespace tallymill::alerting
