// JudgedRule: one rule in a backtest, from slice to slice.
//
// What samples began between two moments (on_arrival) was stored when it did (stored_arrivals.h),
// and begins so again.
//
//   invariant: of moments at which nothing matches and no alert is held, only that is done which
//              finds this out
//
// Threads: one; fill() by any between begin() and what follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "alerting/backtest.h"
#include "alerting/backtest_answers.h"
#include "alerting/backtest_plan.h"
#include "alerting/overlay.h"
#include "alerting/recording_state.h"
#include "alerting/rule_state.h"
#include "alerting/stored_arrivals.h"

namespace tallymill::alerting {

class JudgedRule {
 public:
  struct Shared {
    Overlay& overlay;
    std::vector<Firing>& firings;
    const BacktestOptions& options;
  };
  // `told`: what becomes of it. REQUIRES: all outlive it.
  JudgedRule(const PlannedRule& planned, const RuleGroup& group, std::size_t number,
             BacktestRule& told, const Shared& shared);

  // A slice: these moments.
  void begin(const promql::Grid& grid);
  [[nodiscard]] const promql::Grid& grid() const { return main_->grid(); }
  // What takes long of it.
  [[nodiscard]] Status fill() { return main_->fill(); }
  // At all of its moments, or at one. cancelled, deadline: the caller's. too_big: there are more
  // firings, or samples of rules, than may be.
  [[nodiscard]] Status judge();
  [[nodiscard]] Status judge(std::size_t step);
  // The slice is over; how many samples were read for it.
  std::uint64_t end();
  // After the last slice: what samples began since its last moment. Errors as judge().
  [[nodiscard]] Status begin_last();

 private:
  [[nodiscard]] Status judge_alerts(std::size_t step);
  // What samples began before then, as it was stored.
  [[nodiscard]] Status begin_again(std::int64_t before_ms);
  [[nodiscard]] Result<Evaluation> asked(std::size_t step);
  [[nodiscard]] Result<std::vector<TemplateSample>> query(std::string_view text,
                                                          std::int64_t at_ms) const;
  [[nodiscard]] Status take(const std::vector<Transition>& happened, std::int64_t at_ms);
  [[nodiscard]] Status open(const Alert& alert);
  void close(const Alert& alert, std::int64_t at_ms);
  void follow_peaks(std::int64_t at_ms);
  [[nodiscard]] Status record(std::size_t step);
  [[nodiscard]] Result<bool> record_at_once(const Answers::Part& part);
  [[nodiscard]] Status store(const std::vector<RuleState::Sample>& samples, std::int64_t at_ms);
  [[nodiscard]] Status put(std::size_t series, std::int64_t at_ms, double value);
  [[nodiscard]] Status failed(Error error, std::int64_t at_ms);
  [[nodiscard]] bool is_quiet() const { return !is_active_ && rule_.no_data != Rule::NoData::fire; }

  const PlannedRule& planned_;
  const Rule& rule_;
  const std::size_t limit_;
  const std::size_t number_;
  const bool lowest_is_peak_;
  BacktestRule& told_;
  Shared shared_;
  promql::NodePtr input_node_;
  std::optional<RuleState> state_;
  std::optional<RecordingState> recording_;
  StoredArrivals arrivals_;
  bool is_active_ = false;  // it has an alert that is not over
  std::unordered_map<collector::Labels, std::size_t, collector::LabelsHash> open_;  // firings
  std::unordered_set<std::size_t> given_;  // series of the last time

  std::optional<Answers> main_;
  std::optional<Answers> resolve_;
  std::optional<Answers> input_;
};

}  // namespace tallymill::alerting
