#include "alerting/group.h"

#include <algorithm>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "alerting/arrival_series.h"
#include "alerting/expression.h"
#include "alerting/recording_state.h"
#include "alerting/rule_identity.h"
#include "base/check.h"
#include "base/limits.h"
#include "collector/promql/parser.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;

// Those of `before` that are none of `now`. Mostly both are the same, in the same order.
std::vector<Labels> gone(const std::vector<Labels>& before, const std::vector<Labels>& now) {
  std::vector<Labels> all;
  if (before == now) return all;
  std::unordered_set<std::string_view> there;
  there.reserve(now.size());
  for (const Labels& labels : now) there.insert(labels.packed());
  for (const Labels& labels : before)
    if (!there.contains(labels.packed())) all.push_back(labels);
  return all;
}

}  // namespace

struct Group::Slot {
  std::unique_ptr<RuleState> alerting;
  std::unique_ptr<RecordingState> recording;
  const Rule* rule = nullptr;
  promql::NodePtr input;      // with no_data
  std::vector<Labels> given;  // the series of the last time
  RuleStatus status;          // guarded; its alerts are with `alerting`
};

struct Group::State {
  std::vector<Slot> slots;
  std::vector<Labels> leaving;  // series of rules that are no more
  std::mutex mutex;             // guards the slots' status
};

Group::Group(RuleGroup rules, const Options& options, const collector::Source& source,
             SampleSink& sink)
    : rules_(std::move(rules)),
      identities_(identities_of(rules_.rules)),
      options_(options),
      source_(source),
      sink_(sink),
      state_(std::make_unique<State>()) {
  for (const Rule& rule : rules_.rules) {
    Slot& slot = state_->slots.emplace_back();
    slot.rule = &rule;
    if (rule.kind == Rule::Kind::recording) {
      slot.recording = std::make_unique<RecordingState>(rule);
      continue;
    }
    slot.alerting = std::make_unique<RuleState>(rule, options_.rules);
    if (rule.no_data == Rule::NoData::keep) continue;
    slot.input = input_of(*rule.node);
  }
}

Group::~Group() = default;

std::chrono::milliseconds Group::interval() const {
  return rules_.interval.count() > 0 ? rules_.interval : options_.interval;
}

std::vector<Group::Happened> Group::evaluate(std::int64_t at_ms) {
  std::vector<Happened> happened;
  for (std::size_t i = 0; i < state_->slots.size() && !is_cancelled(); ++i) {
    Slot& slot = state_->slots[i];
    const auto began = Stopwatch::now();
    auto health = slot.recording ? record(slot, at_ms) : judge(i, at_ms, happened);
    const auto took = Stopwatch::now() - began;
    const std::lock_guard lock(state_->mutex);
    slot.status.health = health.value_or(Health::err);
    slot.status.last_error = health ? "" : std::move(health.error().message);
    slot.status.evaluated_ms = at_ms;
    slot.status.took = took;
  }
  state_->leaving = mark_stale(std::move(state_->leaving), at_ms);
  return happened;
}

bool Group::is_cancelled() const {
  return options_.evaluate.cancelled != nullptr && *options_.evaluate.cancelled;
}

Result<std::vector<Match>> Group::ask(const promql::Node& node, std::int64_t at_ms,
                                      bool to_its_end) const {
  if (node.type == promql::Type::matrix)
    return fail(Errc::bad_params, "rule result is not a vector or scalar");
  promql::EvaluateOptions options = options_.evaluate;
  if (to_its_end) options.cancelled = nullptr;
  options.until = std::min(options.until, Stopwatch::now() + limits::query_time);
  auto value = promql::evaluate(node, {.start_ms = at_ms}, source_, options);
  if (!value) return std::unexpected(std::move(value).error());
  std::vector<Match> rows;
  if (value->type == promql::Type::scalar) {
    rows.push_back({Labels(), value->scalars[0]});
  } else if (value->type == promql::Type::vector) {
    rows.reserve(value->rows.size());
    for (promql::Row& row : value->rows) rows.push_back({std::move(row.labels), row.values[0]});
  } else {
    return fail(Errc::bad_params, "rule result is not a vector or scalar");
  }
  return rows;
}

Result<std::vector<Labels>> Group::ask_labels(const promql::Node& node, std::int64_t at_ms) const {
  auto rows = ask(node, at_ms);
  if (!rows) return std::unexpected(std::move(rows).error());
  std::vector<Labels> all;
  all.reserve(rows->size());
  for (const Match& row : *rows) all.push_back(promql::without_name(row.labels));
  return all;
}

Result<std::vector<TemplateSample>> Group::query(std::string_view text, std::int64_t at_ms) const {
  const auto node = promql::parse(text);
  if (!node) return std::unexpected(node.error());
  auto rows = ask(**node, at_ms, true);
  if (!rows) return std::unexpected(std::move(rows).error());
  std::vector<TemplateSample> samples;
  samples.reserve(rows->size());
  for (Match& row : *rows) samples.push_back({std::move(row.labels), row.value});
  return samples;
}

Result<Health> Group::record(Slot& slot, std::int64_t at_ms) {
  const auto rows = ask(*slot.rule->node, at_ms);
  if (!rows) return std::unexpected(rows.error());
  auto samples = slot.recording->record(*rows, rules_.limit);
  if (!samples) return std::unexpected(std::move(samples).error());
  if (auto stored = store(slot, std::move(*samples), at_ms); !stored)
    return std::unexpected(std::move(stored).error());
  return Health::ok;
}

Result<Health> Group::judge(std::size_t rule, std::int64_t at_ms, std::vector<Happened>& happened) {
  Slot& slot = state_->slots[rule];
  auto evaluation = ask_all(*slot.rule, slot, at_ms);
  if (!evaluation) return std::unexpected(std::move(evaluation).error());
  const auto add = [&](std::vector<Transition> transitions) {
    for (Transition& one : transitions) happened.push_back({rule, std::move(one)});
  };
  auto transitions = slot.alerting->match(*evaluation, rules_.limit);
  if (!transitions) {
    if (transitions.error().code == Errc::too_big) add(slot.alerting->give_up());
    return std::unexpected(std::move(transitions).error());
  }
  add(std::move(*transitions));
  if (auto stored = store(slot, slot.alerting->samples(), at_ms); !stored)
    return std::unexpected(std::move(stored).error());
  const bool is_empty = evaluation->input && evaluation->input->empty();
  return is_empty && evaluation->matches.empty() ? Health::nodata : Health::ok;
}

// The rule's own expression and, as far as they matter now, those that say what becomes of alerts
// without a match.
Result<Evaluation> Group::ask_all(const Rule& rule, const Slot& slot, std::int64_t at_ms) const {
  Evaluation evaluation{.at_ms = at_ms};
  auto matches = ask(*rule.node, at_ms);
  if (!matches) return std::unexpected(std::move(matches).error());
  evaluation.matches = std::move(*matches);
  evaluation.query = [this, at_ms](std::string_view text) { return query(text, at_ms); };
  const bool may_end = rule.resolve_node != nullptr && slot.alerting->state() == AlertState::firing;
  if (may_end) {
    auto resolving = ask_labels(*rule.resolve_node, at_ms);
    if (!resolving) return std::unexpected(std::move(resolving).error());
    evaluation.resolving = std::move(*resolving);
  }
  if (slot.input != nullptr && (may_end || evaluation.matches.empty())) {
    auto input = ask_labels(*slot.input, at_ms);
    if (!input) return std::unexpected(std::move(input).error());
    evaluation.input = std::move(*input);
  }
  return evaluation;
}

Status Group::store(Slot& slot, std::vector<RuleState::Sample> samples, std::int64_t at_ms) {
  std::vector<Labels> given;
  std::vector<SampleSink::Sample> points;
  given.reserve(samples.size());
  points.reserve(samples.size());
  for (RuleState::Sample& sample : samples) {
    given.push_back(sample.labels);
    points.push_back({std::move(sample.labels), at_ms, sample.value});
  }
  Status stored;
  if (!points.empty()) stored = sink_.append(points);
  auto again = mark_stale(gone(slot.given, given), at_ms);
  slot.given = std::move(given);
  std::ranges::move(again, std::back_inserter(slot.given));
  return stored;
}

// A marker that comes too late, or where another rule has stored a sample, is not needed.
std::vector<Labels> Group::mark_stale(std::vector<Labels> series, std::int64_t at_ms) {
  if (series.empty()) return series;
  std::vector<SampleSink::Sample> points;
  points.reserve(series.size());
  for (const Labels& labels : series) points.push_back({labels, at_ms, collector::stale_marker});
  const auto marked = sink_.append(points);
  if (marked || !info(marked.error().code).retry) series.clear();
  return series;
}

// What the expression would give for these series if it were evaluated now.
std::vector<Group::Happened> Group::begin(std::int64_t at_ms, std::size_t rule,
                                          std::span<const Arrival> arrivals) {
  const auto threshold = plain_threshold(*rules_.rules[rule].node);
  TM_CHECK(threshold.has_value());
  std::vector<Match> matches;
  std::vector<collector::SeriesId> series;
  collector::Column column;
  for (const Arrival& arrival : arrivals) {
    const std::int64_t oldest = at_ms - options_.evaluate.lookback.count();
    if (!source_.read_last(arrival.series, oldest, at_ms, column) || column.size() == 0) continue;
    const double value = column.value.back();
    if (collector::is_stale(value) || !threshold->holds(value)) continue;
    matches.push_back({arrival.labels, value});
    series.push_back(arrival.series);
  }
  if (matches.empty()) return {};
  const auto held_since = [&](std::size_t match, std::int64_t since_ms) {
    return source_.read(series[match], since_ms, at_ms, column) &&
           std::ranges::all_of(column.value, [&](double value) {
             return !collector::is_stale(value) && threshold->holds(value);
           });
  };
  return begin(at_ms, rule, std::move(matches), held_since);
}

std::vector<Group::Happened> Group::begin_again(std::int64_t at_ms, std::size_t rule,
                                                std::vector<Match> matches) {
  return begin(at_ms, rule, std::move(matches), [](std::size_t, std::int64_t) { return true; });
}

std::vector<Group::Happened> Group::begin(std::int64_t at_ms, std::size_t rule,
                                          std::vector<Match> matches,
                                          const RuleState::HeldSince& held_since) {
  Slot& slot = state_->slots[rule];
  const Evaluation evaluation{
      .at_ms = at_ms, .matches = std::move(matches), .query = [this, at_ms](std::string_view text) {
        return query(text, at_ms);
      }};
  std::vector<Happened> happened;
  std::vector<SampleSink::Sample> points;
  std::unordered_set<std::string> ended;
  for (auto& [match, transition] : slot.alerting->begin(evaluation, rules_.limit, held_since)) {
    for (RuleState::Sample& sample : slot.alerting->samples_of(transition.alert.labels)) {
      if (collector::is_stale(sample.value))
        ended.emplace(sample.labels.packed());
      else
        slot.given.push_back(sample.labels);
      points.push_back({std::move(sample.labels), at_ms, sample.value});
    }
    const Match& by = evaluation.matches[match];
    points.push_back({arrival_series(rules_, *slot.rule, by.labels), at_ms, by.value});
    happened.push_back({rule, std::move(transition)});
  }
  if (points.empty()) return happened;
  if (!ended.empty())
    std::erase_if(slot.given, [&](const Labels& labels) {
      return ended.contains(std::string(labels.packed()));
    });
  if (auto stored = sink_.append(points); !stored) {
    const std::lock_guard lock(state_->mutex);
    slot.status.health = Health::err;
    slot.status.last_error = std::move(stored.error().message);
  }
  return happened;
}

std::vector<std::size_t> Group::take_over(const Group& old) {
  const auto partner = partners(rules_.rules, old.rules_.rules);
  std::vector<bool> taken(old.state_->slots.size(), false);
  for (std::size_t i = 0; i < partner.size(); ++i) {
    if (!partner[i]) continue;
    taken[*partner[i]] = true;
    const Slot& from = old.state_->slots[*partner[i]];
    Slot& to = state_->slots[i];
    to.given = from.given;
    if (to.alerting != nullptr) to.alerting->take_over(*from.alerting);
  }
  state_->leaving = old.state_->leaving;
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    if (taken[i]) continue;
    left.push_back(i);
    std::ranges::copy(old.state_->slots[i].given, std::back_inserter(state_->leaving));
  }
  return left;
}

void Group::put_off(std::chrono::milliseconds by) {
  for (Slot& slot : state_->slots)
    if (slot.alerting != nullptr) slot.alerting->put_off(by);
}

void Group::end(std::int64_t at_ms) {
  std::vector<Labels> all = std::move(state_->leaving);
  for (Slot& slot : state_->slots) {
    std::ranges::move(slot.given, std::back_inserter(all));
    slot.given.clear();
  }
  state_->leaving = mark_stale(std::move(all), at_ms);
}

std::vector<RuleStatus> Group::status() const {
  std::vector<RuleStatus> all;
  all.reserve(state_->slots.size());
  {
    const std::lock_guard lock(state_->mutex);
    for (const Slot& slot : state_->slots) all.push_back(slot.status);
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (state_->slots[i].alerting == nullptr) continue;
    all[i].alerts = state_->slots[i].alerting->alerts();
    std::erase_if(all[i].alerts,
                  [](const Alert& alert) { return alert.state == AlertState::inactive; });
  }
  return all;
}

Group::Counts Group::counts() const {
  Counts counts;
  for (const Slot& slot : state_->slots) {
    if (slot.alerting != nullptr) {
      const RuleState::Counts alerts = slot.alerting->counts();
      counts.pending += alerts.pending;
      counts.firing += alerts.firing;
    }
    const std::lock_guard lock(state_->mutex);
    if (slot.status.health == Health::err) ++counts.failed;
    if (slot.status.health == Health::nodata) ++counts.nodata;
  }
  return counts;
}

RuleState& Group::state(std::size_t rule) {
  TM_CHECK(rule < state_->slots.size() && state_->slots[rule].alerting != nullptr);
  return *state_->slots[rule].alerting;
}

}  // namespace tallymill::alerting
