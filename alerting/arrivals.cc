#include "alerting/arrivals.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;
using collector::Matcher;
using collector::Point;
using collector::SeriesId;

std::int64_t ms_of(WallTime time) { return to_ns(time) / 1'000'000; }

// Of which alone the selector can select; empty: it does not say one.
std::string metric_of(const promql::Selector& selector) {
  for (const Matcher& matcher : selector.matchers)
    if (matcher.name() == collector::metric_name && matcher.kind() == Matcher::Kind::equal)
      return matcher.value();
  return selector.metric;
}

bool fits(const promql::Selector& selector, const Labels& labels) {
  return std::ranges::all_of(selector.matchers, [&](const Matcher& matcher) {
    return matcher.fits(labels.get(matcher.name()));
  });
}

}  // namespace

Arrivals::Probe::Probe(metrics::Registry& registry)
    : judged(registry.counter("tallymill_alerting_arrival_evaluations_total",
                              "Times that a rule was judged for samples that had come.")),
      merged(registry.counter("tallymill_alerting_arrivals_merged_total",
                              "Samples that crossed a threshold while one of their series waited "
                              "to be judged already.")),
      rests(registry.counter("tallymill_alerting_arrival_rests_total",
                             "Times that judging on arrival waited so that the timers have their "
                             "time.")),
      watched(registry.gauge("tallymill_alerting_watched_series",
                             "Series whose samples are judged as they come, once for each rule.")),
      unwatched(registry.gauge("tallymill_alerting_unwatched_series",
                               "Series that are judged by the timer only, for there are as many "
                               "as are watched.")) {}

Arrivals::Arrivals(const collector::Source& source, Judge judge, metrics::Registry& registry,
                   const Clock& clock, const Options& options)
    : source_(source),
      judge_(std::move(judge)),
      clock_(clock),
      options_(options),
      probe_(registry) {}

Arrivals::~Arrivals() { stop(); }

// First the rules, then the series that are there: one that is made meanwhile is not missed, and
// one that is found twice is watched once.
void Arrivals::watch(std::vector<OnArrivalRule> rules, bool judge_all) {
  std::uint64_t generation = 0;
  {
    const Lock lock(mutex_);
    rules_.clear();
    by_metric_.clear();
    series_.clear();
    ready_.clear();
    watches_ = unwatched_ = 0;
    generation = ++generation_;
    for (const OnArrivalRule& rule : rules) {
      const auto threshold = plain_threshold(*rule.node);
      TM_CHECK(threshold.has_value());
      by_metric_[metric_of(*threshold->selector)].push_back(
          static_cast<std::uint32_t>(rules_.size()));
      rules_.push_back({.rule = rule, .threshold = *threshold});
    }
    tell_watches();
  }
  for (std::uint32_t i = 0; i < rules.size(); ++i) {
    const auto threshold = plain_threshold(*rules[i].node);
    const std::int64_t now_ms = ms_of(clock_.wall());
    const auto found =
        source_.select(threshold->selector->matchers, now_ms - options_.lookback.count(), now_ms);
    if (!found) continue;
    const Lock lock(mutex_);
    if (generation_ != generation) return;
    for (const auto& one : *found) {
      Watch* const watch = add(i, one.series, one.labels);
      if (judge_all && watch != nullptr)
        put(i, *watch, {.series = one.series, .t_ms = now_ms}, clock_.now());
    }
    tell_watches();
  }
}

void Arrivals::start() {
  thread_ = std::thread([this] { run(); });
}

void Arrivals::stop() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Arrivals::made(SeriesId series, const Labels& labels) {
  const Lock lock(mutex_);
  if (rules_.empty()) return;
  const auto try_all = [&](const std::string& metric) {
    const auto at = by_metric_.find(metric);
    if (at == by_metric_.end()) return;
    for (const std::uint32_t rule : at->second)
      if (fits(*rules_[rule].threshold.selector, labels)) add(rule, series, labels);
  };
  try_all("");
  if (const std::string_view metric = labels.metric(); !metric.empty())
    try_all(std::string(metric));
  tell_watches();
}

Arrivals::Watch* Arrivals::add(std::uint32_t rule, SeriesId series, const Labels& labels) {
  const Series* const there = series_.find(series);
  if (there != nullptr &&
      std::ranges::find(there->watches, rule, &Watch::rule) != there->watches.end())
    return nullptr;
  if (watches_ >= options_.watches) {
    ++unwatched_;
    return nullptr;
  }
  ++watches_;
  Series& watched = series_[series];
  watched.labels = labels;
  return &watched.watches.emplace_back(Watch{.rule = rule, .threshold = rules_[rule].threshold});
}

void Arrivals::arrived(std::span<const Point> points) {
  const Lock lock(mutex_);
  if (watches_ == 0) return;
  const auto watched = series_.ids();
  Instant now;
  for (const Point& point : points) {
    if (!watched.has(point.series)) continue;
    for (Watch& watch : series_.find(point.series)->watches) {
      if (!watch.threshold.holds(point.value)) continue;
      if (watch.waits) {
        probe_.merged.add();
        continue;
      }
      if (now == Instant()) now = clock_.now();
      put(watch.rule, watch, point, now);
    }
  }
}

void Arrivals::put(std::uint32_t rule, Watch& watch, const Point& point, Instant now) {
  const std::int64_t ahead_ms = point.t_ms - ms_of(clock_.wall());
  if (ahead_ms > limits::arrival_ahead.count() || -ahead_ms > options_.lookback.count()) return;
  watch.waits = true;
  Watched& watched = rules_[rule];
  const Instant due = now + std::chrono::milliseconds(std::max<std::int64_t>(ahead_ms, 0));
  watched.waiting.push_back({point.series, due});
  watched.due = std::min(watched.due, due);
  schedule(rule);
  if (has_more_) return;
  has_more_ = true;
  changed_.notify_all();
}

void Arrivals::forgotten(std::span<const SeriesId> series) {
  const Lock lock(mutex_);
  for (const SeriesId one : series) {
    const Series* const there = series_.find(one);
    if (there == nullptr) continue;
    watches_ -= there->watches.size();
    series_.erase(one);
  }
  tell_watches();
}

void Arrivals::tell_watches() {
  probe_.watched.set(static_cast<double>(watches_));
  probe_.unwatched.set(static_cast<double>(unwatched_));
}

void Arrivals::schedule(std::uint32_t rule) {
  Watched& watched = rules_[rule];
  ready_.erase({watched.ready, rule});
  watched.ready = std::max(watched.due, watched.not_before);
  if (!watched.waiting.empty()) ready_.emplace(watched.ready, rule);
}

Instant Arrivals::step() {
  const Instant now = clock_.now();
  OnArrivalRule rule;
  std::uint32_t number = 0;
  std::uint64_t generation = 0;
  {
    const Lock lock(mutex_);
    has_more_ = false;
    if (ready_.empty()) return Instant::max();
    number = ready_.begin()->second;
    if (const Instant ready = ready_.begin()->first; ready > now) return ready;
    if (rest_until_ > now) {
      probe_.rests.add();
      return rest_until_;
    }
    rule = rules_[number].rule;
    generation = generation_;
  }
  const Tried tried = judge_(rule, [&]() -> std::vector<Group::Arrival> {
    const Lock lock(mutex_);
    if (generation_ != generation) return {};
    return take(number);
  });
  const Instant end = clock_.now();
  const Lock lock(mutex_);
  rest_until_ = end + (end - now) * limits::arrival_rest;
  if (tried == Tried::done) probe_.judged.add();
  if (generation_ != generation) return end;
  if (tried == Tried::gone) (void)take(number);
  rules_[number].not_before =
      now + (tried == Tried::later ? limits::arrival_again : limits::arrival_distance);
  schedule(number);
  return end;
}

// Those whose time has come.
std::vector<Group::Arrival> Arrivals::take(std::uint32_t rule) {
  const Instant now = clock_.now();
  Watched& watched = rules_[rule];
  std::vector<Group::Arrival> taken;
  watched.due = Instant::max();
  std::erase_if(watched.waiting, [&](const Waiting& one) {
    if (one.due > now) {
      watched.due = std::min(watched.due, one.due);
      return false;
    }
    Series* const series = series_.find(one.series);
    if (series == nullptr) return true;
    taken.push_back({one.series, series->labels});
    std::ranges::find(series->watches, rule, &Watch::rule)->waits = false;
    return true;
  });
  schedule(rule);
  return taken;
}

void Arrivals::run() {
  name_thread("arrivals");
  for (;;) {
    const Instant next = step();
    Lock lock(mutex_);
    if (stopping_) return;
    const bool rests = next == rest_until_;
    const auto awake = [&] { return stopping_ || (has_more_ && !rests); };
    if (next == Instant::max())
      changed_.wait(lock, awake);
    else
      changed_.wait_for(lock, next - clock_.now(), awake);
    if (stopping_) return;
  }
}

}  // namespace tallymill::alerting
