#include "alerting/explain.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "alerting/alert_json.h"
#include "alerting/expression.h"
#include "alerting/limits.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/print.h"
#include "collector/stable_sort.h"

namespace tallymill::alerting {
namespace {

using collector::Column;
using collector::Labels;
using collector::Matcher;
using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

// Evaluations before and behind the moment an alert began that are told.
constexpr std::int64_t around = 5;
// How far back an instant selector looks.
constexpr milliseconds lookback = promql::EvaluateOptions().lookback;
// What is read of a series before and behind that moment, and before its end: however long ago it
// was.
constexpr milliseconds half{30 * 60'000};
// So many samples in a row on each side of that moment, and of the last.
constexpr std::size_t third = limits::explain_samples / 3;

Json object_of(const Labels& labels) {
  Json object = Json::object();
  for (const collector::Label& label : labels)
    object[std::string(label.name)] = std::string(label.value);
  return object;
}

Json point_of(std::int64_t t_ms, double value) {
  return Json::array({static_cast<double>(t_ms) / 1000, promql::number_text(value)});
}

bool fits(const std::vector<Matcher>& filter, const Labels& labels) {
  return std::ranges::all_of(filter,
                             [&](const Matcher& one) { return one.fits(labels.get(one.name())); });
}

// A rule of the name as it was when it was looked at.
struct Seen {
  std::string file;
  std::string group;
  milliseconds interval{0};
  Rule rule;
  RuleStatus status;
};

// An alert that is told: one that there is, or one that was.
struct Subject {
  Alert alert;
  bool is_there = true;
};

struct Change {
  std::int64_t t_ms;
  AlertState state;
  friend bool operator==(const Change&, const Change&) = default;
};

Json told_changes(std::span<const Change> changes) {
  Json told = Json::array();
  for (const Change& one : changes)
    told.push_back({{"at", rfc3339(one.t_ms)}, {"state", name_of(one.state)}});
  return told;
}

class Explanation {
 public:
  Explanation(const Alerting& alerting, const ExplainAsk& ask)
      : alerting_(alerting), source_(alerting.source()), ask_(ask), now_ms_(alerting.now_ms()) {
    options_.until = std::chrono::steady_clock::now() + limits::query_time;
    options_.cancelled = ask.cancelled;
  }
  Result<std::string> run();

 private:
  struct Range {
    std::int64_t from_ms;
    std::int64_t to_ms;
  };

  void look();
  [[nodiscard]] Status check() const;
  [[nodiscard]] Status find_past(const Seen& seen, std::vector<Subject>& all);
  [[nodiscard]] Result<Json> rule(const Seen& seen);
  [[nodiscard]] Result<Json> alert(const Seen& seen, const Subject& subject);
  [[nodiscard]] Result<std::vector<Change>> changes_of(const Labels& alert);
  [[nodiscard]] Range active_last(const Subject& subject, std::span<const Change> changes) const;
  [[nodiscard]] Result<Json> values(const Seen& seen, const Labels& from_expr,
                                    std::int64_t active_ms);
  [[nodiscard]] Status samples(const promql::Node& node, const Labels& from_expr,
                               std::int64_t active_ms, Range when, Json& into);
  [[nodiscard]] Status selector(const promql::Node& node, const Labels& from_expr,
                                std::int64_t active_ms, Range when, Json& into);
  [[nodiscard]] Result<Json> series_of(const collector::Source::Found& one, std::int64_t moment_ms,
                                       Range when) const;
  [[nodiscard]] Result<Json> told(const Labels& alert) const;
  [[nodiscard]] bool is_of(const Labels& alert, const Rule& rule) const;

  const Alerting& alerting_;
  const collector::Source& source_;
  const ExplainAsk& ask_;
  const std::int64_t now_ms_;
  promql::EvaluateOptions options_;
  std::vector<Seen> seen_;
  std::size_t alerts_left_ = limits::explain_alerts;
  std::size_t series_left_ = 0;  // of the alert that is told
  std::size_t left_out_ = 0;     // series of it
};

void Explanation::look() {
  alerting_.look([&](std::span<const GroupStatus> groups) {
    for (const GroupStatus& group : groups)
      for (std::size_t i = 0; i < group.status.size(); ++i) {
        const Rule& rule = group.rules->rules[i];
        if (rule.kind != Rule::Kind::alerting || rule.name != ask_.name) continue;
        seen_.push_back({.file = group.rules->file,
                         .group = group.rules->name,
                         .interval = group.interval,
                         .rule = rule,
                         .status = group.status[i]});
      }
  });
}

Status Explanation::check() const {
  if (ask_.cancelled != nullptr && *ask_.cancelled)
    return fail(Errc::cancelled, "nobody waits for it any more");
  if (std::chrono::steady_clock::now() > options_.until)
    return fail(Errc::deadline, "it takes too long: name fewer alerts, with filter=");
  return {};
}

Result<std::string> Explanation::run() {
  look();
  if (seen_.empty())
    return fail(
        Errc::not_found,
        fmt::format("no alerting rule has the name '{}': /api/v1/rules lists them", ask_.name),
        "/name");
  Json rules = Json::array();
  for (const Seen& seen : seen_) {
    auto told = rule(seen);
    if (!told) return std::unexpected(std::move(told).error());
    rules.push_back(std::move(*told));
  }
  const Json whole = {{"name", ask_.name}, {"rules", std::move(rules)}};
  return whole.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Whether an alert of the name may be this rule's: its plain labels are the rule's.
bool Explanation::is_of(const Labels& alert, const Rule& rule) const {
  return std::ranges::all_of(rule.labels, [&](const Templated& label) {
    return label.text.find("{{") != std::string::npos || alert.get(label.name) == label.text;
  });
}

// Those that there are not any more, of whom the store has states.
Status Explanation::find_past(const Seen& seen, std::vector<Subject>& all) {
  auto name = Matcher::of(Matcher::Kind::equal, std::string(collector::metric_name), "ALERTS");
  auto of = Matcher::of(Matcher::Kind::equal, "alertname", ask_.name);
  if (!name || !of) return fail(Errc::bad_params, "no such name");
  const std::vector<Matcher> matchers{std::move(*name), std::move(*of)};
  const std::int64_t from_ms = now_ms_ - ask_.last.count();
  const auto found = source_.select(matchers, from_ms, now_ms_);
  if (!found) return std::unexpected(found.error());
  std::set<Labels> known;
  for (const Subject& one : all) known.insert(one.alert.labels);
  for (const collector::Source::Found& one : *found) {
    Labels labels = one.labels.only([](const collector::Label& label) {
      return label.name != collector::metric_name && label.name != "alertstate";
    });
    if (!fits(ask_.filter, labels) || !is_of(labels, seen.rule)) continue;
    if (!known.insert(labels).second) continue;
    if (auto still = check(); !still) return still;
    const auto has = source_.has_samples(one.series, from_ms, now_ms_);
    if (!has) return std::unexpected(has.error());
    if (!*has) {
      known.erase(labels);  // its other state may have some
      continue;
    }
    all.push_back(
        {.alert = {.state = AlertState::inactive, .labels = std::move(labels)}, .is_there = false});
  }
  return {};
}

Result<Json> Explanation::rule(const Seen& seen) {
  std::vector<Subject> all;
  for (const Alert& one : seen.status.alerts)
    if (fits(ask_.filter, one.labels)) all.push_back({.alert = one});
  collector::stable_sort(
      all, [](const Subject& a, const Subject& b) { return a.alert.state > b.alert.state; });
  if (auto done = find_past(seen, all); !done) return std::unexpected(std::move(done).error());
  Json alerts = Json::array();
  std::size_t left_out = 0;
  for (const Subject& one : all) {
    if (alerts_left_ == 0) {
      ++left_out;
      continue;
    }
    --alerts_left_;
    auto told = alert(seen, one);
    if (!told) return std::unexpected(std::move(told).error());
    alerts.push_back(std::move(*told));
  }
  constexpr std::string_view healths[] = {"unknown", "ok", "err", "nodata"};
  using Seconds = std::chrono::duration<double>;
  Json json = {{"file", seen.file},
               {"group", seen.group},
               {"query", seen.rule.expr},
               {"interval", Seconds(seen.interval).count()},
               {"duration", Seconds(seen.rule.hold).count()},
               {"keepFiringFor", Seconds(seen.rule.keep_firing).count()},
               {"health", healths[static_cast<std::size_t>(seen.status.health)]},
               {"lastEvaluation", rfc3339(seen.status.evaluated_ms)}};
  if (!seen.rule.resolve_expr.empty()) json["resolveQuery"] = seen.rule.resolve_expr;
  if (!seen.status.last_error.empty()) json["lastError"] = seen.status.last_error;
  json["alerts"] = std::move(alerts);
  json["leftOut"] = left_out;
  return json;
}

// In the order of time, each of another state than the one before it. Where both series have a
// sample of a moment, that is the one that is no end.
Result<std::vector<Change>> Explanation::changes_of(const Labels& alert) {
  const std::int64_t from_ms = now_ms_ - ask_.last.count();
  std::map<std::int64_t, AlertState> at;
  for (const AlertState state : {AlertState::pending, AlertState::firing}) {
    collector::LabelsBuilder wanted(alert);
    wanted.set(collector::metric_name, "ALERTS");
    wanted.set("alertstate", name_of(state));
    std::vector<Matcher> matchers;
    const Labels labels = wanted.build();
    for (const collector::Label& label : labels) {
      auto matcher =
          Matcher::of(Matcher::Kind::equal, std::string(label.name), std::string(label.value));
      if (!matcher) return std::unexpected(std::move(matcher).error());
      matchers.push_back(std::move(*matcher));
    }
    const auto found = source_.select(matchers, from_ms, now_ms_);
    if (!found) return std::unexpected(found.error());
    for (const collector::Source::Found& one : *found) {
      if (one.labels != labels) continue;
      Column column;
      if (auto read = source_.read(one.series, from_ms, now_ms_, column); !read)
        return std::unexpected(std::move(read).error());
      for (std::size_t i = 0; i < column.size(); ++i) {
        AlertState& known = at.try_emplace(column.t_ms[i], AlertState::inactive).first->second;
        if (!collector::is_stale(column.value[i])) known = std::max(known, state);
      }
    }
  }
  std::vector<Change> changes;
  for (const auto& [t_ms, state] : at)
    if (changes.empty() ? state != AlertState::inactive : changes.back().state != state)
      changes.push_back({t_ms, state});
  return changes;
}

// When it was active last, and until when: until now where no end is known.
Explanation::Range Explanation::active_last(const Subject& subject,
                                            std::span<const Change> changes) const {
  Range active{subject.alert.active_ms, now_ms_};
  for (const Change& one : changes) {
    if (subject.is_there) break;
    const bool begins = active.from_ms == 0 || active.to_ms != now_ms_;
    if (one.state == AlertState::inactive) {
      active.to_ms = one.t_ms;
    } else if (begins) {
      active = {one.t_ms, now_ms_};
    }
  }
  if (active.from_ms == 0) active.from_ms = now_ms_;  // nothing is known of it but its end
  return active;
}

Result<Json> Explanation::alert(const Seen& seen, const Subject& subject) {
  if (auto still = check(); !still) return std::unexpected(std::move(still).error());
  const Alert& alert = subject.alert;
  auto changes = changes_of(alert.labels);
  if (!changes) return std::unexpected(std::move(changes).error());
  const auto [active_ms, end_ms] = active_last(subject, *changes);
  const Labels from_expr = alert.labels.only([&](const collector::Label& label) {
    return label.name != "alertname" &&
           std::ranges::find(seen.rule.labels, label.name, &Templated::name) ==
               seen.rule.labels.end();
  });
  auto crossing = values(seen, from_expr, active_ms);
  if (!crossing) return std::unexpected(std::move(crossing).error());
  series_left_ = limits::explain_series;
  left_out_ = 0;
  Json selectors = Json::array();
  const std::int64_t before = around * seen.interval.count();
  if (auto done =
          samples(*seen.rule.node, from_expr, active_ms, {active_ms - before, end_ms}, selectors);
      !done)
    return std::unexpected(std::move(done).error());
  auto delivered = told(alert.labels);
  if (!delivered) return std::unexpected(std::move(delivered).error());
  const auto inhibitor = alerting_.delivery().inhibitor(alert.labels);
  Json json = {{"labels", object_of(alert.labels)},
               {"annotations", object_of(alert.annotations)},
               {"state", name_of(alert.state)},
               {"activeAt", rfc3339(active_ms)},
               {"firedAt", rfc3339(alert.fired_ms)},
               {"endsAt", rfc3339(subject.is_there || end_ms == now_ms_ ? 0 : end_ms)}};
  if (subject.is_there) json["value"] = exponent_text(alert.value);
  json["silencedBy"] = alerting_.silences().silencing(alert.labels);
  json["inhibitedBy"] = inhibitor ? Json::array({object_of(*inhibitor)}) : Json::array();
  const std::size_t skip = changes->size() - std::min(changes->size(), limits::explain_changes);
  json["changes"] = told_changes(std::span(*changes).subspan(skip));
  json["changesLeftOut"] = skip;
  json["values"] = std::move(*crossing);
  json["samples"] = std::move(selectors);
  json["seriesLeftOut"] = left_out_;
  json["delivered"] = std::move(*delivered);
  return json;
}

// What the expression without its comparison gave at the evaluations around `active_ms`.
Result<Json> Explanation::values(const Seen& seen, const Labels& from_expr,
                                 std::int64_t active_ms) {
  const promql::NodePtr input = input_of(*seen.rule.node);
  const promql::Node& node = input != nullptr ? *input : *seen.rule.node;
  const std::int64_t step = std::max<std::int64_t>(seen.interval.count(), 1);
  const std::int64_t start = active_ms - around * step;
  const std::int64_t count =
      std::clamp<std::int64_t>((now_ms_ - start) / step + 1, 1, 2 * around + 1);
  const promql::Grid grid{start, step, static_cast<std::size_t>(count)};
  Json points = Json::array();
  const auto value = promql::evaluate(node, grid, source_, options_);
  // What cannot be calculated any more is no reason to tell nothing.
  if (!value && (value.error().code == Errc::bad_params || value.error().code == Errc::too_big))
    return Json{{"query", promql::text(node)}, {"error", value.error().message}};
  if (!value) return std::unexpected(value.error());
  const auto add = [&](const std::vector<double>& row) {
    for (std::size_t i = 0; i < row.size() && i < grid.count; ++i)
      if (!promql::is_absent(row[i])) points.push_back(point_of(grid.at(i), row[i]));
  };
  if (value->type == promql::Type::scalar) add(value->scalars);
  for (const promql::Row& row : value->rows) {
    const Labels labels = row.labels.only(
        [](const collector::Label& label) { return label.name != collector::metric_name; });
    const bool is_its = std::ranges::all_of(labels, [&](const collector::Label& label) {
      return from_expr.get(label.name) == label.value ||
             (from_expr.get(label.name).empty() &&
              std::ranges::find(seen.rule.labels, label.name, &Templated::name) !=
                  seen.rule.labels.end());
    });
    const bool has_all = std::ranges::all_of(from_expr, [&](const collector::Label& label) {
      return labels.get(label.name) == label.value;
    });
    if (!is_its || !has_all) continue;
    add(row.values);
    break;
  }
  return Json{{"query", promql::text(node)}, {"values", std::move(points)}};
}

// Each selector below this node, in the order of the text.
Status Explanation::samples(const promql::Node& node, const Labels& from_expr,
                            std::int64_t active_ms, Range when, Json& into) {
  if (std::holds_alternative<promql::Selector>(node.is))
    return selector(node, from_expr, active_ms, when, into);
  if (const auto* subquery = std::get_if<promql::Subquery>(&node.is)) {
    when.from_ms -= subquery->range_ms + subquery->shift.offset_ms;
    when.to_ms -= subquery->shift.offset_ms;
  }
  Status done;
  promql::for_each_child(node, [&](const promql::Node& child) {
    if (done) done = samples(child, from_expr, active_ms, when, into);
  });
  return done;
}

// Those nearest to the moment on each side of it, and the last ones; `more`: there may be others
// between them. `column` holds what was read around the moment, `last` what was behind that.
Json picked(const Column& column, const Column& last, std::int64_t moment_ms, bool more) {
  Column all = column;
  for (std::size_t i = 0; i < last.size(); ++i) all.add(last.t_ms[i], last.value[i]);
  const auto at =
      static_cast<std::size_t>(std::ranges::lower_bound(all.t_ms, moment_ms) - all.t_ms.begin());
  Json points = Json::array();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (collector::is_stale(all.value[i])) continue;
    const bool near = i + third >= at && i < at + third;
    if (near || i + third >= all.size())
      points.push_back(point_of(all.t_ms[i], all.value[i]));
    else
      more |= i > at;
  }
  return {{"values", std::move(points)}, {"more", more}};
}

Result<Json> Explanation::series_of(const collector::Source::Found& one, std::int64_t moment_ms,
                                    Range when) const {
  const std::int64_t begin_ms = std::max(when.from_ms, moment_ms - half.count());
  const std::int64_t middle_ms = std::min(when.to_ms, moment_ms + half.count());
  const std::int64_t last_ms = std::max(middle_ms + 1, when.to_ms - half.count());
  Column around_it;
  Column last;
  if (auto read = source_.read(one.series, begin_ms, middle_ms, around_it); !read)
    return std::unexpected(std::move(read).error());
  if (last_ms <= when.to_ms)
    if (auto read = source_.read(one.series, last_ms, when.to_ms, last); !read)
      return std::unexpected(std::move(read).error());
  if (around_it.size() + last.size() == 0) return Json();
  Json told = {{"metric", object_of(one.labels)}};
  told.update(picked(around_it, last, moment_ms, last_ms > middle_ms + 1));
  if (one.step_ms > 0) told["step"] = static_cast<double>(one.step_ms) / 1000;
  return told;
}

Status Explanation::selector(const promql::Node& node, const Labels& from_expr,
                             std::int64_t active_ms, Range when, Json& into) {
  if (auto still = check(); !still) return still;
  const auto& selector = std::get<promql::Selector>(node.is);
  const std::int64_t back = std::max(selector.range_ms, lookback.count());
  if (selector.shift.at && selector.shift.at->kind == promql::At::Kind::time) {
    active_ms = selector.shift.at->t_ms;
    when = {active_ms, active_ms};
  }
  when.from_ms -= selector.shift.offset_ms + back;
  when.to_ms -= selector.shift.offset_ms;
  std::vector<Matcher> matchers = selector.matchers;
  for (const collector::Label& label : from_expr) {
    auto matcher = Matcher::of(Matcher::Kind::matches, std::string(label.name),
                               "|" + RE2::QuoteMeta(std::string(label.value)));
    if (matcher) matchers.push_back(std::move(*matcher));
  }
  auto found = source_.select(matchers, when.from_ms, when.to_ms);
  if (found && found->empty()) found = source_.select(selector.matchers, when.from_ms, when.to_ms);
  if (!found) return std::unexpected(std::move(found).error());
  Json series = Json::array();
  std::ranges::sort(*found, {}, &collector::Source::Found::labels);
  for (const collector::Source::Found& one : *found) {
    if (auto still = check(); !still) return still;
    if (series_left_ == 0) {
      ++left_out_;
      continue;
    }
    auto told = series_of(one, active_ms - selector.shift.offset_ms, when);
    if (!told) return std::unexpected(std::move(told).error());
    if (told->is_null()) continue;
    --series_left_;
    series.push_back(std::move(*told));
  }
  into.push_back({{"selector", promql::text(node)}, {"series", std::move(series)}});
  return {};
}

// By the sinks that are told each change, and the Alertmanagers that are told how things are.
Result<Json> Explanation::told(const Labels& alert) const {
  auto all = alerting_.outbox().told(alert);
  if (!all) return std::unexpected(std::move(all).error());
  Json json = Json::array();
  const std::size_t skip = all->size() - std::min(all->size(), limits::explain_changes);
  for (std::size_t i = skip; i < all->size(); ++i) {
    const Outbox::Told& one = (*all)[i];
    json.push_back({{"sink", one.sink},
                    {"state", one.state},
                    {"outcome", one.outcome},
                    {"at", rfc3339(one.at_ms)},
                    {"tries", one.tries},
                    {"why", one.why},
                    {"key", one.key}});
  }
  for (const auto& alertmanager : alerting_.alertmanagers()) {
    const auto one = alertmanager->told(alert);
    if (!one) continue;
    json.push_back({{"sink", alertmanager->name()},
                    {"state", one->end ? "resolved" : "firing"},
                    {"outcome", one->sent_ms == 0 ? "waiting" : "taken"},
                    {"at", rfc3339(one->sent_ms)},
                    {"waits", one->waits}});
  }
  return json;
}

}  // namespace

Result<std::string> explain(const Alerting& alerting, const ExplainAsk& ask) {
  const collector::MatchingTime time;
  auto told = Explanation(alerting, ask).run();
  if (auto whole = time.check(); told && !whole) return std::unexpected(std::move(whole).error());
  return told;
}

}  // namespace tallymill::alerting
