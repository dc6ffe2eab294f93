#include "alerting/alerting.h"

#include <algorithm>
#include <utility>

#include "alerting/alert_json.h"
#include "alerting/sinks.h"
#include "base/log.h"
#include "http/message.h"

namespace tallymill::alerting {
namespace {

std::string name_of(const Rule& rule) { return rule.name + "\n" + rule.expr; }

StoredAlert stored(const Group& group, const Rule& rule, const Alert& alert) {
  return {.file = group.rules().file,
          .group = group.rules().name,
          .rule = name_of(rule),
          .alert = alert};
}

bool is_for(const StoredAlert& stored, const Group& group, const Rule& rule) {
  return rule.kind == Rule::Kind::alerting && stored.file == group.rules().file &&
         stored.group == group.rules().name && stored.rule == name_of(rule);
}

}  // namespace

Alerting::Alerting(const Options& options, const collector::Source& source,
                   metrics::Registry& registry, const Clock& clock)
    : options_(options),
      source_(source),
      clock_(clock),
      uncommitted_(registry.counter("tallymill_alerting_uncommitted_evaluations_total",
                                    "Evaluations whose outcome could not be put on disk, so that "
                                    "nobody is told of it before the next change.")) {}

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
  Manager::Options manager{.files = options.rules, .shipped_percent = options.shipped_percent};
  manager.group.interval = options.interval;
  manager.group.rules = {.external_labels = options.external_labels,
                         .external_url = options.external_url,
                         .for_grace = options.grace};
  made->manager_ = std::make_unique<Manager>(
      std::move(manager), source, sink,
      [alerting = made.get()](Group& group, std::int64_t at_ms, auto happened) {
        alerting->judged(group, at_ms, happened);
      },
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
  for (const auto& alertmanager : alertmanagers_) alertmanager->stop();
  if (delivery_) delivery_->stop();
}

Status Alerting::restore() {
  auto read = outbox_->read();
  if (!read) return std::unexpected(std::move(read).error());
  const std::int64_t now_ms = to_ns(clock_.wall()) / 1'000'000;
  const std::int64_t away_ms = now_ms - read->at_ms;
  if (read->at_ms == 0 || away_ms > options_.outage_tolerance.count()) return {};
  for (Group* group : manager_->groups()) {
    const std::vector<Rule>& rules = group->rules().rules;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      for (const StoredAlert& known : read->alerts)
        if (is_for(known, *group, rules[i])) group->state(i).restore(known.alert, away_ms, now_ms);
    }
  }
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

void Alerting::judged(Group& group, std::int64_t at_ms, std::span<const Group::Happened> happened) {
  if (!happened.empty()) store(group, at_ms, happened);
  tell_current(group, at_ms);
  silences_->tell();
}

void Alerting::store(Group& group, std::int64_t at_ms, std::span<const Group::Happened> happened) {
  using enum Transition::What;
  Outbox::Commit commit{.at_ms = at_ms};
  for (const auto& [number, transition] : happened) {
    const Rule& rule = group.rules().rules[number];
    auto& into =
        transition.what == pending || transition.what == fired ? commit.alerts : commit.forgotten;
    into.push_back(stored(group, rule, transition.alert));
    const Notice notice{.alert = transition.alert,
                        .rule_group = group.rules().name,
                        .expr = rule.expr,
                        .generator_url = url_of(rule.expr),
                        .at_ms = at_ms};
    for (const auto& publisher : publishers_) publisher->publish(notice);
    tell_feed(notice);
    if (transition.what == fired || transition.what == resolved) commit.notices.push_back(notice);
  }
  if (auto committed = delivery_->commit(std::move(commit)); !committed) {
    uncommitted_.add();
    log::error("alerting: " + committed.error().message);
  }
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
    if (rules[i].kind != Rule::Kind::alerting) continue;
    for (Alert& alert : group.state(i).alerts())
      current.push_back({.alert = std::move(alert), .generator_url = url_of(rules[i].expr)});
  }
  const std::string name = group.rules().file + ";" + group.rules().name;
  for (const auto& alertmanager : alertmanagers_)
    alertmanager->update(name, group.interval(), current, at_ms);
}

std::string Alerting::url_of(std::string_view expr) const {
  return options_.external_url + "/graph?g0.expr=" + http::percent_encoded(expr) + "&g0.tab=1";
}

}  // namespace tallymill::alerting
