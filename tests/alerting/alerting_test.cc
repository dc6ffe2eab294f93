// Goal: whatever ends the process or changes the rules, no alert is lost, none is told as over that
// is not, and who was told that one fires is told of its end. Method: rules that run by themselves
// over a store in memory; a webhook that nobody answers, so that the outbox keeps what it would
// have been told; a process that begins anew is one that opens the same outbox.
#include "alerting/alerting.h"

#include <gtest/gtest.h>

#include "alerting/for_state.h"
#include "alerting/rule_identity.h"
#include "store/sqlite.h"
#include "tests/alerting/live_fixture.h"
#include "tests/metrics_doc.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t far_ahead = std::numeric_limits<std::int64_t>::max();
const Texts input{{"__name__", "m"}, {"i", "a"}};

class AlertingTest : public testing::Test {
 protected:
  void TearDown() override { alerting.reset(); }

  std::string file() const { return folder.path() / "rules.yml"; }
  std::filesystem::path outbox_file() const { return folder.path() / "alerts.db"; }
  void rules(const std::string& body) {
    write_file(file(), "groups:\n- name: g\n  interval: 20ms\n  rules:\n" + body);
  }
  static std::string hot(const std::string& more = "") {
    return "  - alert: Hot\n    expr: m > 1\n" + more;
  }

  void begin() {
    alerting.reset();
    registry = std::make_unique<metrics::Registry>();
    Alerting::Options options{.rules = {file()}, .outbox = outbox_file(), .grace = grace};
    options.sinks.sinks.push_back({.name = "hook", .url = "http://127.0.0.1:1/"});
    auto opened = Alerting::open(options, store, store, context, *registry, clock);
    ASSERT_TRUE(opened) << opened.error().message;
    alerting = std::move(*opened);
    ASSERT_TRUE(alerting->start());
  }
  void end() { alerting.reset(); }
  void put(double value) { store.put(input, clock.ms(), value); }
  // Time goes on, and what there is stays as it is.
  void pass(std::chrono::milliseconds time, double value = 2) {
    store.put(input, clock.ms() + time.count(), value);
    clock.move(time);
  }
  bool shows(const std::string& text) {
    return eventually([&] { return alerting->alerts().find(text) != std::string::npos; });
  }
  bool shows_none() {
    return eventually([&] { return alerting->alerts() == "[]"; });
  }
  bool is_judged_again() {
    const double before = metric("tallymill_alerting_evaluations_total");
    return eventually([&] { return metric("tallymill_alerting_evaluations_total") >= before + 3; });
  }
  double metric(const std::string& name) {
    for (const auto& family : registry->snapshot().families)
      if (family.name == name && !family.samples.empty()) return family.samples[0].value;
    return -1;
  }
  // "firing Hot, resolved Hot", in the order in which the webhook would be told. Ends the process.
  std::string story() {
    end();
    const auto outbox = open_outbox(folder.path());
    std::string text;
    for (int n = 0; n < 100; ++n) {
      const auto due = outbox->due("hook", far_ahead, 1);
      if (!due || due->empty()) return text;
      const Notice& notice = due->front().notice;
      text += (text.empty() ? "" : ", ") + std::string(word_of(notice.alert)) + " " +
              std::string(notice.alert.labels.get("alertname"));
      const std::int64_t id = notice.id;
      EXPECT_TRUE(outbox->taken("hook", std::span(&id, 1), clock.ms()));
    }
    return text;
  }
  Outbox::Stored stored() {
    end();
    return open_outbox(folder.path())->read().value();
  }

  TempFolder folder;
  zmq::context_t context;
  LockedStore store;
  MovedClock clock;
  std::chrono::milliseconds grace{0};
  std::unique_ptr<metrics::Registry> registry;
  std::unique_ptr<Alerting> alerting;
};

TEST_F(AlertingTest, WhatFiresGoesOnAfterARestartAndIsNotToldAgain) {
  rules(hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing"));
  begin();
  ASSERT_TRUE(is_judged_again() && shows("firing"));
  EXPECT_EQ(story(), "firing Hot");
}

TEST_F(AlertingTest, WhatIsOverAfterARestartIsToldOnce) {
  rules(hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing"));
  end();
  put(0);
  begin();
  ASSERT_TRUE(shows_none());
  begin();
  ASSERT_TRUE(is_judged_again());
  EXPECT_EQ(story(), "firing Hot, resolved Hot");
}

TEST_F(AlertingTest, WhatFiredGoesOnHoweverLongNobodyLooked) {
  rules(hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing"));
  end();
  pass(5h);
  begin();
  ASSERT_TRUE(is_judged_again() && shows("firing"));
  EXPECT_EQ(story(), "firing Hot");
}

TEST_F(AlertingTest, HowLongNobodyLookedIsKnownAlsoWhenNothingHappenedForLong) {
  rules(hot("    for: 10h\n"));
  put(2);
  begin();
  ASSERT_TRUE(shows("pending"));
  for (int i = 0; i < 5; ++i) {
    pass(1h);
    const auto at = clock.ms();
    ASSERT_TRUE(eventually([&] { return open_outbox(folder.path())->read()->at_ms >= at; }));
  }
  end();
  pass(1min);  // within the tolerance, and nothing happened for 5 hours
  begin();
  pass(4h);
  ASSERT_TRUE(is_judged_again());
  EXPECT_FALSE(alerting->alerts().find("firing") != std::string::npos) << "away is no `for`";
  pass(1h + 2min);
  ASSERT_TRUE(shows("firing"));
}

TEST_F(AlertingTest, WhatIsPendingBeginsAnewWhenNobodyLookedForTooLong) {
  rules(hot("    for: 10h\n"));
  put(2);
  begin();
  ASSERT_TRUE(shows("pending"));
  pass(9h);
  ASSERT_TRUE(is_judged_again());
  end();
  pass(3h);
  begin();
  ASSERT_TRUE(shows("pending"));
  pass(9h);
  ASSERT_TRUE(is_judged_again());
  EXPECT_EQ(alerting->alerts().find("firing"), std::string::npos);
  EXPECT_EQ(story(), "");
}

TEST_F(AlertingTest, OfARuleThatIsGoneTheEndIsToldAfterAReloadAndAfterARestart) {
  for (const bool restart : {false, true}) {
    rules(hot());
    put(2);
    begin();
    ASSERT_TRUE(shows("firing"));
    if (restart) end();
    rules("  - alert: Cold\n    expr: m > 100\n");
    if (restart) {
      begin();
    } else {
      ASSERT_TRUE(alerting->reload());
    }
    ASSERT_TRUE(shows_none());
    EXPECT_EQ(story(), "firing Hot, resolved Hot") << restart;
    EXPECT_TRUE(stored().alerts.empty());
  }
}

TEST_F(AlertingTest, ARuleWhoseExpressionChangedKeepsItsAlertsOverReloadAndRestart) {
  rules(hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing"));
  rules("  - alert: Hot\n    expr: m > 1.5\n");
  ASSERT_TRUE(alerting->reload());
  ASSERT_TRUE(is_judged_again());
  begin();
  ASSERT_TRUE(is_judged_again());
  end();
  rules("  - alert: Hot\n    expr: m > 1.7\n");
  begin();
  ASSERT_TRUE(is_judged_again() && shows("firing"));
  EXPECT_EQ(story(), "firing Hot");
}

TEST_F(AlertingTest, RulesThatDifferInTheirLabelsOnlyKeepTheirOwn) {
  rules(hot("    labels: {severity: page}\n") +
        hot("    for: 10h\n    labels: {severity: mail}\n"));
  put(2);
  begin();
  ASSERT_TRUE(shows("firing") && shows("pending"));
  begin();
  ASSERT_TRUE(is_judged_again());
  EXPECT_EQ(metric("tallymill_alerting_firing_alerts"), 1);
  EXPECT_EQ(metric("tallymill_alerting_pending_alerts"), 1);
  EXPECT_EQ(story(), "firing Hot");
}

TEST_F(AlertingTest, RulesThatAreTheSameButForTheirForKeepTheirOwn) {
  rules(hot("    for: 10h\n") + hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing") && shows("pending"));
  begin();
  ASSERT_TRUE(is_judged_again());
  EXPECT_EQ(metric("tallymill_alerting_firing_alerts"), 1);
  EXPECT_EQ(metric("tallymill_alerting_pending_alerts"), 1);
  EXPECT_EQ(stored().alerts.size(), 2U);
}

TEST_F(AlertingTest, OneThatIsOverIsKeptWhileAnAlertmanagerHearsOfIt) {
  rules(hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing"));
  put(0);
  ASSERT_TRUE(shows_none());
  const auto kept = stored().alerts;
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_NE(kept[0].alert.resolved_ms, 0);
  begin();
  ASSERT_TRUE(is_judged_again());
  EXPECT_EQ(stored().alerts.size(), 1U);
  clock.move(16min);
  begin();
  ASSERT_TRUE(is_judged_again());
  put(2);
  ASSERT_TRUE(shows("firing"));
  put(0);
  ASSERT_TRUE(shows_none());
  clock.move(16min);
  rules(hot() + "  - alert: Other\n    expr: vector(1)\n");
  ASSERT_TRUE(alerting->reload());
  ASSERT_TRUE(shows("Other"));
  const auto then = stored().alerts;
  ASSERT_EQ(then.size(), 1U);
  EXPECT_EQ(then[0].alert.labels.get("alertname"), "Other");
}

TEST_F(AlertingTest, WhatIsOverItsLimitIsToldAsOver) {
  write_file(file(), "groups:\n- name: g\n  interval: 20ms\n  limit: 1\n  rules:\n" + hot());
  put(2);
  begin();
  ASSERT_TRUE(shows("firing"));
  store.put({{"__name__", "m"}, {"i", "b"}}, clock.ms(), 2);
  ASSERT_TRUE(shows_none());
  EXPECT_EQ(story(), "firing Hot, resolved Hot");
}

TEST_F(AlertingTest, WithoutADatabaseForIsRestoredFromItsSeries) {
  grace = 1min;
  rules(hot("    for: 2h\n"));
  put(2);
  begin();
  ASSERT_TRUE(shows("pending"));
  pass(90min);
  ASSERT_TRUE(is_judged_again());
  end();
  for (const char* suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(outbox_file().string() + suffix);
  pass(10min);
  begin();
  pass(25min);
  ASSERT_TRUE(is_judged_again());
  EXPECT_EQ(alerting->alerts().find("firing"), std::string::npos) << "10 minutes nobody looked";
  pass(6min);
  ASSERT_TRUE(shows("firing"));
}

TEST_F(AlertingTest, WhatTheDiskDoesNotTakeIsToldWhenItDoes) {
  rules(hot());
  begin();
  ASSERT_TRUE(is_judged_again());
  auto other = store::Sqlite::open(outbox_file(), store::Sqlite::Mode::create);
  ASSERT_TRUE(other && other->exec("BEGIN IMMEDIATE"));
  put(2);
  ASSERT_TRUE(eventually([&] { return metric("tallymill_alerting_unstored_changes") > 0; }));
  put(0);
  ASSERT_TRUE(shows_none());
  ASSERT_TRUE(other->exec("COMMIT"));
  ASSERT_TRUE(eventually([&] { return metric("tallymill_alerting_unstored_changes") == 0; }));
  EXPECT_GE(metric("tallymill_alerting_uncommitted_evaluations_total"), 1);
  EXPECT_EQ(metric("tallymill_alerting_lost_changes_total"), 0);
  EXPECT_EQ(story(), "firing Hot, resolved Hot");
}

TEST_F(AlertingTest, EachMetricIsDocumentedAsItIs) {
  rules(hot());
  put(2);
  begin();
  std::ifstream page(std::filesystem::path(TALLYMILL_SOURCE_DIR) / "docs" / "metrics.md");
  const auto documented =
      tests::documented_metrics(std::string(std::istreambuf_iterator<char>(page), {}));
  std::size_t seen = 0;
  for (const auto& family : registry->snapshot().families) {
    ++seen;
    const auto row = documented.find(family.name);
    ASSERT_NE(row, documented.end()) << family.name << " has no row in docs/metrics.md";
    const char* types[] = {"counter", "gauge", "histogram"};
    EXPECT_EQ(row->second.type, types[static_cast<int>(family.type)]) << family.name;
    const bool is_of_a_sink = family.name.starts_with("tallymill_alert_sink_");
    EXPECT_EQ(std::ranges::count(row->second.labels, "sink"), is_of_a_sink ? 1 : 0) << family.name;
  }
  EXPECT_GE(seen, 21U);
}

TEST(RuleIdentityTest, EqualRulesAreNumberedAndOthersAreOthers) {
  const std::vector<Rule> rules{
      alerting_rule("A", "x > 1"), alerting_rule("A", "x > 1"), alerting_rule("A", "x > 2"),
      alerting_rule("A", "x > 1", {{"s", "page"}}), recording_rule("A", "x > 1")};
  const auto all = identities_of(rules);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(all[i], all[j]) << i << " " << j;
  EXPECT_TRUE(is_alike(all[1], rules[2]));
  EXPECT_FALSE(is_alike(all[3], rules[2]));
  EXPECT_FALSE(is_alike(all[4], rules[2]));
}

TEST(ForStateTest, OnlyWhatMayBeTheRulesAndDidNotEndIsRead) {
  MemoryStore store;
  const auto add = [&](const char* name, const char* severity, const char* i, double value) {
    ASSERT_TRUE(store.add(labels_of({{"__name__", "ALERTS_FOR_STATE"},
                                     {"alertname", name},
                                     {"severity", severity},
                                     {"i", i}}),
                          5'000, value));
  };
  add("Hot", "page", "a", 3);
  add("Hot", "mail", "b", 3);
  add("Cold", "page", "c", 3);
  add("Hot", "page", "d", collector::stale_marker);
  add("Hot", "page", "e", 1e300);
  const Rule rule = alerting_rule("Hot", "m > 1", {{"severity", "page"}, {"i", "{{ $labels.i }}"}});
  const auto found = read_for_states(store, rule, 0, 10'000);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ((*found)[0].labels.get("i"), "a");
  EXPECT_EQ((*found)[0].labels.get("__name__"), "");
  EXPECT_EQ((*found)[0].active_ms, 3'000);
  EXPECT_EQ((*found)[0].last_ms, 5'000);
  EXPECT_TRUE(read_for_states(store, rule, 5'001, 10'000)->empty()) << "too long ago";
}

}  // namespace
}  // namespace tallymill::alerting
