// Goal: whatever comes in whatever order, an alert's life is what the rules of Prometheus and our
// own say. Method: a random walk of a few label sets, judged by ours and by a model that keeps for
// each label set the plain history and derives the state from it anew every time; seed printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "alerting/rule_state.h"
#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;

struct Moment {
  std::int64_t at_ms;
  bool matches;
  bool resolves;
  bool has_input;
};

struct Said {
  bool exists = false;
  AlertState state = AlertState::pending;
  std::int64_t active_ms = 0;
  std::int64_t fired_ms = 0;
  std::int64_t resolved_ms = 0;
  friend bool operator==(const Said&, const Said&) = default;
};

std::ostream& operator<<(std::ostream& out, const Said& said) {
  if (!said.exists) return out << "none";
  return out << name_of(said.state) << " active " << said.active_ms << " fired " << said.fired_ms
             << " resolved " << said.resolved_ms;
}

// From the history of one label set alone, from its beginning.
Said model(const Rule& rule, const std::vector<Moment>& history) {
  Said now;
  std::int64_t first_miss_ms = -1;
  for (const Moment& moment : history) {
    const bool active = now.exists && now.state != AlertState::inactive;
    if (moment.matches) {
      first_miss_ms = -1;
      if (!active) now = {.exists = true, .active_ms = moment.at_ms};
      if (now.state == AlertState::pending && moment.at_ms >= now.active_ms + rule.hold.count()) {
        now.state = AlertState::firing;
        now.fired_ms = moment.at_ms;
      }
      continue;
    }
    if (!now.exists) continue;
    if (now.state == AlertState::pending) {
      now = {};
    } else if (now.state == AlertState::inactive) {
      if (moment.at_ms > now.resolved_ms + 15 * 60'000) now = {};
    } else {
      if (first_miss_ms < 0) first_miss_ms = moment.at_ms;
      const bool kept = moment.at_ms < first_miss_ms + rule.keep_firing.count();
      const bool gone = rule.no_data == Rule::NoData::resolve && !moment.has_input;
      const bool waits = rule.resolve_node != nullptr && !moment.resolves && !gone;
      if (kept || waits) continue;
      now.state = AlertState::inactive;
      now.resolved_ms = moment.at_ms;
    }
  }
  return now;
}

class RuleStateWalkTest : public testing::Test {
 protected:
  std::mt19937_64 random_{seed()};

  static std::uint64_t seed() {
    const char* said = std::getenv("TALLYMILL_SEED");
    const std::uint64_t seed = said != nullptr ? std::stoull(said) : std::random_device()();
    std::printf("TALLYMILL_SEED=%llu\n", static_cast<unsigned long long>(seed));
    return seed;
  }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  std::int64_t upto(std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random_);
  }
  Rule some_rule() {
    Rule rule = alerting_rule("Hot", "m > 5", {{"team", "{{ $labels.i }}s"}});
    rule.hold = std::chrono::minutes(upto(3) * upto(1));
    rule.keep_firing = std::chrono::minutes(upto(4) * upto(1));
    if (chance(0.5)) rule.resolve_node = parsed("m < 3");
    if (chance(0.3)) rule.no_data = Rule::NoData::resolve;
    return rule;
  }
  static Labels row(std::size_t i) { return labels_of({{"i", std::to_string(i)}}); }
  void walk(std::size_t moments);
};

void RuleStateWalkTest::walk(std::size_t moments) {
  constexpr std::size_t sets = 4;
  const Rule rule = some_rule();
  const RuleState::Options options;
  auto state = std::make_unique<RuleState>(rule, options);
  std::vector<std::vector<Moment>> history(sets);
  std::vector<Moment> now(sets);
  std::int64_t at_ms = 1'000'000;
  for (std::size_t step = 0; step < moments; ++step) {
    at_ms += 60'000 * (chance(0.02) ? 1 + upto(20) : 1);
    Evaluation evaluation{.at_ms = at_ms, .input = std::vector<Labels>()};
    for (std::size_t i = 0; i < sets; ++i) {
      Moment& moment = now[i];
      if (step == 0 || chance(0.3)) moment = {0, chance(0.5), chance(0.4), chance(0.8)};
      moment.at_ms = at_ms;
      moment.has_input = moment.has_input || moment.matches;
      if (moment.matches) evaluation.matches.push_back({row(i), static_cast<double>(6 + upto(1))});
      if (moment.resolves) evaluation.resolving.push_back(row(i));
      if (moment.has_input) evaluation.input->push_back(row(i));
      history[i].push_back(moment);
    }
    std::shuffle(evaluation.matches.begin(), evaluation.matches.end(), random_);
    if (chance(0.05)) {  // an evaluation that fails is none
      Evaluation wrong = evaluation;
      wrong.matches.push_back({row(0), 1});
      wrong.matches.push_back({row(0), 2});
      ASSERT_FALSE(state->match(wrong, 0).has_value());
    }
    ASSERT_TRUE(state->match(evaluation, 0).has_value());
    if (chance(0.02)) {
      auto next = std::make_unique<RuleState>(rule, options);
      next->take_over(*state);
      state = std::move(next);
    }
    std::map<std::string, Said> ours;
    for (const Alert& alert : state->alerts())
      ours[std::string(alert.labels.get("i"))] = {true, alert.state, alert.active_ms,
                                                  alert.fired_ms, alert.resolved_ms};
    for (std::size_t i = 0; i < sets; ++i)
      ASSERT_EQ(ours[std::to_string(i)], model(rule, history[i]))
          << "label set " << i << " at step " << step << ", for " << rule.hold.count()
          << " keep_firing_for " << rule.keep_firing.count() << " resolve_expr "
          << (rule.resolve_node != nullptr) << " no_data " << static_cast<int>(rule.no_data);
  }
}

TEST_F(RuleStateWalkTest, EveryWalkIsThatOfTheModel) {
  for (int i = 0; i < 200 && !HasFatalFailure(); ++i) walk(120);
}

}  // namespace
}  // namespace tallymill::alerting
