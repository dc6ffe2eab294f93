#include "alerting/backtest_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "alerting/expression.h"
#include "collector/promql/parser.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;

bool looks_for_the_lowest(const promql::Node& node) {
  const promql::Node* at = &node;
  while (const auto* paren = std::get_if<promql::Paren>(&at->is)) at = paren->of.get();
  const auto* binary = std::get_if<promql::Binary>(&at->is);
  if (binary == nullptr) return false;
  using enum promql::Operator;
  const bool scalar_left = binary->left->type == promql::Type::scalar;
  return scalar_left ? binary->op == greater || binary->op == greater_equal
                     : binary->op == less || binary->op == less_equal;
}

std::vector<Labels> labels_of(const std::vector<Match>& rows) {
  std::vector<Labels> all;
  all.reserve(rows.size());
  for (const Match& row : rows) all.push_back(promql::without_name(row.labels));
  return all;
}

bool is_callers(const Error& error) {
  return error.code == Errc::cancelled || error.code == Errc::deadline;
}

}  // namespace

JudgedRule::JudgedRule(const PlannedRule& planned, const RuleGroup& group, std::size_t number,
                       BacktestRule& told, const Shared& shared)
    : planned_(planned),
      rule_(*planned.rule),
      limit_(group.limit),
      number_(number),
      lowest_is_peak_(looks_for_the_lowest(*rule_.node)),
      told_(told),
      shared_(shared),
      arrivals_(group, rule_) {
  if (rule_.kind == Rule::Kind::recording)
    recording_.emplace(rule_);
  else
    state_.emplace(rule_, shared.options.rules);
  if (state_ && rule_.no_data != Rule::NoData::keep) input_node_ = input_of(*rule_.node);
}

void JudgedRule::begin(const promql::Grid& grid) {
  const Answers::Limits limits{shared_.options.until, shared_.options.cancelled};
  main_.emplace(*rule_.node, grid, shared_.overlay, planned_.at_once, limits);
  if (rule_.resolve_node != nullptr)
    resolve_.emplace(*rule_.resolve_node, grid, shared_.overlay, planned_.at_once, limits);
  if (input_node_ != nullptr)
    input_.emplace(*input_node_, grid, shared_.overlay, planned_.at_once, limits);
  if (grid.count == 0) return;
  const std::int64_t last_ms = grid.at(grid.count - 1);
  if (auto read = arrivals_.read(shared_.overlay, shared_.options.from_ms, last_ms); !read)
    (void)failed(std::move(read).error(), last_ms);
}

std::uint64_t JudgedRule::end() {
  Seen seen = main_->seen();
  if (resolve_) seen.add(resolve_->seen());
  if (input_) seen.add(input_->seen());
  if (seen.samples > 0) {
    if (told_.samples == 0 || seen.first_ms < told_.first_sample_ms)
      told_.first_sample_ms = seen.first_ms;
    if (told_.samples == 0 || seen.last_ms > told_.last_sample_ms)
      told_.last_sample_ms = seen.last_ms;
    told_.samples += seen.samples;
  }
  told_.given += seen.given;
  told_.step_ms = std::max(told_.step_ms, seen.step_ms);
  told_.coarse_ms = std::max(told_.coarse_ms, seen.coarse_ms);
  told_.evaluations += main_->grid().count;
  main_.reset();
  resolve_.reset();
  input_.reset();
  return seen.samples;
}

Status JudgedRule::judge() {
  const std::size_t count = grid().count;
  if (auto filled = fill(); !filled) return filled;
  for (std::size_t step = 0; step < count;) {
    if (planned_.at_once) {
      const Answers::Part& part = main_->part(step);
      const std::int64_t last_ms = grid().at(part.first + part.count - 1);
      bool is_done =
          part.has.empty() && state_ && is_quiet() && arrivals_.before(last_ms) == nullptr;
      if (recording_) {
        auto recorded = record_at_once(part);
        if (!recorded) return std::unexpected(std::move(recorded).error());
        is_done = *recorded;
      }
      if (is_done) {
        step = part.first + part.count;
        continue;
      }
    }
    if (auto judged = judge(step); !judged) return judged;
    ++step;
  }
  return {};
}

Status JudgedRule::judge(std::size_t step) { return state_ ? judge_alerts(step) : record(step); }

Status JudgedRule::failed(Error error, std::int64_t at_ms) {
  if (is_callers(error)) return std::unexpected(std::move(error));
  if (told_.failures++ == 0) {
    told_.first_error = std::move(error.message);
    told_.first_error_ms = at_ms;
  }
  return {};
}

// ---- alerts ----

Status JudgedRule::judge_alerts(std::size_t step) {
  if (auto begun = begin_again(grid().at(step)); !begun) return begun;
  const auto has = main_->has(step);
  if (!has) return std::unexpected(has.error());
  if (!*has && is_quiet()) return {};
  const std::int64_t at_ms = grid().at(step);
  const auto evaluation = asked(step);
  if (!evaluation) return failed(evaluation.error(), at_ms);
  auto happened = state_->match(*evaluation, limit_);
  if (!happened) {
    const bool gives_up = happened.error().code == Errc::too_big;
    if (auto noted = failed(std::move(happened).error(), at_ms); !noted) return noted;
    if (!gives_up) return {};
    happened = state_->give_up();
  }
  is_active_ = state_->state() != AlertState::inactive;
  if (auto taken = take(*happened, at_ms); !taken) return taken;
  follow_peaks(at_ms);
  return planned_.is_read ? store(state_->samples(), at_ms) : Status();
}

Status JudgedRule::begin_last() {
  const BacktestOptions& all = shared_.options;
  if (auto read = arrivals_.read(shared_.overlay, all.from_ms, all.to_ms); !read)
    return failed(std::move(read).error(), all.to_ms);
  return begin_again(all.to_ms + 1);
}

Status JudgedRule::begin_again(std::int64_t before_ms) {
  for (; const auto* arrival = arrivals_.before(before_ms); arrivals_.pop()) {
    const std::int64_t at_ms = arrival->t_ms;
    const Evaluation evaluation{
        .at_ms = at_ms, .matches = {arrival->match}, .query = [this, at_ms](std::string_view text) {
          return query(text, at_ms);
        }};
    const auto always = [](std::size_t, std::int64_t) { return true; };
    for (const RuleState::Begun& begun : state_->begin(evaluation, limit_, always)) {
      is_active_ = true;
      const std::vector<Transition> happened{begun.transition};
      if (auto taken = take(happened, at_ms); !taken) return taken;
      if (!planned_.is_read) continue;
      for (const RuleState::Sample& sample : state_->samples_of(begun.transition.alert.labels)) {
        const std::size_t series = shared_.overlay.series(sample.labels);
        if (collector::is_stale(sample.value))
          given_.erase(series);
        else
          given_.insert(series);
        if (auto put_in = put(series, at_ms, sample.value); !put_in) return put_in;
      }
    }
  }
  return {};
}

// As Group does it.
Result<Evaluation> JudgedRule::asked(std::size_t step) {
  const std::int64_t at_ms = grid().at(step);
  Evaluation evaluation{.at_ms = at_ms};
  auto matches = main_->at(step);
  if (!matches) return std::unexpected(std::move(matches).error());
  evaluation.matches = std::move(*matches);
  evaluation.query = [this, at_ms](std::string_view text) { return query(text, at_ms); };
  const auto ask = [&](Answers& answers) -> Result<std::vector<Labels>> {
    if (const auto has = answers.has(step); !has) return std::unexpected(has.error());
    auto rows = answers.at(step);
    if (!rows) return std::unexpected(std::move(rows).error());
    return labels_of(*rows);
  };
  const bool may_end = resolve_ && state_->state() == AlertState::firing;
  if (may_end) {
    auto resolving = ask(*resolve_);
    if (!resolving) return std::unexpected(std::move(resolving).error());
    evaluation.resolving = std::move(*resolving);
  }
  if (input_ && (may_end || evaluation.matches.empty())) {
    auto input = ask(*input_);
    if (!input) return std::unexpected(std::move(input).error());
    evaluation.input = std::move(*input);
  }
  return evaluation;
}

Result<std::vector<TemplateSample>> JudgedRule::query(std::string_view text,
                                                      std::int64_t at_ms) const {
  const auto node = promql::parse(text);
  if (!node) return std::unexpected(node.error());
  if ((*node)->type == promql::Type::matrix)
    return fail(Errc::bad_params, "rule result is not a vector or scalar");
  Answers answers(**node, {.start_ms = at_ms}, shared_.overlay, false,
                  {shared_.options.until, shared_.options.cancelled});
  if (const auto has = answers.has(0); !has) return std::unexpected(has.error());
  auto rows = answers.at(0);
  if (!rows) return std::unexpected(std::move(rows).error());
  std::vector<TemplateSample> samples;
  for (Match& row : *rows) samples.push_back({std::move(row.labels), row.value});
  return samples;
}

Status JudgedRule::take(const std::vector<Transition>& happened, std::int64_t at_ms) {
  for (const Transition& one : happened) {
    using enum Transition::What;
    if (one.what == fired) {
      if (auto opened = open(one.alert); !opened) return opened;
    } else if (one.what == resolved || open_.contains(one.alert.labels)) {
      close(one.alert, at_ms);
    } else if (one.what == dropped) {
      ++told_.unfulfilled;
    }
  }
  return {};
}

Status JudgedRule::open(const Alert& alert) {
  if (shared_.firings.size() >= shared_.options.firings)
    return fail(Errc::too_big,
                fmt::format("there are more than {} firings, the last of {}: look at less "
                            "time, or at fewer rules",
                            shared_.options.firings, rule_.name));
  open_[alert.labels] = shared_.firings.size();
  shared_.firings.push_back({.rule = number_,
                             .labels = alert.labels,
                             .pending_ms = alert.active_ms,
                             .fired_ms = alert.fired_ms,
                             .value = alert.value,
                             .peak = alert.value});
  ++told_.firings;
  return {};
}

void JudgedRule::close(const Alert& alert, std::int64_t at_ms) {
  const auto at = open_.find(alert.labels);
  if (at == open_.end()) return;
  shared_.firings[at->second].ended_ms = at_ms;
  open_.erase(at);
}

void JudgedRule::follow_peaks(std::int64_t at_ms) {
  for (const auto& [labels, number] : open_) {
    const Alert* alert = state_->find(labels);
    if (alert == nullptr || alert->matched_ms != at_ms) continue;
    double& peak = shared_.firings[number].peak;
    if (lowest_is_peak_ ? alert->value < peak : alert->value > peak) peak = alert->value;
  }
}

// ---- recording ----

Status JudgedRule::record(std::size_t step) {
  const std::int64_t at_ms = grid().at(step);
  if (const auto has = main_->has(step); !has) return std::unexpected(has.error());
  auto rows = main_->at(step);
  if (!rows) return failed(std::move(rows).error(), at_ms);
  const auto samples = recording_->record(*rows, limit_);
  if (!samples) return failed(samples.error(), at_ms);
  return store(*samples, at_ms);
}

// False: it must be done moment by moment, for at one of them it may be an error.
Result<bool> JudgedRule::record_at_once(const Answers::Part& part) {
  if (!part.value || part.value->type != promql::Type::vector) return false;
  std::vector<Match> rows;
  for (const promql::Row& row : part.value->rows) rows.push_back({row.labels, 0});
  const auto samples = recording_->record(rows, limit_);
  if (!samples) return false;
  std::unordered_set<std::size_t> given;
  std::unordered_set<std::size_t> there;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::size_t series = shared_.overlay.series((*samples)[r].labels);
    there.insert(series);
    bool was_given = given_.contains(series);
    for (std::size_t i = 0; i < part.count; ++i) {
      const double value = part.value->rows[r].values[i];
      const bool is_given = !promql::is_absent(value);
      if (!is_given && !was_given) continue;
      if (auto put_in =
              put(series, grid().at(part.first + i), is_given ? value : collector::stale_marker);
          !put_in)
        return std::unexpected(std::move(put_in).error());
      was_given = is_given;
    }
    if (was_given) given.insert(series);
  }
  for (const std::size_t series : given_)
    if (!there.contains(series))
      (void)shared_.overlay.add(series, grid().at(part.first), collector::stale_marker);
  given_ = std::move(given);
  return true;
}

Status JudgedRule::store(const std::vector<RuleState::Sample>& samples, std::int64_t at_ms) {
  std::unordered_set<std::size_t> given;
  for (const RuleState::Sample& sample : samples) {
    const std::size_t series = shared_.overlay.series(sample.labels);
    given.insert(series);
    if (auto put_in = put(series, at_ms, sample.value); !put_in) return put_in;
  }
  // Where another rule has given a sample, none is needed.
  for (const std::size_t series : given_)
    if (!given.contains(series)) (void)shared_.overlay.add(series, at_ms, collector::stale_marker);
  given_ = std::move(given);
  return {};
}

Status JudgedRule::put(std::size_t series, std::int64_t at_ms, double value) {
  auto added = shared_.overlay.add(series, at_ms, value);
  if (added || added.error().code == Errc::too_big) return added;
  return failed(std::move(added).error(), at_ms);
}

}  // namespace tallymill::alerting
