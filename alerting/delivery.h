// Delivery: tells sinks what waits for them in the outbox: a thread each, so that one that hangs,
// or does not take what it is given, holds up itself and nobody else.
//
//   delivery.start();
//   ... delivery.commit({.at_ms = ..., .alerts = ..., .notices = ...});
//
// A thread takes what is due, groups it (grouping.h), claims it for a message, sends that, and
// notes what came of it. After a failure the sink is left alone for a while, longer each time (with
// jitter), and the message that failed longer than those that did not: one that its sink never
// takes is in nobody's way. What no try will change (bad_params), and what was tried for
// limits::sink_gives_up, is given up and counted.
//
// Silenced and inhibited alerts wait in the outbox until they may be told, or are over: then
// neither they nor their end is told. The end of what was told is always told, and nobody is
// reminded of it in the meantime. What inhibits an alert at a sink is over when that sink was told
// so.
//
//   invariant: what waits is told at least once, or given up and counted; of an alert in order
//
// Threads: start() and stop() by one; the rest by any.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alerting/backoff.h"
#include "alerting/grouping.h"
#include "alerting/inhibition.h"
#include "alerting/outbox.h"
#include "alerting/sink.h"
#include "base/clock.h"
#include "base/metrics.h"

namespace tallymill::alerting {

class Delivery {
 public:
  struct Destination {
    std::unique_ptr<Sink> sink;
    Route route = {};
  };
  struct Options {
    std::vector<InhibitRule> inhibit = {};
    // Of the labels of an alert, by the threads of the sinks; none: nothing is silenced.
    std::function<bool(const collector::Labels&)> silenced = {};
    Backoff::Times again = {};
    std::chrono::milliseconds gives_up = limits::sink_gives_up;
    std::chrono::milliseconds muted_again = limits::sink_muted_again;
    std::uint64_t seed = 0;  // of the jitter
  };

  // REQUIRES: names of sinks are distinct; all that is borrowed outlives this.
  Delivery(Outbox& outbox, std::vector<Destination> destinations, Options options,
           metrics::Registry& registry, const Clock& clock);
  ~Delivery();  // stops
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // Goes on with what is stored. disk, corrupt: as Outbox::read. To be called once.
  [[nodiscard]] Status start();
  // Ends what is being sent, which is then told again by the next one. Within a second.
  void stop();

  // Outbox::commit for these sinks, whose names it fills in. What the alerts inhibit is known
  // before anybody finds their notices.
  [[nodiscard]] Status commit(Outbox::Commit commit);
  // Silences changed: what they held may go now.
  void wake();
  // The alert that inhibits this one; nothing: none.
  [[nodiscard]] std::optional<collector::Labels> inhibitor(const collector::Labels& alert) const {
    return inhibition_.inhibitor(alert);
  }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }  // of its sinks

 private:
  class Worker;
  Outbox& outbox_;
  const Options options_;
  const Clock& clock_;
  Inhibition inhibition_;
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace tallymill::alerting
