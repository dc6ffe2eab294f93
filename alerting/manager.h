// Manager: all groups of rules, each on its own timer.
//
// Some threads take the group that is due first, evaluate it, and say what happened; a group is
// evaluated by one of them at a time. What is over a group's interval is missed and counted, not
// made up.
//
// A reload is all or nothing: when a file is wrong the rules stay as they are. A group that is as
// it was goes on untouched; one that changed takes over what is the same in it; of one that is gone
// the series end.
//
//   invariant: of a group no two evaluations run at once, and none after stop()
//
// Threads: load(), start(), stop() by its maker; the rest by any.
// Source: Prometheus 2.42, rule manager.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "alerting/arrivals.h"
#include "alerting/group.h"
#include "alerting/rules_json.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "collector/rules.h"

namespace tallymill::alerting {

class Manager final : public collector::RuleSource {
 public:
  struct Options {
    std::vector<std::string> files = {};  // patterns, as read_rule_files() takes them
    int shipped_percent = 0;              // times of the shipped rules; 0: without these
    Group::Options group = {};
    std::size_t threads = 2;
  };
  // What an evaluation did, on the thread that evaluated, before the group's next one.
  using Judged = std::function<void(Group& group, std::int64_t at_ms,
                                    std::span<const Group::Happened> happened)>;

  Manager(Options options, const collector::Source& source, SampleSink& sink, Judged judged,
          metrics::Registry& registry, const Clock& clock);
  ~Manager() override;  // stops
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Reads the files. Errors as read_rule_files(); nothing has changed then. Before start() it makes
  // the first groups, whose states may be restored then; later it is a reload.
  [[nodiscard]] Status load();
  // The groups, for whoever restores their states. REQUIRES: before start().
  [[nodiscard]] std::vector<Group*> groups();
  void start();
  // Evaluations that run are waited for.
  void stop();

  // The rules that are judged on arrival too, as they are now.
  [[nodiscard]] std::vector<OnArrivalRule> on_arrival() const;
  // Judges one of them now for the samples that take() gives, which is asked when it is certain
  // that it is judged. later: its group is being evaluated, or is to be first. gone: it was
  // reloaded, or this stops.
  Tried begin(const OnArrivalRule& rule, const TakeArrivals& take);
  // Shows all groups as they are; what is shown is valid in the call, during which no group can be
  // replaced: to be short.
  void look(const std::function<void(std::span<const GroupStatus>)>& at) const;

  // RuleSource.
  [[nodiscard]] std::string groups(Kind kind) const override;
  [[nodiscard]] std::string alerts() const override;

 private:
  struct Entry {
    std::unique_ptr<Group> group;
    std::int64_t due_ms = 0;
    std::int64_t evaluated_ms = 0;
    std::chrono::nanoseconds took{0};
    std::size_t pending = 0;
    std::size_t firing = 0;
    bool runs = false;
    std::int64_t judged_ms = 0;  // the last moment at which anything of it was
  };
  struct Probe {
    explicit Probe(metrics::Registry& registry);
    metrics::Counter& evaluations;
    metrics::Counter& failures;
    metrics::Counter& missed;
    metrics::Counter& reloads;
    metrics::Counter& failed_reloads;
    metrics::Gauge& last_reload_ok;
    metrics::Gauge& rules;
    metrics::Gauge& pending;
    metrics::Gauge& firing;
    metrics::Histogram& took;
  };
  using Entries = std::vector<std::shared_ptr<Entry>>;
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] Result<std::vector<RuleGroup>> read() const;
  void run();
  [[nodiscard]] std::shared_ptr<Entry> first_due() const;  // REQUIRES: the mutex is held
  void evaluate(Entry& entry, Lock& lock);
  void replace(std::vector<RuleGroup> groups, Lock& lock);
  [[nodiscard]] std::shared_ptr<Entry> made_from(RuleGroup rules) const;
  static void count_alerts(Entry& entry, const std::vector<RuleStatus>& status);
  void count(Entry& entry, const std::vector<RuleStatus>& status);
  void tell_totals();  // REQUIRES: the mutex is held
  [[nodiscard]] std::int64_t now_ms() const { return to_ns(clock_.wall()) / 1'000'000; }
  [[nodiscard]] std::vector<GroupStatus> status() const;  // REQUIRES: the mutex is held

  const Options options_;
  const collector::Source& source_;
  SampleSink& sink_;
  const Judged judged_;
  const Clock& clock_;

  std::mutex load_mutex_;     // guards loading: one at a time
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Probe probe_;
  Entries entries_;
  std::uint64_t loads_ = 0;
  bool paused_ = false;  // a reload waits for those that run
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tallymill::alerting
