// 1. look_up() finds for each match what it became the last time, and expands what may have
// changed.
// 2. count_others_that_go_on() marks the alerts that go on without a match; with the matches they
//    are what `limit` bounds. Up to here nothing has changed but what is remembered.
// 3. take() gives each match to its alert, settle() says of each alert what is next.
#include "alerting/rule_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "alerting/absent_labels.h"
#include "alerting/expression.h"
#include "alerting/limits.h"
#include "base/check.h"
#include "collector/promql/value.h"

namespace tallymill::alerting {
namespace {

using collector::Label;
using collector::Labels;
using collector::LabelsBuilder;

constexpr std::string_view alert_name = "alertname";
constexpr std::string_view alert_state = "alertstate";
constexpr std::int64_t resolved_kept_ms = 15 * 60'000;

// A whole number of seconds, as Prometheus stores it.
std::int64_t seconds_of(std::int64_t t_ms) { return t_ms / 1000 - (t_ms % 1000 < 0 ? 1 : 0); }

bool is_same_value(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

std::unexpected<Error> over_limit(std::size_t limit, std::size_t alerts) {
  return fail(Errc::too_big, fmt::format("exceeded limit of {} with {} alerts", limit, alerts));
}

// From the first action of a text to the end of its last one.
std::string_view actions_of(std::string_view text) {
  const auto begin = text.find("{{");
  const auto end = text.rfind("}}");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  return text.substr(begin, end - begin);
}

// $value, .Value, or all that there is: a dot or a dollar sign alone.
bool mentions_value(std::string_view actions) {
  if (actions.find("alue") != std::string_view::npos) return true;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    if (actions[i] != '.' && actions[i] != '$') continue;
    const char next = i + 1 < actions.size() ? actions[i + 1] : ' ';
    const bool names = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || next == '_';
    if (!names) return true;
  }
  return false;
}

}  // namespace

// Fills in the texts of one evaluation; what they are told is put together at the first of them.
class RuleState::Expander {
 public:
  Expander(const RuleState& of, const Evaluation& evaluation) : of_(of), evaluation_(evaluation) {}

  Labels labels(const Match& match) {
    LabelsBuilder builder(match.labels);
    builder.erase(collector::metric_name);
    for (const Templated& label : of_.rule_.labels)
      builder.set(label.name, label.compiled.text_or_error(about(match)));
    builder.set(alert_name, of_.rule_.name);
    return builder.build();
  }
  Labels annotations(const Match& match) {
    LabelsBuilder builder;
    for (const Templated& annotation : of_.rule_.annotations)
      builder.set(annotation.name, annotation.compiled.text_or_error(about(match)));
    return builder.build();
  }

 private:
  const TemplateData& about(const Match& match) {
    if (!data_) {
      data_.emplace();
      data_->external_labels = of_.options_.external_labels;
      data_->external_url = of_.options_.external_url;
      data_->now_ms = evaluation_.at_ms;
      data_->query = evaluation_.query;
      data_->alert = of_.rule_.name;
    }
    data_->labels = match.labels;
    data_->value = match.value;
    return *data_;
  }

  const RuleState& of_;
  const Evaluation& evaluation_;
  std::optional<TemplateData> data_;
};

// Whether an expression gave a row for an alert.
class RuleState::LabelSets {
 public:
  LabelSets(const RuleState& of, std::span<const Labels> rows) : of_(of), rows_(rows) {
    for (const Labels& row : rows) known_.insert(row.packed());
  }
  [[nodiscard]] bool has(const Held& held) {
    if (held.source_is_known) return known_.contains(held.source.packed());
    if (guessed_.empty())
      for (const Labels& row : rows_) guessed_.emplace(of_.without_own(row).packed());
    return guessed_.contains(std::string(held.source.packed()));
  }

 private:
  const RuleState& of_;
  const std::span<const Labels> rows_;
  std::unordered_set<std::string_view> known_;
  std::unordered_set<std::string> guessed_;
};

RuleState::RuleState(const Rule& rule, const Options& options)
    : rule_(rule),
      options_(options),
      labels_depend_(dependence_of(rule.labels)),
      annotations_depend_(dependence_of(rule.annotations)) {
  TM_CHECK(rule.kind == Rule::Kind::alerting);
  if (rule.no_data != Rule::NoData::fire) return;
  if (const auto input = input_of(*rule.node)) absent_labels_ = absent_labels(*input);
}

RuleState::~RuleState() { set_active(0); }

// Its even share a rule has in any case: who tells of a flood of alerts is not drowned in it.
bool RuleState::try_set_active(std::size_t active) {
  AlertCount* const all = options_.all;
  const bool asks = all != nullptr && active > all->most() / limits::rules;
  if (asks && !all->try_change(active_, active)) return false;
  if (asks)
    active_ = active;
  else
    set_active(active);
  return true;
}

void RuleState::set_active(std::size_t active) {
  if (options_.all != nullptr) options_.all->set(active_, active);
  active_ = active;
}

RuleState::Dependence RuleState::dependence_of(std::span<const Templated> texts) {
  Dependence all;
  for (const Templated& one : texts) {
    const std::string_view actions = actions_of(one.text);
    all.value = all.value || mentions_value(actions);
    all.query = all.query || actions.find("query") != std::string_view::npos;
  }
  return all;
}

Result<std::vector<Transition>> RuleState::match(const Evaluation& evaluation, std::size_t limit) {
  const std::optional<Match> made = made_of_no_data(evaluation);
  const std::span<const Match> matches =
      made ? std::span<const Match>(&*made, 1) : std::span<const Match>(evaluation.matches);
  if (matches.size() > limits::rule_rows) return over_limit(limits::rule_rows, matches.size());
  ++round_;
  matched_.clear();
  if (auto found = look_up(evaluation, matches); !found) {
    known_.clear();
    return std::unexpected(std::move(found).error());
  }
  const std::size_t active = matches.size() + count_others_that_go_on(evaluation);
  const std::size_t most = limit == 0 ? limits::rule_rows : std::min(limit, limits::rule_rows);
  if (active > most) {
    known_.clear();
    return over_limit(most, active);
  }
  if (!try_set_active(active)) {
    known_.clear();
    return fail(Errc::busy,
                fmt::format("exceeded limit of {} alerts of all rules", options_.all->most()));
  }

  std::vector<Transition> happened;
  const std::lock_guard lock(mutex_);
  for (Known* known : matched_) take(*known, evaluation.at_ms);
  for (auto at = held_.begin(); at != held_.end();)
    at = settle(at->second, evaluation.at_ms, happened) ? std::next(at) : held_.erase(at);
  forget_unseen();
  forget_oldest(active);
  return happened;
}

// With `no_data: fire`: there is nothing to compare.
bool RuleState::finds_nothing(const Evaluation& evaluation) const {
  return rule_.no_data == Rule::NoData::fire && evaluation.input && evaluation.input->empty() &&
         evaluation.matches.empty();
}

// When there is no alert either that could go on.
std::optional<Match> RuleState::made_of_no_data(const Evaluation& evaluation) const {
  if (!finds_nothing(evaluation) || state() != AlertState::inactive) return std::nullopt;
  return Match{absent_labels_, promql::nan_value};
}

Status RuleState::look_up(const Evaluation& evaluation, std::span<const Match> matches) {
  Expander expander(*this, evaluation);
  bool is_changed = false;
  for (const Match& match : matches) {
    const auto [at, is_fresh] = known_.try_emplace(match.labels);
    Known& known = at->second;
    if (is_fresh && rule_.resolve_node != nullptr)
      known.source = promql::without_name(match.labels);
    const bool moved = is_fresh || !is_same_value(known.value, match.value);
    if (is_fresh || labels_depend_.query || (moved && labels_depend_.value)) {
      Labels labels = expander.labels(match);
      if (is_fresh || labels != known.labels) {
        known.labels = std::move(labels);
        known.held = nullptr;
        known.is_new = is_changed = true;
      }
    }
    if (is_fresh || annotations_depend_.query || (moved && annotations_depend_.value)) {
      known.annotations = expander.annotations(match);
      known.is_new = true;
    }
    if (known.held == nullptr)
      if (const auto held = held_.find(known.labels); held != held_.end())
        known.held = &held->second;
    if (known.held != nullptr) known.held->matched = round_;
    is_changed = is_changed || known.round == round_;
    known.value = match.value;
    known.round = round_;
    matched_.push_back(&known);
  }
  // Without a change they are some of those that were distinct the last time.
  if (is_changed && !is_distinct())
    return fail(Errc::bad_params,
                "vector contains metrics with the same labelset after applying alert labels");
  return {};
}

bool RuleState::is_distinct() const {
  std::unordered_set<std::string_view> seen;
  seen.reserve(matched_.size());
  return std::ranges::all_of(matched_, [&](const Known* known) {  //
    return seen.insert(known->labels.packed()).second;
  });
}

std::size_t RuleState::count_others_that_go_on(const Evaluation& evaluation) {
  LabelSets resolving(*this, evaluation.resolving);
  LabelSets input(*this, evaluation.input ? std::span<const Labels>(*evaluation.input)
                                          : std::span<const Labels>());
  const bool is_as_if_matched = finds_nothing(evaluation);
  std::size_t count = 0;
  for (auto& [labels, held] : held_) {
    if (held.matched == round_ || held.alert.state == AlertState::inactive) continue;
    if (is_as_if_matched)
      held.matched = round_;
    else if (goes_on(held, evaluation, resolving, input))
      held.went_on = round_;
    else
      continue;
    ++count;
  }
  return count;
}

bool RuleState::goes_on(const Held& held, const Evaluation& evaluation, LabelSets& resolving,
                        LabelSets& input) const {
  if (held.alert.state != AlertState::firing) return false;
  const std::int64_t missing = held.missing_since_ms.value_or(evaluation.at_ms);
  if (evaluation.at_ms - missing < rule_.keep_firing.count()) return true;
  if (rule_.resolve_node == nullptr) return false;
  // That which was made of no data is over with it: resolve_expr would never return it.
  if (rule_.no_data == Rule::NoData::fire && std::isnan(held.alert.value)) return false;
  if (rule_.no_data == Rule::NoData::resolve && evaluation.input && !input.has(held)) return false;
  return !resolving.has(held);
}

void RuleState::take(Known& known, std::int64_t at_ms) {
  const bool is_fresh = known.held == nullptr;
  if (is_fresh) known.held = &held_[known.labels];
  Held& held = *known.held;
  held.matched = round_;
  Alert& alert = held.alert;
  if (is_fresh || alert.state == AlertState::inactive) {
    alert = Alert{};
    alert.labels = known.labels;
    alert.active_ms = at_ms;
    held.begun = round_;
    held.series_state = AlertState::inactive;
    known.is_new = true;
  }
  alert.value = known.value;
  if (!known.is_new) return;
  alert.annotations = known.annotations;
  held.source = known.source;
  held.source_is_known = true;
  known.is_new = false;
}

bool RuleState::settle(Held& held, std::int64_t at_ms, std::vector<Transition>& happened) {
  Alert& alert = held.alert;
  if (held.matched == round_) {
    alert.matched_ms = at_ms;
    held.missing_since_ms.reset();
  } else if (held.went_on == round_) {
    if (!held.missing_since_ms) held.missing_since_ms = at_ms;
  } else if (alert.state == AlertState::firing) {
    alert.state = AlertState::inactive;
    alert.resolved_ms = at_ms;
    happened.push_back({Transition::What::resolved, alert});
    return true;
  } else if (alert.state == AlertState::pending) {
    happened.push_back({Transition::What::dropped, alert});
    return false;
  } else {
    return at_ms - alert.resolved_ms <= resolved_kept_ms;
  }
  if (alert.state != AlertState::pending) return true;
  if (at_ms - alert.active_ms >= rule_.hold.count()) {
    alert.state = AlertState::firing;
    alert.fired_ms = at_ms;
    happened.push_back({Transition::What::fired, alert});
  } else if (held.begun == round_) {
    happened.push_back({Transition::What::pending, alert});
  }
  return true;
}

// So that what is known was distinct the last time, and points to no alert that is forgotten: that
// had no match in this round.
void RuleState::forget_unseen() {
  if (known_.size() == matched_.size()) return;
  std::erase_if(known_, [&](const auto& one) { return one.second.round != round_; });
}

// Of those that are over, as an expression whose labels are always others leaves behind.
void RuleState::forget_oldest(std::size_t active) {
  if (held_.size() - active <= limits::rule_rows) return;
  std::vector<decltype(held_)::iterator> over;
  for (auto at = held_.begin(); at != held_.end(); ++at)
    if (at->second.alert.state == AlertState::inactive) over.push_back(at);
  const auto kept = over.end() - static_cast<std::ptrdiff_t>(limits::rule_rows);
  std::ranges::nth_element(over, kept, {},
                           [](const auto& at) { return at->second.alert.resolved_ms; });
  std::for_each(over.begin(), kept, [&](const auto& at) { held_.erase(at); });
}

std::vector<RuleState::Begun> RuleState::begin(const Evaluation& evaluation, std::size_t limit,
                                               const HeldSince& held_since) {
  using What = Transition::What;
  const std::int64_t at_ms = evaluation.at_ms;
  const std::size_t most = limit == 0 ? limits::rule_rows : std::min(limit, limits::rule_rows);
  std::vector<Begun> begun;
  Expander expander(*this, evaluation);
  for (std::size_t i = 0; i < evaluation.matches.size(); ++i) {
    const Match& match = evaluation.matches[i];
    const Labels labels = expander.labels(match);
    const auto known = held_.find(labels);
    if (known != held_.end() && known->second.alert.state != AlertState::inactive) {
      Alert& alert = known->second.alert;
      if (alert.state == AlertState::firing || at_ms - alert.active_ms < rule_.hold.count() ||
          !held_since(i, alert.active_ms))
        continue;
      const std::lock_guard lock(mutex_);
      alert.state = AlertState::firing;
      alert.fired_ms = alert.matched_ms = at_ms;
      alert.value = match.value;
      begun.push_back({i, {What::fired, alert}});
    } else if (active_ < most && try_set_active(active_ + 1)) {
      Held fresh = begun_by(match, labels, expander.annotations(match), at_ms);
      const bool fires = fresh.alert.state == AlertState::firing;
      begun.push_back({i, {fires ? What::fired : What::pending, fresh.alert}});
      const std::lock_guard lock(mutex_);
      held_.insert_or_assign(labels, std::move(fresh));
    }
  }
  return begun;
}

RuleState::Held RuleState::begun_by(const Match& match, const Labels& labels, Labels annotations,
                                    std::int64_t at_ms) const {
  Held fresh;
  fresh.alert.labels = labels;
  fresh.alert.annotations = std::move(annotations);
  fresh.alert.value = match.value;
  fresh.alert.active_ms = fresh.alert.matched_ms = at_ms;
  if (rule_.hold.count() == 0) {
    fresh.alert.state = AlertState::firing;
    fresh.alert.fired_ms = at_ms;
  }
  fresh.source = promql::without_name(match.labels);
  fresh.source_is_known = true;
  return fresh;
}

std::vector<Transition> RuleState::give_up() {
  std::vector<Transition> happened;
  known_.clear();
  const std::lock_guard lock(mutex_);
  for (const auto& [labels, held] : held_)
    if (held.alert.state != AlertState::inactive)
      happened.push_back({Transition::What::dropped, held.alert});
  held_.clear();
  set_active(0);
  return happened;
}

std::vector<Alert> RuleState::alerts() const {
  const std::lock_guard lock(mutex_);
  std::vector<Alert> all;
  all.reserve(held_.size());
  for (const auto& [labels, held] : held_) all.push_back(held.alert);
  return all;
}

RuleState::Counts RuleState::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts;
  for (const auto& [labels, held] : held_) {
    if (held.alert.state == AlertState::pending) ++counts.pending;
    if (held.alert.state == AlertState::firing) ++counts.firing;
  }
  return counts;
}

const Alert* RuleState::find(const Labels& labels) const {
  const auto at = held_.find(labels);
  return at == held_.end() ? nullptr : &at->second.alert;
}

AlertState RuleState::state() const {
  const std::lock_guard lock(mutex_);
  AlertState greatest = AlertState::inactive;
  for (const auto& [labels, held] : held_) greatest = std::max(greatest, held.alert.state);
  return greatest;
}

void RuleState::restore(Alert alert, std::int64_t away_ms, std::int64_t now_ms) {
  const std::int64_t hold = rule_.hold.count();
  const std::int64_t grace = options_.for_grace.count();
  const std::int64_t left = hold - (now_ms - away_ms - alert.active_ms);
  if (alert.state == AlertState::pending) {
    if (hold < grace)
      alert.active_ms = now_ms;
    else if (left > 0)
      alert.active_ms = left < grace ? now_ms + grace - hold : alert.active_ms + away_ms;
  }
  Held held;
  held.source = without_own(alert.labels);
  held.alert = std::move(alert);
  known_.clear();
  const std::lock_guard lock(mutex_);
  const Labels labels = held.alert.labels;
  const auto known = held_.find(labels);
  const bool was_active = known != held_.end() && known->second.alert.state != AlertState::inactive;
  const bool is_active = held.alert.state != AlertState::inactive;
  held_.insert_or_assign(labels, std::move(held));
  set_active(active_ + (is_active ? 1 : 0) - (was_active ? 1 : 0));
}

void RuleState::put_off(std::chrono::milliseconds by) {
  const std::lock_guard lock(mutex_);
  for (auto& [labels, held] : held_)
    if (held.alert.state == AlertState::pending) held.alert.active_ms += by.count();
}

void RuleState::sent(const Labels& labels, std::int64_t at_ms, std::int64_t valid_until_ms) {
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(labels);
  if (at == held_.end()) return;
  at->second.alert.last_sent_ms = at_ms;
  at->second.alert.valid_until_ms = valid_until_ms;
}

void RuleState::take_over(const RuleState& old) {
  known_.clear();
  const std::scoped_lock lock(mutex_, old.mutex_);
  held_ = old.held_;
  set_active(old.active_);
  for (auto& [labels, held] : held_) held.begun = held.matched = held.went_on = 0;
}

std::vector<RuleState::Sample> RuleState::samples() {
  std::vector<Sample> all;
  for (auto& [labels, held] : held_) {
    const Alert& alert = held.alert;
    if (alert.state == AlertState::inactive) continue;
    name_series(held);
    all.push_back({held.series, 1});
    all.push_back({held.for_state_series, static_cast<double>(seconds_of(alert.active_ms))});
  }
  return all;
}

std::vector<RuleState::Sample> RuleState::samples_of(const Labels& labels) {
  const auto at = held_.find(labels);
  if (at == held_.end() || at->second.alert.state == AlertState::inactive) return {};
  Held& held = at->second;
  std::vector<Sample> all;
  const bool was_other =
      held.series_state != AlertState::inactive && held.series_state != held.alert.state;
  if (was_other) all.push_back({held.series, collector::stale_marker});
  name_series(held);
  all.push_back({held.series, 1});
  all.push_back({held.for_state_series, static_cast<double>(seconds_of(held.alert.active_ms))});
  return all;
}

void RuleState::name_series(Held& held) {
  if (held.for_state_series.empty())
    held.for_state_series = series_of(held, "ALERTS_FOR_STATE").build();
  if (held.series_state == held.alert.state) return;
  LabelsBuilder builder = series_of(held, "ALERTS");
  builder.set(alert_state, name_of(held.alert.state));
  held.series = builder.build();
  held.series_state = held.alert.state;
}

// A label of the rule whose text became empty is there as it was written: so it is in Prometheus.
LabelsBuilder RuleState::series_of(const Held& held, std::string_view metric) const {
  LabelsBuilder builder;
  for (const Templated& label : rule_.labels) builder.set(label.name, label.text);
  for (const Label& label : held.alert.labels) builder.set(label.name, label.value);
  builder.set(collector::metric_name, metric);
  builder.set(alert_name, rule_.name);
  return builder;
}

Labels RuleState::without_own(const Labels& labels) const {
  return labels.only([&](const Label& label) {
    return label.name != collector::metric_name && label.name != alert_name &&
           std::ranges::find(rule_.labels, label.name, &Templated::name) == rule_.labels.end();
  });
}

}  // namespace tallymill::alerting
