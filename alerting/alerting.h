// Alerting: rules, what became of them, and who is told, as one part of a process.
//
//   rule files ──▶ Manager ──▶ Group ──▶ SampleSink (the store)
//                     │ what happened
//                     ▼
//                  Outbox ──▶ Delivery ──▶ webhook, exec, mail
//                     └─────▶ Alertmanager, Publish: what is so now
//
// What happened in an evaluation is on disk before anybody is told of it; what the disk did not
// take is kept, in its order, for the next evaluation. After a restart alerts go on where they
// were: one that fires still does, and of one that is pending the time is added that nobody looked;
// when that was longer than `outage_tolerance` it begins anew. An alert that no rule judges any
// more, after a restart, a reload or over a limit, is told as over to who was told that it fires;
// Alertmanager, as from Prometheus, hears nothing more and ends it by itself.
//
//   invariant: an alert that sinks were told of is in the outbox until they are told of its end
//
// Threads: open(), start(), stop() by its maker; the rest by any.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "alerting/alertmanager.h"
#include "alerting/arrivals.h"
#include "alerting/delivery.h"
#include "alerting/manager.h"
#include "alerting/outbox.h"
#include "alerting/publish.h"
#include "alerting/silences.h"
#include "alerting/sink_config.h"
#include "base/clock.h"
#include "base/log.h"
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
    bool own_bus = false;   // as Manager::Options
    // Told of each change of an alert: JSON as publishers have it, and its number, which rises by
    // one; under a lock: to be short. None: nobody is.
    std::function<void(std::uint64_t sequence, std::string said)> feed = {};
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
  [[nodiscard]] Status reload();
  // Who is to be told of the store's samples, until stop(), so that rules are judged on arrival:
  // those that come before start() are judged then.
  [[nodiscard]] collector::ArrivalListener& arrivals() { return *arrivals_; }

  // As Silences; who holds notices back for it is told.
  [[nodiscard]] Result<std::string> set_silence(Silence silence);
  [[nodiscard]] Status expire_silence(const std::string& id);

  // For who asks (alerts_api.h, explain.h).
  [[nodiscard]] const Silences& silences() const { return *silences_; }
  [[nodiscard]] Outbox& outbox() const { return *outbox_; }
  [[nodiscard]] const Delivery& delivery() const { return *delivery_; }
  [[nodiscard]] const auto& alertmanagers() const { return alertmanagers_; }
  [[nodiscard]] const collector::Source& source() const { return source_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::int64_t now_ms() const { return to_ns(clock_.wall()) / 1'000'000; }
  // As Manager::look.
  void look(const std::function<void(std::span<const GroupStatus>)>& at) const {
    manager_->look(at);
  }
  // Where Prometheus' own page shows an expression.
  [[nodiscard]] std::string url_of(std::string_view expr) const;

  // RuleSource.
  [[nodiscard]] std::string groups(Kind kind) const override { return manager_->groups(kind); }
  [[nodiscard]] std::string alerts() const override { return manager_->alerts(); }

 private:
  Alerting(const Options& options, const collector::Source& source, metrics::Registry& registry,
           const Clock& clock);
  [[nodiscard]] Status restore();
  void restore(const Manager::Scheduled& scheduled, std::vector<StoredAlert> known,
               std::int64_t judged_ms, Outbox::Commit& commit);
  void restore_from_series(const Manager::Scheduled& scheduled);
  [[nodiscard]] Delivery::Options delivery_options() const;
  void judged(Group& group, std::int64_t at_ms, std::span<const Group::Happened> happened);
  void replaced(const Manager::Replaced& replaced);
  void store(Outbox::Commit commit);
  void note_judged(std::int64_t at_ms);  // REQUIRES: the mutex is held
  void tell_feed(const Notice& notice);
  void tell_current(Group& group, std::int64_t at_ms);
  [[nodiscard]] Notice notice_of(const std::string& group, const std::string& expr, Alert alert,
                                 std::int64_t at_ms) const;

  struct Probe {
    explicit Probe(metrics::Registry& registry);
    metrics::Counter& uncommitted;
    metrics::Counter& lost;
    metrics::Gauge& unstored;
  };

  const Options options_;
  const collector::Source& source_;
  const Clock& clock_;
  const std::int64_t epoch_ms_ = now_ms();
  std::mutex feed_mutex_;  // guards what follows
  std::uint64_t told_ = 0;
  std::mutex store_mutex_;  // guards the four that follow
  Probe probe_;
  log::Limited log_;
  std::deque<Outbox::Commit> unstored_;  // the oldest first
  std::int64_t noted_ms_ = 0;            // as judged
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Silences> silences_;
  std::unique_ptr<Delivery> delivery_;
  std::vector<std::unique_ptr<Alertmanager>> alertmanagers_;
  std::vector<std::unique_ptr<Publish>> publishers_;
  std::unique_ptr<Manager> manager_;
  std::unique_ptr<Arrivals> arrivals_;
  std::mutex reload_mutex_;  // so that what is watched is of the files that were read last
};

}  // namespace tallymill::alerting
