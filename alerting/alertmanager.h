// Alertmanager: tells an Alertmanager how things are, again and again, as Prometheus does.
//
// What is told is the current state, never history: each alert that fires, with an end that is soon
// (4 times the longer of the resend delay and the group's interval from when it is sent), and each
// that ended, for 15 minutes. What could not be told is not stored: when the way is free again, the
// state of then is told. An alert is told when it fires, when it is over, and then each time that
// its group was judged and the resend delay is over; so that when nobody judges any more,
// Alertmanager finds out by itself.
//
//   invariant: what is told of an alert is never older than what was told before
//
// Threads: update(), forget() and stop() by any; it sends on one of its own.
// Source: Prometheus 2.42, notifier; Alertmanager 0.25, API v2.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "alerting/alert.h"
#include "alerting/backoff.h"
#include "alerting/http_post.h"
#include "alerting/sink_probe.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

namespace tallymill::alerting {

class Alertmanager {
 public:
  struct Options {
    std::string name;
    HttpPost::Options http = {};  // of its root: http://127.0.0.1:9093
    std::chrono::milliseconds resend_delay{60'000};
    collector::Labels external_labels = {};  // of each alert that has none of that name
    Backoff::Times again = {};
    std::uint64_t seed = 0;
  };
  struct Current {
    Alert alert;
    std::string generator_url = {};
  };

  Alertmanager(Options options, metrics::Registry& registry, const Clock& clock);
  ~Alertmanager();  // stops

  // bad_params: as HttpPost. To be called once.
  [[nodiscard]] Status start();
  // Ends a request that is under way, too.
  void stop();

  // The alerts of a group, as they were judged at `at_ms`; those that are not among them any more
  // are not told any more. Pending ones are passed over.
  void update(const std::string& group, std::chrono::milliseconds interval,
              std::vector<Current> alerts, std::int64_t at_ms);
  // The group is gone.
  void forget(const std::string& group);

  [[nodiscard]] const std::string& name() const { return options_.name; }
  // How far it is with the alert of these labels; nothing: it is not to be told of it.
  struct Told {
    std::int64_t sent_ms = 0;  // when it was judged what was taken last; 0: nothing
    bool end = false;          // that was its end
    bool waits = false;        // there is something newer that it was not told yet
  };
  [[nodiscard]] std::optional<Told> told(const collector::Labels& alert) const;
  // Alerts that are still to be told of what was said last. Threads: any.
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct Entry {
    Current current;
    std::chrono::milliseconds valid{0};
    std::int64_t sent_ms = 0;        // when it was judged what was taken last; 0: nothing
    bool sent_end = false;           // that was its end
    std::int64_t sent_fired_ms = 0;  // of the alert that it was
    std::int64_t judged_ms = 0;
    bool due = false;
  };
  struct Sending {
    std::string group;
    collector::Labels labels;
    std::int64_t judged_ms;
    std::int64_t fired_ms;
    bool end;
  };

  [[nodiscard]] bool needs_sending(const Entry& entry, std::int64_t at_ms) const;
  void run();
  [[nodiscard]] std::string take_batch(std::vector<Sending>& batch, std::int64_t now_ms) const;
  void send_batch(const std::vector<Sending>& batch, std::string body);
  void mark_sent(const std::vector<Sending>& batch);

  const Options options_;
  const Clock& clock_;
  HttpPost http_;
  SinkProbe probe_;
  Backoff backoff_;
  log::Limited log_;
  mutable std::mutex state_mutex_;  // guards what follows
  std::condition_variable changed_;
  std::map<std::string, std::map<collector::Labels, Entry>> groups_;
  bool stopping_ = false;
  std::int64_t failures_ = 0;  // in a row; of run()
  std::chrono::steady_clock::time_point not_before_{};
  std::thread thread_;
};

}  // namespace tallymill::alerting
