#include "alerting/manager.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "alerting/schedule.h"
#include "alerting/shipped.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

bool same(const std::vector<Templated>& a, const std::vector<Templated>& b) {
  return std::ranges::equal(a, b, [](const Templated& one, const Templated& other) {
    return one.name == other.name && one.text == other.text;
  });
}

bool same(const Rule& a, const Rule& b) {
  return a.kind == b.kind && a.name == b.name && a.expr == b.expr && a.hold == b.hold &&
         a.keep_firing == b.keep_firing && same(a.labels, b.labels) &&
         same(a.annotations, b.annotations) && a.on_arrival == b.on_arrival &&
         a.resolve_expr == b.resolve_expr && a.no_data == b.no_data;
}

bool same(const RuleGroup& a, const RuleGroup& b) {
  return a.file == b.file && a.name == b.name && a.interval == b.interval && a.limit == b.limit &&
         std::ranges::equal(a.rules, b.rules,
                            [](const Rule& x, const Rule& y) { return same(x, y); });
}

}  // namespace

Manager::Probe::Probe(metrics::Registry& registry)
    : evaluations(
          registry.counter("tallymill_alerting_evaluations_total", "Rules that were evaluated.")),
      failures(registry.counter("tallymill_alerting_evaluation_failures_total",
                                "Rules whose evaluation failed.")),
      missed(registry.counter("tallymill_alerting_missed_evaluations_total",
                              "Evaluations of a group that were left out, for the one before took "
                              "too long.")),
      reloads(registry.counter("tallymill_alerting_reloads_total",
                               "Times that files of rules were read.")),
      failed_reloads(registry.counter("tallymill_alerting_reload_failures_total",
                                      "Times that files of rules were wrong.")),
      last_reload_ok(registry.gauge("tallymill_alerting_last_reload_ok",
                                    "1 when the files of rules were right as they were read last, "
                                    "else 0.")),
      rules(registry.gauge("tallymill_alerting_rules", "Rules that are evaluated.")),
      pending(registry.gauge("tallymill_alerting_pending_alerts", "Alerts that are pending.")),
      firing(registry.gauge("tallymill_alerting_firing_alerts", "Alerts that fire.")),
      took(registry.histogram("tallymill_alerting_group_seconds",
                              "How long the evaluation of a group took.")) {}

Manager::Manager(Options options, const collector::Source& source, SampleSink& sink, Judged judged,
                 metrics::Registry& registry, const Clock& clock)
    : options_(std::move(options)),
      source_(source),
      sink_(sink),
      judged_(std::move(judged)),
      clock_(clock),
      probe_(registry) {}

Manager::~Manager() { stop(); }

Result<std::vector<RuleGroup>> Manager::read() const {
  auto groups = read_rule_files(options_.files);
  if (!groups || options_.shipped_percent == 0) return groups;
  auto shipped = shipped_rules(options_.shipped_percent);
  if (!shipped) return shipped;
  std::ranges::move(*shipped, std::back_inserter(*groups));
  return groups;
}

Status Manager::load() {
  const std::lock_guard loading(load_mutex_);
  auto groups = read();
  Lock lock(mutex_);
  probe_.reloads.add();
  probe_.last_reload_ok.set(groups ? 1 : 0);
  if (!groups) {
    probe_.failed_reloads.add();
    return std::unexpected(std::move(groups).error());
  }
  replace(std::move(*groups), lock);
  tell_totals();
  changed_.notify_all();
  return {};
}

std::vector<Group*> Manager::groups() {
  const Lock lock(mutex_);
  std::vector<Group*> all;
  for (const auto& entry : entries_) all.push_back(entry->group.get());
  return all;
}

void Manager::start() {
  const Lock lock(mutex_);
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { run(); });
}

void Manager::stop() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::shared_ptr<Manager::Entry> Manager::made_from(RuleGroup rules) const {
  auto entry = std::make_shared<Entry>();
  entry->group = std::make_unique<Group>(std::move(rules), options_.group, source_, sink_);
  const RuleGroup& made = entry->group->rules();
  const std::int64_t interval = entry->group->interval().count();
  entry->due_ms = moment_from(now_ms(), interval, offset_of(made.file, made.name, interval));
  return entry;
}

void Manager::replace(std::vector<RuleGroup> groups, Lock& lock) {
  paused_ = true;
  changed_.wait(lock, [this] {
    return std::ranges::none_of(entries_, [](const auto& entry) { return entry->runs; });
  });
  paused_ = false;
  ++loads_;
  Entries old = std::exchange(entries_, {});
  const auto ends_ms = now_ms();
  for (RuleGroup& rules : groups) {
    const auto at = std::ranges::find_if(old, [&](const std::shared_ptr<Entry>& entry) {
      return entry && entry->group->rules().file == rules.file &&
             entry->group->rules().name == rules.name;
    });
    if (at == old.end()) {
      entries_.push_back(made_from(std::move(rules)));
    } else if (same((*at)->group->rules(), rules)) {
      entries_.push_back(std::move(*at));
    } else {
      entries_.push_back(made_from(std::move(rules)));
      entries_.back()->group->take_over(*(*at)->group);
      at->reset();
    }
  }
  for (const auto& entry : old)
    if (entry) entry->group->end(ends_ms);
}

std::shared_ptr<Manager::Entry> Manager::first_due() const {
  std::shared_ptr<Entry> first;
  for (const auto& entry : entries_)
    if (!entry->runs && (!first || entry->due_ms < first->due_ms)) first = entry;
  return first;
}

void Manager::run() {
  name_thread("rules");
  Lock lock(mutex_);
  while (!stopping_) {
    const auto entry = paused_ ? nullptr : first_due();
    if (!entry) {
      changed_.wait(lock);
    } else if (const std::int64_t wait = entry->due_ms - now_ms(); wait > 0) {
      // A group may be due in centuries, which are no nanoseconds any more.
      changed_.wait_for(lock, std::min<milliseconds>(milliseconds(wait), std::chrono::hours(1)));
    } else {
      evaluate(*entry, lock);
    }
  }
}

void Manager::evaluate(Entry& entry, Lock& lock) {
  entry.runs = true;
  const std::int64_t at_ms = entry.due_ms;
  lock.unlock();
  const Instant begin = clock_.now();
  const auto happened = entry.group->evaluate(at_ms);
  const Duration took = clock_.now() - begin;
  if (judged_) judged_(*entry.group, at_ms, happened);
  const auto status = entry.group->status();
  lock.lock();
  const Next next = after(at_ms, now_ms(), entry.group->interval().count());
  entry.due_ms = next.at_ms;
  entry.evaluated_ms = entry.judged_ms = at_ms;
  entry.took = took;
  entry.runs = false;
  probe_.missed.add(static_cast<std::uint64_t>(next.missed));
  probe_.took.record(took);
  count(entry, status);
  tell_totals();
  changed_.notify_all();
}

void Manager::count(Entry& entry, const std::vector<RuleStatus>& status) {
  for (const RuleStatus& one : status) {
    probe_.evaluations.add();
    if (one.health == Health::err) probe_.failures.add();
  }
  count_alerts(entry, status);
}

void Manager::count_alerts(Entry& entry, const std::vector<RuleStatus>& status) {
  entry.pending = entry.firing = 0;
  for (const RuleStatus& one : status) {
    for (const Alert& alert : one.alerts)
      ++(alert.state == AlertState::firing ? entry.firing : entry.pending);
  }
}

void Manager::tell_totals() {
  std::size_t rules = 0;
  std::size_t pending = 0;
  std::size_t firing = 0;
  for (const auto& entry : entries_) {
    rules += entry->group->rules().rules.size();
    pending += entry->pending;
    firing += entry->firing;
  }
  probe_.rules.set(static_cast<double>(rules));
  probe_.pending.set(static_cast<double>(pending));
  probe_.firing.set(static_cast<double>(firing));
}

std::vector<GroupStatus> Manager::status() const {
  std::vector<GroupStatus> all;
  for (const auto& entry : entries_)
    all.push_back({.rules = &entry->group->rules(),
                   .interval = entry->group->interval(),
                   .evaluated_ms = entry->evaluated_ms,
                   .took = entry->took,
                   .status = entry->group->status()});
  return all;
}

// The lock is held while it is written: a reload frees the rules that are told.
std::string Manager::groups(Kind kind) const {
  const Lock lock(mutex_);
  return groups_json(status(), kind);
}

void Manager::look(const std::function<void(std::span<const GroupStatus>)>& at) const {
  const Lock lock(mutex_);
  at(status());
}

std::string Manager::alerts() const {
  const Lock lock(mutex_);
  return alerts_json(status());
}

}  // namespace tallymill::alerting
