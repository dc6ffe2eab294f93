// Manager: all groups of rules, each on its own timer.
//
// Some threads take the group that is due first, evaluate it, and say what happened; a group is
// evaluated by one of them at a time. What is over a group's interval is missed and counted, not
// made up.
//
// A reload is all or nothing: when a file is wrong the rules stay as they are. A group that is as
// it was goes on untouched; one that changed takes over what is the same in it; of one that is gone
// the series end. Whoever keeps what became of alerts is told which ones nobody judges any more.
//
// With `own_bus` a group that asks for what comes over it (bus_inputs.h) is not judged before all
// of that was reported since the start, or two of the group's intervals are over.
//
//   invariant: of a group no two evaluations run at once, and none after stop()
//
// Threads: start(), stop() by its maker; the rest by any, also while it stops.
// Source: Prometheus 2.42, rule manager.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "alerting/arrivals.h"
#include "alerting/bus_inputs.h"
#include "alerting/expression.h"
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
    bool own_bus = false;
    std::size_t alerts = limits::alerts;  // of all rules that may be pending or firing
  };
  // What an evaluation did, on the thread that evaluated, before the group's next one.
  using Judged = std::function<void(Group& group, std::int64_t at_ms,
                                    std::span<const Group::Happened> happened)>;
  // What a reload changed of one group, while nothing is evaluated.
  struct Replaced {
    Group& old;
    Group* fresh;                   // null: it is gone
    std::vector<std::size_t> left;  // the numbers of old rules that nothing took over
    std::int64_t at_ms;
  };
  struct Listener {
    Judged judged = {};
    std::function<void(const Replaced& replaced)> replaced = {};
  };

  Manager(Options options, const collector::Source& source, SampleSink& sink, Listener listener,
          metrics::Registry& registry, const Clock& clock);
  ~Manager() override;  // stops
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Reads the files. Errors as read_rule_files(), and cancelled: after stop(); nothing has changed
  // then. Before start() it makes the first groups, whose states may be restored then; later it is
  // a reload.
  [[nodiscard]] Status load();
  // The groups and when each is judged next, for whoever restores their states. REQUIRES: before
  // start().
  struct Scheduled {
    Group* group;
    std::int64_t next_ms;
  };
  [[nodiscard]] std::vector<Scheduled> groups();
  void start();
  // Evaluations that run are waited for: a rule that is being asked fails, and those after it are
  // not asked any more. There is no start after it.
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
    std::unique_ptr<BusInputs> awaited;  // null: nothing is waited for
    std::int64_t due_ms = 0;
    std::int64_t evaluated_ms = 0;
    std::chrono::nanoseconds took{0};
    Group::Counts counts;
    bool runs = false;
    std::int64_t judged_ms = 0;  // the last moment at which anything of it was
  };
  struct Probe {
    explicit Probe(metrics::Registry& registry);
    metrics::Counter& evaluations;
    metrics::Counter& failures;
    metrics::Counter& missed;
    metrics::Counter& awaiting;
    metrics::Counter& reloads;
    metrics::Counter& failed_reloads;
    metrics::Gauge& groups;
    metrics::Gauge& last_reload_ok;
    metrics::Gauge& rules;
    metrics::Gauge& rule_nodes;
    metrics::Gauge& rule_program;
    metrics::Gauge& nodata;
    metrics::Gauge& pending;
    metrics::Gauge& firing;
    metrics::Histogram& took;
  };
  using Entries = std::vector<std::shared_ptr<Entry>>;
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] Result<std::vector<RuleGroup>> read() const;
  void run();
  void evaluate(Entry& entry, Lock& lock);
  void take_out(const std::shared_ptr<Entry>& entry);  // REQUIRES: the mutex is held
  void put_back(const std::shared_ptr<Entry>& entry);  // as above
  void follow_time(std::int64_t at_ms);                // as above
  [[nodiscard]] Options shared_by_all(Options options);
  [[nodiscard]] bool awaits_inputs(Entry& entry, std::int64_t at_ms) const;
  void replace(std::vector<RuleGroup> groups);  // REQUIRES: the mutex is held, nothing runs
  void tell(const Replaced& replaced) const;
  [[nodiscard]] std::shared_ptr<Entry> made_from(RuleGroup rules, std::int64_t from_ms) const;
  void count(Entry& entry);  // REQUIRES: the mutex is held
  void tell_totals();        // as above
  [[nodiscard]] std::int64_t now_ms() const { return to_ns(clock_.wall()) / 1'000'000; }
  [[nodiscard]] std::vector<GroupStatus> status() const;  // REQUIRES: the mutex is held

  AlertCount alert_count_;               // of all groups
  std::atomic<bool> cancelled_ = false;  // what the options' expressions look at
  const Options options_;
  const collector::Source& source_;
  SampleSink& sink_;
  const Listener listener_;
  const Clock& clock_;
  const std::int64_t began_ms_;

  std::mutex load_mutex_;     // guards loading: one at a time
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  Probe probe_;
  Entries entries_;  // by file and name, as Prometheus tells them
  std::multimap<std::int64_t, std::shared_ptr<Entry>> due_;  // those that do not run, by due_ms
  std::uint64_t loads_ = 0;
  std::size_t rules_ = 0;
  Size size_;                   // of all rules
  Group::Counts totals_;        // of all entries
  std::int64_t looked_ms_ = 0;  // the time that it was last
  bool paused_ = false;         // a reload waits for those that run
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tallymill::alerting
