// Alerting: rules, what became of them, and who is told, as one part of a process.
//
//   rule files ──▶ Manager ──▶ Group ──▶ SampleSink (the store)
//                     │ what happened
//                     ▼
//                  Outbox ──▶ Delivery ──▶ webhook, exec, mail
//                     └─────▶ Alertmanager, Publish: what is so now
//
// What happened in an evaluation is on disk before anybody is told of it. After a restart alerts go
// on where they were: with the time added that nobody looked, and anew when that was longer than
// `outage_tolerance`.
//
// Threads: open(), start(), stop() by its maker; the rest by any.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "alerting/alertmanager.h"
#include "alerting/delivery.h"
#include "alerting/manager.h"
#include "alerting/outbox.h"
#include "alerting/publish.h"
#include "alerting/sink_config.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"

namespace tallymill::alerting {

class Alerting final : public collector::RuleSource {
 public:
  struct Options {
    std::vector<std::string> rules = {};  // patterns of files
    int shipped_percent = 0;              // times of the shipped rules; 0: without these
    SinksConfig sinks = {};
    std::filesystem::path outbox = {};  // its file
    std::string external_url = {};
    collector::Labels external_labels = {};
    std::chrono::milliseconds interval{60'000};  // of groups that say none
    std::chrono::milliseconds resend_delay{60'000};
    std::chrono::milliseconds outage_tolerance{60 * 60'000};
    std::chrono::milliseconds grace{10 * 60'000};
    bool insecure = false;  // publishers may be reached from other hosts
  };

  // bad_params, not_found: of rules or sinks; disk, corrupt, version: of the outbox. All that is
  // borrowed outlives it.
  [[nodiscard]] static Result<std::unique_ptr<Alerting>> open(
      const Options& options, const collector::Source& source, SampleSink& sink,
      zmq::context_t& context, metrics::Registry& registry, const Clock& clock);
  ~Alerting() override;  // stops

  // Evaluates and tells from now on. Errors as Delivery::start and Alertmanager::start.
  [[nodiscard]] Status start();
  void stop();
  // All or nothing: errors as Manager::load, and the rules are as they were.
  [[nodiscard]] Status reload() { return manager_->load(); }

  // RuleSource.
  [[nodiscard]] std::string groups(Kind kind) const override { return manager_->groups(kind); }
  [[nodiscard]] std::string alerts() const override { return manager_->alerts(); }

 private:
  Alerting(const Options& options, metrics::Registry& registry, const Clock& clock);
  [[nodiscard]] Status restore();
  void judged(Group& group, std::int64_t at_ms, std::span<const Group::Happened> happened);
  void store(Group& group, std::int64_t at_ms, std::span<const Group::Happened> happened);
  void tell_current(Group& group, std::int64_t at_ms);
  [[nodiscard]] std::string url_of(std::string_view expr) const;

  const Options options_;
  const Clock& clock_;
  metrics::Counter& uncommitted_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Delivery> delivery_;
  std::vector<std::unique_ptr<Alertmanager>> alertmanagers_;
  std::vector<std::unique_ptr<Publish>> publishers_;
  std::unique_ptr<Manager> manager_;
};

}  // namespace tallymill::alerting
