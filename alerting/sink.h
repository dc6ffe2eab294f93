// Sink: where notices go.
//
// Threads: send() by one thread of the sink's own; it may block as long as limits::sink_timeout.
#pragma once

#include <cstdint>
#include <span>
#include <string>
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
};

class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  // Several at once when they are told in one message. overloaded, deadline, away and the like: try
  // again later; bad_params, denied: never, this one is given up and counted.
  [[nodiscard]] virtual Status send(std::span<const Notice> notices) = 0;
};

}  // namespace tallymill::alerting
