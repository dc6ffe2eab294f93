#include "alerting/alerting.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "alerting/alert_json.h"
#include "alerting/for_state.h"
#include "alerting/rule_identity.h"
#include "alerting/schedule.h"
#include "alerting/sinks.h"
#include "base/log.h"
#include "http/message.h"

namespace tallymill::alerting {
namespace {

bool is_alerting(const Rule& rule) { return rule.kind == Rule::Kind::alerting; }

StoredAlert stored(const Group& group, std::size_t rule, Alert alert) {
  return {.file = group.rules().file,
          .group = group.rules().name,
          .rule = group.identity(rule),
          .alert = std::move(alert)};
}

bool fires(const Alert& alert) { return alert.state == AlertState::firing; }

// Nobody judges it any more: who believes that it fires shall not do so for ever.
Alert ended(Alert alert, std::int64_t at_ms) {
  alert.state = AlertState::inactive;
  alert.resolved_ms = at_ms;
  return alert;
}

// What became of an alert that is given up.
Alert dropped(Alert alert, std::int64_t at_ms) {
  if (fires(alert)) return ended(std::move(alert), at_ms);
  alert.state = AlertState::inactive;
  return alert;
}

std::size_t size_of(const Outbox::Commit& commit) {
  return commit.alerts.size() + commit.forgotten.size() + commit.notices.size();
}

std::string name_of(const Group& group) { return group.rules().file + ";" + group.rules().name; }

// The last moment up to `until_ms` at which the group was due.
std::int64_t last_moment(const Group& group, std::int64_t until_ms) {
  const std::int64_t interval = group.interval().count();
  const RuleGroup& rules = group.rules();
  return moment_from(until_ms - interval + 1, interval,
                     offset_of(rules.file, rules.name, interval));
}

// Of each of these alerts the number of its rule, as it is after a reload; nothing: there is none.
std::vector<std::optional<std::size_t>> rules_of(const Group& group,
                                                 std::span<const StoredAlert> known) {
  const std::vector<Rule>& rules = group.rules().rules;
  std::map<std::string, std::optional<std::size_t>> found;
  for (const StoredAlert& one : known) found.emplace(one.rule, std::nullopt);
  std::vector<bool> taken(rules.size(), false);
  const auto pair_up = [&](const auto& is_same) {
    for (auto& [identity, rule] : found) {
      for (std::size_t i = 0; !rule && i < rules.size(); ++i)
        if (!taken[i] && is_alerting(rules[i]) && is_same(identity, i)) rule = i;
      if (rule) taken[*rule] = true;
    }
  };
  pair_up([&](const std::string& one, std::size_t i) { return one == group.identity(i); });
  pair_up([&](const std::string& one, std::size_t i) { return is_alike(one, rules[i]); });
  std::vector<std::optional<std::size_t>> all;
  for (const StoredAlert& one : known) all.push_back(found[one.rule]);
  return all;
}

}  // namespace

Alerting::Probe::Probe(metrics::Registry& registry)
    : uncommitted(registry.counter("tallymill_alerting_uncommitted_evaluations_total",
                                   "Times that the outcome of an evaluation could not be put on "
                                   "disk; it is kept and tried again.")),
      lost(registry.counter("tallymill_alerting_lost_changes_total",
                            "Changes of alerts that were given up, for the disk did not take them "
                            "for too long.")),
      unstored(registry.gauge("tallymill_alerting_unstored_changes",
                              "Changes of alerts that are not on disk yet, and not told.")) {}

Alerting::Alerting(const Options& options, const collector::Source& source,
                   metrics::Registry& registry, const Clock& clock)
    : options_(options), source_(source), clock_(clock), probe_(registry) {}

Result<std::unique_ptr<Alerting>> Alerting::open(const Options& options,
                                                 const collector::Source& source, SampleSink& sink,
                                                 zmq::context_t& context,
                                                 metrics::Registry& registry, const Clock& clock) {
  std::unique_ptr<Alerting> made(new Alerting(options, source, registry, clock));
  auto outbox = Outbox::open(options.outbox);
  if (!outbox) return std::unexpected(std::move(outbox).error());
  made->outbox_ = std::move(*outbox);
  auto silences = Silences::open(options.outbox, registry, clock);
  if (!silences) return std::unexpected(std::move(silences).error());
  made->silences_ = std::move(*silences);
  auto sinks = make_sinks(options.sinks,
                          {.external_url = options.external_url,
                           .external_labels = options.external_labels,
                           .resend_delay = options.resend_delay,
                           .insecure = options.insecure},
                          context, registry, clock);
  if (!sinks) return std::unexpected(std::move(sinks).error());
  made->alertmanagers_ = std::move(sinks->alertmanagers);
  made->publishers_ = std::move(sinks->publishers);
  made->delivery_ = std::make_unique<Delivery>(*made->outbox_, std::move(sinks->destinations),
                                               made->delivery_options(), registry, clock);
  Manager::Options manager{.files = options.rules,
                           .shipped_percent = options.shipped_percent,
                           .own_bus = options.own_bus};
  manager.group.interval = options.interval;
  manager.group.rules = {.external_labels = options.external_labels,
                         .external_url = options.external_url,
                         .for_grace = options.grace};
  made->manager_ = std::make_unique<Manager>(
      std::move(manager), source, sink,
      Manager::Listener{
          .judged = [alerting = made.get()](
                        Group& group, std::int64_t at_ms,
                        auto happened) { alerting->judged(group, at_ms, happened); },
          .replaced = [alerting = made.get()](
                          const Manager::Replaced& replaced) { alerting->replaced(replaced); }},
      registry, clock);
  made->arrivals_ = std::make_unique<Arrivals>(
      source,
      [alerting = made.get()](const OnArrivalRule& rule, const TakeArrivals& take) {
        return alerting->manager_->begin(rule, take);
      },
      registry, clock, Arrivals::Options());
  if (auto loaded = made->manager_->load(); !loaded)
    return std::unexpected(std::move(loaded).error());
  if (auto restored = made->restore(); !restored)
    return std::unexpected(std::move(restored).error());
  made->arrivals_->watch(made->manager_->on_arrival());
  return made;
}

Alerting::~Alerting() { stop(); }

Status Alerting::start() {
  if (auto started = delivery_->start(); !started) return started;
  for (const auto& alertmanager : alertmanagers_)
    if (auto started = alertmanager->start(); !started) return started;
  manager_->start();
  arrivals_->start();
  return {};
}

Status Alerting::reload() {
  const std::lock_guard lock(reload_mutex_);
  if (auto loaded = manager_->load(); !loaded) return loaded;
  arrivals_->watch(manager_->on_arrival(), true);
  return {};
}

void Alerting::stop() {
  if (arrivals_) arrivals_->stop();
  if (manager_) manager_->stop();
  if (delivery_) store({});
  for (const auto& alertmanager : alertmanagers_) alertmanager->stop();
  if (delivery_) delivery_->stop();
}

Status Alerting::restore() {
  auto read = outbox_->read();
  if (!read) return std::unexpected(std::move(read).error());
  if (read->at_ms == 0 && read->alerts.empty()) {
    for (const Manager::Scheduled& one : manager_->groups()) restore_from_series(one);
    return {};
  }
  std::map<std::pair<std::string, std::string>, std::vector<StoredAlert>> known;
  for (StoredAlert& one : read->alerts) known[{one.file, one.group}].push_back(std::move(one));
  Outbox::Commit commit{.at_ms = now_ms()};
  for (const Manager::Scheduled& one : manager_->groups()) {
    const RuleGroup& rules = one.group->rules();
    if (auto its = known.extract({rules.file, rules.name}); !its.empty())
      restore(one, std::move(its.mapped()), read->at_ms, commit);
  }
  for (auto& [name, alerts] : known)
    for (StoredAlert& one : alerts) {
      if (fires(one.alert))
        commit.notices.push_back(
            notice_of(one.group, "", ended(one.alert, commit.at_ms), commit.at_ms));
      commit.forgotten.push_back(std::move(one));
    }
  store(std::move(commit));
  return {};
}

Delivery::Options Alerting::delivery_options() const {
  return {.inhibit = options_.sinks.inhibit,
          .silenced = [all = silences_.get()](const collector::Labels& alert) {
            return all->silences(alert);
          }};
}

Result<std::string> Alerting::set_silence(Silence silence) {
  auto id = silences_->set(std::move(silence));
  silences_->tell();
  if (id) delivery_->wake();
  return id;
}

Status Alerting::expire_silence(const std::string& id) {
  auto done = silences_->expire(id);
  silences_->tell();
  if (done) delivery_->wake();
  return done;
}

// What is stored afterwards is as of now: when this process ends before anything was judged, the
// next one adds what follows.
void Alerting::restore(const Manager::Scheduled& scheduled, std::vector<StoredAlert> known,
                       std::int64_t judged_ms, Outbox::Commit& commit) {
  Group& group = *scheduled.group;
  const std::int64_t now = commit.at_ms;
  const std::int64_t away = std::max<std::int64_t>(0, now - last_moment(group, judged_ms));
  const bool is_too_long = now - judged_ms > options_.outage_tolerance.count();
  const auto rules = rules_of(group, known);
  for (std::size_t i = 0; i < known.size(); ++i) {
    StoredAlert& one = known[i];
    const bool goes_on = rules[i] && !(is_too_long && one.alert.state == AlertState::pending);
    if (goes_on) {
      group.state(*rules[i]).restore(one.alert, away, now);
    } else if (fires(one.alert)) {
      const std::string expr = rules[i] ? group.rules().rules[*rules[i]].expr : "";
      commit.notices.push_back(notice_of(one.group, expr, ended(one.alert, now), now));
    }
    commit.forgotten.push_back(std::move(one));
  }
  for (std::size_t i = 0; i < group.rules().rules.size(); ++i)
    if (is_alerting(group.rules().rules[i]))
      for (Alert& alert : group.state(i).alerts())
        commit.alerts.push_back(stored(group, i, std::move(alert)));
  group.put_off(std::chrono::milliseconds(std::max<std::int64_t>(0, scheduled.next_ms - now)));
}

void Alerting::restore_from_series(const Manager::Scheduled& scheduled) {
  Group& group = *scheduled.group;
  const std::int64_t now = now_ms();
  const std::vector<Rule>& rules = group.rules().rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    if (!is_alerting(rule) || rule.hold.count() == 0 || rule.hold < options_.grace) continue;
    const auto known = read_for_states(source_, rule, now - options_.outage_tolerance.count(), now);
    if (!known) {
      log::warn("alerting: since when alerts were active cannot be read: " + known.error().message);
      continue;
    }
    for (const ForState& one : *known)
      group.state(i).restore(Alert{.labels = one.labels, .active_ms = one.active_ms},
                             now - one.last_ms, now);
  }
  group.put_off(std::chrono::milliseconds(std::max<std::int64_t>(0, scheduled.next_ms - now)));
}

void Alerting::judged(Group& group, std::int64_t at_ms, std::span<const Group::Happened> happened) {
  Outbox::Commit commit{.at_ms = at_ms};
  for (const auto& [number, transition] : happened) {
    const bool is_dropped = transition.what == Transition::What::dropped;
    Alert alert = is_dropped ? dropped(transition.alert, at_ms) : transition.alert;
    commit.notices.push_back(
        notice_of(group.rules().name, group.rules().rules[number].expr, alert, at_ms));
    auto& into = is_dropped ? commit.forgotten : commit.alerts;
    into.push_back(stored(group, number, std::move(alert)));
  }
  store(std::move(commit));
  tell_current(group, at_ms);
  silences_->tell();
}

void Alerting::replaced(const Manager::Replaced& replaced) {
  Outbox::Commit commit{.at_ms = replaced.at_ms};
  std::set<std::pair<std::string, collector::Labels>> goes_on;
  for (std::size_t i = 0; replaced.fresh && i < replaced.fresh->rules().rules.size(); ++i) {
    if (!is_alerting(replaced.fresh->rules().rules[i])) continue;
    for (Alert& alert : replaced.fresh->state(i).alerts()) {
      goes_on.emplace(replaced.fresh->identity(i), alert.labels);
      commit.alerts.push_back(stored(*replaced.fresh, i, std::move(alert)));
    }
  }
  const std::vector<Rule>& rules = replaced.old.rules().rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!is_alerting(rules[i])) continue;
    const bool is_left = std::ranges::find(replaced.left, i) != replaced.left.end();
    for (Alert& alert : replaced.old.state(i).alerts()) {
      if (is_left && alert.state != AlertState::inactive)
        commit.notices.push_back(notice_of(replaced.old.rules().name, rules[i].expr,
                                           dropped(alert, replaced.at_ms), replaced.at_ms));
      if (!goes_on.contains({replaced.old.identity(i), alert.labels}))
        commit.forgotten.push_back(stored(replaced.old, i, std::move(alert)));
    }
  }
  store(std::move(commit));
  if (replaced.fresh != nullptr) return;
  for (const auto& alertmanager : alertmanagers_) alertmanager->forget(name_of(replaced.old));
}

void Alerting::store(Outbox::Commit commit) {
  const std::lock_guard lock(store_mutex_);
  const std::int64_t at_ms = commit.at_ms;
  if (size_of(commit) > 0) unstored_.push_back(std::move(commit));
  if (unstored_.empty()) return note_judged(at_ms);
  std::size_t left = 0;
  for (const Outbox::Commit& one : unstored_) left += size_of(one);
  while (!unstored_.empty()) {
    const Outbox::Commit& first = unstored_.front();
    if (auto done = delivery_->commit(first); !done) {
      probe_.uncommitted.add();
      log_.write(log::Level::error, "alerting: " + done.error().message, clock_.now());
      break;
    }
    for (const Notice& notice : first.notices) {
      for (const auto& publisher : publishers_) publisher->publish(notice);
      tell_feed(notice);
    }
    left -= size_of(first);
    unstored_.pop_front();
  }
  for (; left > limits::unstored_changes; unstored_.pop_front()) {
    left -= size_of(unstored_.front());
    probe_.lost.add(size_of(unstored_.front()));
  }
  probe_.unstored.set(static_cast<double>(left));
}

void Alerting::note_judged(std::int64_t at_ms) {
  const bool is_soon = std::abs(at_ms - noted_ms_) < limits::judged_noted.count();
  if (at_ms == 0 || is_soon) return;
  noted_ms_ = at_ms;
  if (auto done = outbox_->judged(at_ms); !done)
    log_.write(log::Level::error, "alerting: " + done.error().message, clock_.now());
}

Notice Alerting::notice_of(const std::string& group, const std::string& expr, Alert alert,
                           std::int64_t at_ms) const {
  Notice notice{.alert = std::move(alert),
                .rule_group = group,
                .expr = expr,
                .generator_url = url_of(expr),
                .at_ms = at_ms};
  notice.key = key_of(notice);
  return notice;
}

void Alerting::tell_feed(const Notice& notice) {
  if (!options_.feed) return;
  const std::lock_guard lock(feed_mutex_);
  ++told_;
  options_.feed(told_, notice_json(notice, epoch_ms_, told_));
}

void Alerting::tell_current(Group& group, std::int64_t at_ms) {
  if (alertmanagers_.empty()) return;
  std::vector<Alertmanager::Current> current;
  const std::vector<Rule>& rules = group.rules().rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!is_alerting(rules[i])) continue;
    for (Alert& alert : group.state(i).alerts())
      current.push_back({.alert = std::move(alert), .generator_url = url_of(rules[i].expr)});
  }
  const std::string name = name_of(group);
  for (const auto& alertmanager : alertmanagers_)
    alertmanager->update(name, group.interval(), current, at_ms);
}

std::string Alerting::url_of(std::string_view expr) const {
  return options_.external_url + "/graph?g0.expr=" + http::percent_encoded(expr) + "&g0.tab=1";
}

}  // namespace tallymill::alerting
