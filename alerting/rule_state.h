// RuleState: the alerts of one alerting rule, from evaluation to evaluation.
//
// inactive ─match─▶ pending ─for is over─▶ firing ─no match─▶ resolved ─15 min─▶ forgotten
//
// A match that is gone before `for` is over is forgotten at once. A firing alert without a match
// goes on for `keep_firing_for`, and with resolve_expr until that returns its labels, or its input
// is gone and no_data says resolve. An alert that comes back after its end begins anew. With
// `no_data: fire`, while the input has no row at all, alerts go on as if they matched; when there
// is none, one is made whose value is NaN.
//
// A label set whose value is what it was is not judged anew: its alert's labels and annotations are
// remembered, by the labels that the expression has, and only what depends on the value, or asks a
// query, is expanded again.
//
//   invariant: an evaluation that failed changes nothing (whoever evaluates does not call match())
//   invariant: of alerts that are not over no two have the same labels
//
// Threads: one; alerts(), counts() and state() by any.
// Source: Prometheus 2.42, alerting rules.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "alerting/alert.h"
#include "alerting/alert_count.h"
#include "alerting/rule_file.h"
#include "base/result.h"

namespace tallymill::alerting {

// What happened to an alert in one evaluation.
struct Transition {
  // One that fires at its first match was not pending. dropped: was pending, or given up.
  enum class What : std::uint8_t { pending, fired, resolved, dropped };
  What what;
  Alert alert;  // as it is afterwards
};

// What a rule's expression gave at a moment.
struct Match {
  collector::Labels labels;  // as the expression has them
  double value = 0;
};

struct Evaluation {
  std::int64_t at_ms = 0;
  std::vector<Match> matches = {};
  // With resolve_expr: the label sets that it returned, without a metric's name.
  std::vector<collector::Labels> resolving = {};
  // With no_data: those of the input (expression.h), as above. Nothing: it was not asked for.
  std::optional<std::vector<collector::Labels>> input = {};
  std::function<Result<std::vector<TemplateSample>>(std::string_view)> query = {};
};

class RuleState {
 public:
  struct Options {
    collector::Labels external_labels = {};
    std::string external_url = {};
    // After a restart an alert does not fire sooner than so long, and what has a shorter `for`
    // begins anew.
    std::chrono::milliseconds for_grace{10 * 60'000};
    AlertCount* all = nullptr;  // of all rules; null: nobody counts
  };
  // REQUIRES: `rule` is an alerting one; both outlive this.
  RuleState(const Rule& rule, const Options& options);
  ~RuleState();
  RuleState(const RuleState&) = delete;
  RuleState& operator=(const RuleState&) = delete;

  // bad_params: two matches have the same labels in the end. too_big: over limits::rule_rows, or
  // more alerts than `limit` (0: none) would be pending or firing; whoever evaluates calls
  // give_up() then. busy: it would have more than before, and there is no room among those of all
  // rules. Nothing has changed after an error.
  [[nodiscard]] Result<std::vector<Transition>> match(const Evaluation& evaluation,
                                                      std::size_t limit);
  // What began between two evaluations, by one of its matches.
  struct Begun {
    std::size_t match;
    Transition transition;
  };
  // Whether every sample of a match's series since then would be a match.
  using HeldSince = std::function<bool(std::size_t match, std::int64_t since_ms)>;
  // Between two evaluations: begins an alert for a match that has none, and lets one fire whose
  // `for` is over and which `held` all that time. Of the rest nothing changes: what has no match,
  // what would be above a limit, and what is not certain wait for the next evaluation, which finds
  // what began as if an evaluation had begun it.
  [[nodiscard]] std::vector<Begun> begin(const Evaluation& evaluation, std::size_t limit,
                                         const HeldSince& held_since);
  // Forgets all alerts, as Prometheus does with a rule that is over its limit; those that were not
  // over are told as dropped, in the state in which they were.
  std::vector<Transition> give_up();

  // Those that are not over and those that were resolved less than 15 minutes ago, of which the
  // last limits::rule_rows are kept, by labels.
  [[nodiscard]] std::vector<Alert> alerts() const;
  struct Counts {
    std::size_t pending = 0;
    std::size_t firing = 0;
  };
  [[nodiscard]] Counts counts() const;
  // One of them, until the next evaluation; null: there is none. REQUIRES: the thread that
  // evaluates.
  [[nodiscard]] const Alert* find(const collector::Labels& labels) const;
  // The greatest of its alerts' states.
  [[nodiscard]] AlertState state() const;

  // After a restart: an alert as it was stored. `away_ms`: how long nothing was evaluated up to
  // `now_ms`, the moment of the next evaluation; it is added to the active time of one whose `for`
  // was not over, as Prometheus does.
  void restore(Alert alert, std::int64_t away_ms, std::int64_t now_ms);
  // What is pending became so that much later: that time nobody looked.
  void put_off(std::chrono::milliseconds by);
  // It was told to Alertmanager. Nothing happens when there is none of these labels any more.
  void sent(const collector::Labels& labels, std::int64_t at_ms, std::int64_t valid_until_ms);
  // The alerts of the rule that this one replaces. REQUIRES: both have the same name and labels.
  void take_over(const RuleState& old);

  // ALERTS and ALERTS_FOR_STATE of this moment, for whoever stores them.
  struct Sample {
    collector::Labels labels;
    double value;
  };
  [[nodiscard]] std::vector<Sample> samples();
  // Of one alert that is not over; with a stale marker of what they were in the state before.
  [[nodiscard]] std::vector<Sample> samples_of(const collector::Labels& labels);

 private:
  // What is kept of an alert.
  struct Held {
    Alert alert;
    // With resolve_expr: the labels of its match without a metric's name; of one that was restored
    // and did not match since, what is known of them.
    collector::Labels source;
    bool source_is_known = false;
    std::optional<std::int64_t> missing_since_ms;    // it fires, and did not match since then
    std::uint64_t begun = 0;                         // the round in which it began
    std::uint64_t matched = 0;                       // the last in which it did
    std::uint64_t went_on = 0;                       // the last in which it need not have
    AlertState series_state = AlertState::inactive;  // of `series`; inactive: they are not made yet
    collector::Labels series;
    collector::Labels for_state_series;
  };
  // What a label set of the expression became when it was expanded last.
  struct Known {
    double value = 0;
    collector::Labels labels;
    collector::Labels annotations;
    collector::Labels source;  // as of Held
    Held* held = nullptr;      // null: to be looked up, or there is none
    bool is_new = true;        // `held` has not been told of it
    std::uint64_t round = 0;   // the last in which it matched
  };
  // What a text depends on besides the labels. May say too much, never too little.
  struct Dependence {
    bool value = false;
    bool query = false;
  };
  class Expander;
  class LabelSets;

  [[nodiscard]] static Dependence dependence_of(std::span<const Templated> texts);
  [[nodiscard]] std::optional<Match> made_of_no_data(const Evaluation& evaluation) const;
  [[nodiscard]] Status look_up(const Evaluation& evaluation, std::span<const Match> matches);
  [[nodiscard]] bool is_distinct() const;
  [[nodiscard]] std::size_t count_others_that_go_on(const Evaluation& evaluation);
  // Whether it does although it does not match.
  [[nodiscard]] bool goes_on(const Held& held, const Evaluation& evaluation, LabelSets& resolving,
                             LabelSets& input) const;
  [[nodiscard]] bool finds_nothing(const Evaluation& evaluation) const;
  void take(Known& known, std::int64_t at_ms);
  // False: it is to be forgotten.
  [[nodiscard]] bool settle(Held& held, std::int64_t at_ms, std::vector<Transition>& happened);
  void forget_unseen();
  void forget_oldest(std::size_t active);  // REQUIRES: the mutex is held
  [[nodiscard]] bool try_set_active(std::size_t active);
  void set_active(std::size_t active);
  [[nodiscard]] Held begun_by(const Match& match, const collector::Labels& labels,
                              collector::Labels annotations, std::int64_t at_ms) const;
  void name_series(Held& held);
  [[nodiscard]] collector::LabelsBuilder series_of(const Held& held, std::string_view metric) const;
  [[nodiscard]] collector::Labels without_own(const collector::Labels& labels) const;

  const Rule& rule_;
  const Options& options_;
  const Dependence labels_depend_;
  const Dependence annotations_depend_;
  collector::Labels absent_labels_;

  // Of the thread that evaluates.
  std::uint64_t round_ = 0;
  std::unordered_map<collector::Labels, Known, collector::LabelsHash> known_;  // by the match's
  std::vector<Known*> matched_;                                                // in this round
  std::size_t active_ = 0;  // of held_, as the count of all rules knows it

  // That thread alone writes it, holding the mutex; who reads on another holds it, too.
  mutable std::mutex mutex_;
  std::map<collector::Labels, Held> held_;
};

}  // namespace tallymill::alerting
