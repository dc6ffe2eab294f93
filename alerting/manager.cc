#include "alerting/manager.h"

#include <algorithm>
#include <iterator>
#include <numeric>
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

// The wall clock may be set: nobody waits longer than that to find out.
constexpr milliseconds longest_rest{1'000};

using Name = std::pair<std::string, std::string>;
Name name_of(const Group& group) { return {group.rules().file, group.rules().name}; }

void add(Group::Counts& to, const Group::Counts& more) {
  to.nodata += more.nodata;
  to.pending += more.pending;
  to.firing += more.firing;
}

void subtract(Group::Counts& from, const Group::Counts& less) {
  from.nodata -= less.nodata;
  from.pending -= less.pending;
  from.firing -= less.firing;
}

void add(Size& to, const Rule& rule) {
  for (const auto& node : {rule.node, rule.resolve_node}) {
    if (node == nullptr) continue;
    const Size size = size_of(*node);
    to.nodes += size.nodes;
    to.program += size.program;
  }
  for (const auto* texts : {&rule.labels, &rule.annotations})
    for (const Templated& one : *texts) to.nodes += one.compiled.nodes();
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
      awaiting(registry.counter("tallymill_alerting_awaiting_evaluations_total",
                                "Evaluations of a group that were left out after a start, for what "
                                "it asks for had not been reported yet.")),
      reloads(registry.counter("tallymill_alerting_reloads_total",
                               "Times that files of rules were read.")),
      failed_reloads(registry.counter("tallymill_alerting_reload_failures_total",
                                      "Times that files of rules were wrong.")),
      groups(registry.gauge("tallymill_alerting_groups", "Groups of rules.")),
      last_reload_ok(registry.gauge("tallymill_alerting_last_reload_ok",
                                    "1 when the files of rules were right as they were read last, "
                                    "else 0.")),
      rules(registry.gauge("tallymill_alerting_rules", "Rules that are evaluated.")),
      rule_nodes(registry.gauge("tallymill_alerting_rule_nodes",
                                "What expressions and templates of all rules are made of.")),
      rule_program(registry.gauge("tallymill_alerting_rule_program",
                                  "Instructions of the regular expressions of all rules.")),
      nodata(registry.gauge("tallymill_alerting_nodata_rules",
                            "Rules whose input has no row at all.")),
      pending(registry.gauge("tallymill_alerting_pending_alerts", "Alerts that are pending.")),
      firing(registry.gauge("tallymill_alerting_firing_alerts", "Alerts that fire.")),
      took(registry.histogram("tallymill_alerting_group_seconds",
                              "How long the evaluation of a group took.")) {}

Manager::Manager(Options options, const collector::Source& source, SampleSink& sink,
                 Listener listener, metrics::Registry& registry, const Clock& clock)
    : alert_count_(options.alerts),
      options_(shared_by_all(std::move(options))),
      source_(source),
      sink_(sink),
      listener_(std::move(listener)),
      clock_(clock),
      began_ms_(now_ms()),
      probe_(registry) {}

Manager::~Manager() { stop(); }

Manager::Options Manager::shared_by_all(Options options) {
  options.group.evaluate.cancelled = &cancelled_;
  options.group.rules.all = &alert_count_;
  return options;
}

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
  paused_ = true;
  changed_.wait(lock, [this] {
    return std::ranges::none_of(entries_, [](const auto& entry) { return entry->runs; });
  });
  paused_ = false;
  if (stopping_) return fail(Errc::cancelled, "the rules are no longer judged: it stops");
  replace(std::move(*groups));
  tell_totals();
  changed_.notify_all();
  return {};
}

std::vector<Manager::Scheduled> Manager::groups() {
  const Lock lock(mutex_);
  std::vector<Scheduled> all;
  for (const auto& entry : entries_) all.push_back({entry->group.get(), entry->due_ms});
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
    cancelled_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::shared_ptr<Manager::Entry> Manager::made_from(RuleGroup rules, std::int64_t from_ms) const {
  auto entry = std::make_shared<Entry>();
  entry->group = std::make_unique<Group>(std::move(rules), options_.group, source_, sink_);
  const RuleGroup& made = entry->group->rules();
  const std::int64_t interval = entry->group->interval().count();
  entry->due_ms = moment_from(from_ms, interval, offset_of(made.file, made.name, interval));
  if (options_.own_bus) entry->awaited = std::make_unique<BusInputs>(made);
  return entry;
}

void Manager::replace(std::vector<RuleGroup> groups) {
  ++loads_;
  std::map<Name, std::shared_ptr<Entry>> old;
  for (auto& entry : std::exchange(entries_, {}))
    old.emplace(name_of(*entry->group), std::move(entry));
  due_.clear();
  const std::int64_t at_ms = now_ms();
  for (RuleGroup& rules : groups) {
    auto before = old.extract(Name(rules.file, rules.name));
    if (before.empty()) {
      entries_.push_back(made_from(std::move(rules), at_ms));
    } else if (same(before.mapped()->group->rules(), rules)) {
      entries_.push_back(std::move(before.mapped()));
    } else {
      const std::int64_t from_ms = std::max(at_ms, before.mapped()->judged_ms + 1);
      entries_.push_back(made_from(std::move(rules), from_ms));
      Group& fresh = *entries_.back()->group;
      tell({*before.mapped()->group, &fresh, fresh.take_over(*before.mapped()->group), at_ms});
      entries_.back()->counts = fresh.counts();
    }
    put_back(entries_.back());
  }
  for (const auto& [name, entry] : old) {
    std::vector<std::size_t> all(entry->group->rules().rules.size());
    std::iota(all.begin(), all.end(), 0);
    tell({*entry->group, nullptr, std::move(all), at_ms});
    entry->group->end(std::max(at_ms, entry->judged_ms + 1));
  }
  std::ranges::sort(entries_, {}, [](const auto& entry) { return name_of(*entry->group); });
  rules_ = 0;
  size_ = {};
  totals_ = {};
  for (const auto& entry : entries_) {
    rules_ += entry->group->rules().rules.size();
    for (const Rule& rule : entry->group->rules().rules) add(size_, rule);
    add(totals_, entry->counts);
  }
}

void Manager::tell(const Replaced& replaced) const {
  if (listener_.replaced) listener_.replaced(replaced);
}

void Manager::put_back(const std::shared_ptr<Entry>& entry) { due_.emplace(entry->due_ms, entry); }

void Manager::take_out(const std::shared_ptr<Entry>& entry) {
  const auto [begin, end] = due_.equal_range(entry->due_ms);
  for (auto at = begin; at != end; ++at)
    if (at->second == entry) {
      due_.erase(at);
      return;
    }
}

// Time was put back: what would be due long after its interval is due at the next of its moments,
// as after() has it.
void Manager::follow_time(std::int64_t at_ms) {
  for (const auto& [due_ms, entry] : std::exchange(due_, {})) {
    const std::int64_t interval = entry->group->interval().count();
    if (due_ms - at_ms > 2 * interval) entry->due_ms = moment_from(at_ms, interval, due_ms);
    put_back(entry);
  }
}

void Manager::run() {
  name_thread("rules");
  Lock lock(mutex_);
  while (!stopping_) {
    if (paused_ || due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const std::int64_t now = now_ms();
    if (now < looked_ms_) follow_time(now);
    looked_ms_ = now;
    const auto first = due_.begin();
    if (const milliseconds wait(first->first - now); wait.count() > 0) {
      changed_.wait_for(lock, std::min(wait, longest_rest));
      continue;
    }
    const std::shared_ptr<Entry> entry = std::move(first->second);
    due_.erase(first);
    evaluate(*entry, lock);
    put_back(entry);
    changed_.notify_all();
  }
}

bool Manager::awaits_inputs(Entry& entry, std::int64_t at_ms) const {
  if (entry.awaited == nullptr) return false;
  const bool is_over = at_ms - began_ms_ >= 2 * entry.group->interval().count();
  if (!is_over && !entry.awaited->reported(source_, began_ms_, at_ms)) return true;
  entry.awaited.reset();
  return false;
}

void Manager::evaluate(Entry& entry, Lock& lock) {
  entry.runs = true;
  const std::int64_t at_ms = entry.due_ms;
  lock.unlock();
  const Instant begin = clock_.now();
  const bool awaits = awaits_inputs(entry, at_ms);
  std::vector<Group::Happened> happened;
  if (awaits)
    entry.group->put_off(entry.group->interval());
  else
    happened = entry.group->evaluate(at_ms);
  const Duration took = clock_.now() - begin;
  if (!awaits && listener_.judged) listener_.judged(*entry.group, at_ms, happened);
  lock.lock();
  const Next next = after(at_ms, now_ms(), entry.group->interval().count());
  entry.due_ms = next.at_ms;
  entry.runs = false;
  probe_.missed.add(static_cast<std::uint64_t>(next.missed));
  count(entry);
  if (awaits) return probe_.awaiting.add();
  entry.evaluated_ms = entry.judged_ms = at_ms;
  entry.took = took;
  probe_.evaluations.add(entry.group->rules().rules.size());
  probe_.failures.add(entry.counts.failed);
  probe_.took.record(took);
}

void Manager::count(Entry& entry) {
  subtract(totals_, entry.counts);
  entry.counts = entry.group->counts();
  add(totals_, entry.counts);
  tell_totals();
}

void Manager::tell_totals() {
  probe_.groups.set(static_cast<double>(entries_.size()));
  probe_.rules.set(static_cast<double>(rules_));
  probe_.rule_nodes.set(static_cast<double>(size_.nodes));
  probe_.rule_program.set(static_cast<double>(size_.program));
  probe_.nodata.set(static_cast<double>(totals_.nodata));
  probe_.pending.set(static_cast<double>(totals_.pending));
  probe_.firing.set(static_cast<double>(totals_.firing));
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
