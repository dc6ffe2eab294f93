// Sinks: what a file of sinks becomes: parts that run.
//
// Threads: a function; its files and its environment are read when it is called.
#pragma once

#include <memory>
#include <string>
#include <vector>
#include <zmq.hpp>

#include "alerting/alertmanager.h"
#include "alerting/delivery.h"
#include "alerting/publish.h"
#include "alerting/sink_config.h"
#include "base/clock.h"
#include "base/metrics.h"

namespace tallymill::alerting {

struct Sinks {
  std::vector<Delivery::Destination> destinations = {};           // webhook, slack, exec, smtp
  std::vector<std::unique_ptr<Alertmanager>> alertmanagers = {};  // not started
  std::vector<std::unique_ptr<Publish>> publishers = {};
};

struct SinksOptions {
  std::string external_url = {};
  collector::Labels external_labels = {};
  std::chrono::milliseconds resend_delay{60'000};
  bool insecure = false;  // publishers may be reached from other hosts
};

// not_found, bad_params: a secret, or an address, cannot be used; what bus::open_socket says.
[[nodiscard]] Result<Sinks> make_sinks(const SinksConfig& config, const SinksOptions& options,
                                       zmq::context_t& context, metrics::Registry& registry,
                                       const Clock& clock);

}  // namespace tallymill::alerting
