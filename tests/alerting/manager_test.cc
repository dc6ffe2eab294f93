// Goal: each group is judged at its own moments and at no other; a reload is all or nothing and
// leaves alone what it need not change; nothing is judged after stop(). Method: files of rules with
// intervals of some milliseconds, a clock that the test moves on, waits for conditions.
#include "alerting/manager.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <thread>

#include "alerting/schedule.h"
#include "tests/alerting/live_fixture.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;

const Texts hot_input{{"__name__", "m"}, {"i", "a"}};
const Texts hot_series{
    {"__name__", "ALERTS"}, {"alertname", "Hot"}, {"alertstate", "firing"}, {"i", "a"}};

class ManagerTest : public testing::Test {
 protected:
  struct Judged {
    std::string group;
    std::int64_t at_ms;
  };
  struct Change {
    std::string group;
    bool gone;
    std::vector<std::size_t> left;
  };

  void TearDown() override { manager.reset(); }

  void rules(const std::string& text) { write_file(file(), text); }
  std::string file() const { return folder.path() / "rules.yml"; }
  static std::string group(const std::string& name, const std::string& interval,
                           const std::string& body) {
    return "- name: " + name + "\n  interval: " + interval + "\n  rules:\n" + body;
  }
  static std::string hot(const std::string& more = "") {
    return "  - alert: Hot\n    expr: m > 1\n" + more;
  }

  void make(bool own_bus = false) {
    Manager::Options options{.files = {file()}, .own_bus = own_bus, .alerts = most_alerts};
    options.group.interval = 20ms;
    manager = std::make_unique<Manager>(
        options, store, store,
        Manager::Listener{.judged =
                              [this](Group& group, std::int64_t at_ms, auto) {
                                std::unique_lock lock(mutex);
                                judged.push_back({group.rules().name, at_ms});
                                ++inside;
                                changed.notify_all();
                                changed.wait(lock, [this] { return !held; });
                                --inside;
                              },
                          .replaced =
                              [this](const Manager::Replaced& one) {
                                const std::lock_guard lock(mutex);
                                changes.push_back(
                                    {one.old.rules().name, one.fresh == nullptr, one.left});
                              }},
        registry, clock);
  }
  void begin(bool own_bus = false) {
    make(own_bus);
    const auto loaded = manager->load();
    ASSERT_TRUE(loaded) << loaded.error().message;
    manager->start();
  }
  std::vector<std::int64_t> moments(const std::string& name) {
    const std::lock_guard lock(mutex);
    std::vector<std::int64_t> all;
    for (const Judged& one : judged)
      if (one.group == name) all.push_back(one.at_ms);
    return all;
  }
  bool is_judged(const std::string& name, std::size_t times) {
    return eventually([&] { return moments(name).size() >= times; });
  }
  bool fires() {
    return eventually(
        [&] { return manager->alerts().find("\"state\":\"firing\"") != std::string::npos; });
  }
  double metric(const std::string& name) {
    for (const auto& family : registry.snapshot().families)
      if (family.name == name) return family.samples.at(0).value;
    ADD_FAILURE() << name;
    return -1;
  }
  void hold(bool whether) {
    const std::lock_guard lock(mutex);
    held = whether;
    changed.notify_all();
  }

  TempFolder folder;
  LockedStore store;
  MovedClock clock;
  metrics::Registry registry;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::vector<Judged> judged;
  std::vector<Change> changes;
  bool held = false;
  std::size_t most_alerts = limits::alerts;
  int inside = 0;
  std::unique_ptr<Manager> manager;
};

TEST_F(ManagerTest, EachGroupIsJudgedAtItsOwnMoments) {
  rules("groups:\n" + group("a", "20ms", hot()) + group("b", "30ms", hot()) +
        group("c", "20ms", hot()));
  begin();
  ASSERT_TRUE(is_judged("a", 5) && is_judged("b", 5) && is_judged("c", 5));
  const std::map<std::string, std::int64_t> intervals{{"a", 20}, {"b", 30}, {"c", 20}};
  for (const auto& [name, interval] : intervals) {
    const auto all = moments(name);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ((all[i] - offset_of(file(), name, interval)) % interval, 0) << name;
      if (i > 0) {
        EXPECT_GT(all[i], all[i - 1]) << name;
      }
    }
  }
  EXPECT_EQ(metric("tallymill_alerting_groups"), 3);
  EXPECT_EQ(metric("tallymill_alerting_rules"), 3);
}

TEST_F(ManagerTest, WhatIsOverTheIntervalIsMissedAndCounted) {
  rules("groups:\n" + group("a", "1h", hot()));
  begin();
  hold(true);
  clock.move(1h);
  ASSERT_TRUE(is_judged("a", 1));
  clock.move(5h);
  hold(false);
  const auto missed = [&] { return metric("tallymill_alerting_missed_evaluations_total"); };
  ASSERT_TRUE(eventually([&] { return missed() == 5; }));
  EXPECT_EQ(moments("a").size(), 1U) << "they are not made up";
  clock.move(1h);
  ASSERT_TRUE(is_judged("a", 2));
  EXPECT_EQ(moments("a")[1] - moments("a")[0], 6 * 3'600'000);
  EXPECT_EQ(missed(), 5);
}

TEST_F(ManagerTest, AllGroupsTogetherHaveAsManyAlertsAsMayBeAlsoAfterReloads) {
  most_alerts = 2;
  const std::string first = group("a", "20ms", hot());
  rules("groups:\n" + first + group("b", "20ms", hot()));
  store.put(hot_input, clock.ms(), 2);
  begin();
  const auto firing = [&] { return metric("tallymill_alerting_firing_alerts"); };
  const auto failures = [&] { return metric("tallymill_alerting_evaluation_failures_total"); };
  ASSERT_TRUE(eventually([&] { return firing() == 2; }));
  EXPECT_EQ(failures(), 0) << "at the bound";
  const std::string third = group("c", "20ms", hot());
  rules("groups:\n" + first + group("b", "20ms", hot("    for: 1s\n")) + third);
  ASSERT_TRUE(manager->load());
  ASSERT_TRUE(eventually([&] { return failures() >= 2; })) << "one above it";
  EXPECT_EQ(firing(), 2);
  EXPECT_NE(manager->groups(collector::RuleSource::Kind::all)
                .find("exceeded limit of 2 alerts of all rules"),
            std::string::npos);
  rules("groups:\n" + first + third);
  ASSERT_TRUE(manager->load());
  const double before = failures();
  ASSERT_TRUE(is_judged("c", moments("c").size() + 2));
  ASSERT_TRUE(eventually([&] { return firing() == 2; }))
      << "of the group that is gone none is left";
  EXPECT_EQ(failures(), before);
}

TEST_F(ManagerTest, WhatRulesAreMadeOfIsToldAndIsThatOfTheFilesThatWereReadLast) {
  const std::string some =
      "  - {alert: A, expr: 'm{i=~\"a.*\"} > 1', annotations: {t: '{{ . }}'}}\n";
  rules("groups:\n" + group("a", "1h", some));
  begin();
  const double nodes = metric("tallymill_alerting_rule_nodes");
  const double program = metric("tallymill_alerting_rule_program");
  EXPECT_GE(nodes, 5) << "a selector, its two matchers, an operator, an action";
  EXPECT_GE(program, 1);
  rules("groups:\n" + group("a", "1h", some + some) + group("b", "1h", some));
  ASSERT_TRUE(manager->load());
  EXPECT_EQ(metric("tallymill_alerting_rule_nodes"), 3 * nodes);
  EXPECT_EQ(metric("tallymill_alerting_rule_program"), 3 * program);
  rules("groups: []\n");
  ASSERT_TRUE(manager->load());
  EXPECT_EQ(metric("tallymill_alerting_rule_nodes"), 0);
}

TEST_F(ManagerTest, ABadFileKeepsTheOldRulesAndSaysWhere) {
  rules("groups:\n" + group("a", "20ms", hot()));
  store.put(hot_input, clock.ms(), 2);
  begin();
  ASSERT_TRUE(fires());
  rules("groups:\n" + group("a", "20ms", "  - alert: Hot\n    expr: m >\n"));
  const auto loaded = manager->load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Errc::bad_params);
  EXPECT_NE(loaded.error().message.find(file() + ":6:11:"), std::string::npos)
      << loaded.error().message;
  const std::string told = manager->groups(collector::RuleSource::Kind::all);
  EXPECT_NE(told.find("\"query\":\"m > 1\""), std::string::npos) << told;
  const auto before = moments("a").size();
  ASSERT_TRUE(is_judged("a", before + 2)) << "it goes on";
  EXPECT_TRUE(fires());
  EXPECT_EQ(metric("tallymill_alerting_reload_failures_total"), 1);
  EXPECT_EQ(metric("tallymill_alerting_reloads_total"), 2);
}

TEST_F(ManagerTest, AGroupThatIsTheSameGoesOnUntouchedAndAChangedOneTakesItsAlertsOver) {
  rules("groups:\n" + group("a", "20ms", hot()) + group("b", "20ms", hot()));
  store.put(hot_input, clock.ms(), 2);
  begin();
  ASSERT_TRUE(is_judged("a", 1) && is_judged("b", 1));
  const std::string before = manager->alerts();
  rules("groups:\n" + group("a", "20ms", hot()) +
        group("b", "20ms", hot("    annotations: {summary: hot}\n")));
  ASSERT_TRUE(manager->load());
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].group, "b");
  EXPECT_FALSE(changes[0].gone);
  EXPECT_TRUE(changes[0].left.empty());
  EXPECT_EQ(manager->alerts(), before) << "since when it is active, too";
  const auto seen = moments("b").size();
  ASSERT_TRUE(is_judged("b", seen + 2));
  EXPECT_FALSE(store.has_ended(hot_series));
  EXPECT_EQ(metric("tallymill_alerting_firing_alerts"), 2);
}

TEST_F(ManagerTest, SeriesOfAGroupThatIsGoneEndAndItsAlertsAreSaidToBeLeft) {
  rules("groups:\n" + group("a", "20ms", hot()) + group("b", "20ms", "  - {record: r, expr: m}\n"));
  store.put(hot_input, clock.ms(), 2);
  begin();
  ASSERT_TRUE(fires());
  rules("groups:\n" + group("b", "20ms", "  - {record: r, expr: m}\n"));
  ASSERT_TRUE(manager->load());
  EXPECT_TRUE(store.has_ended(hot_series));
  EXPECT_FALSE(store.has_ended({{"__name__", "r"}, {"i", "a"}}));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].group, "a");
  EXPECT_TRUE(changes[0].gone);
  EXPECT_EQ(changes[0].left, std::vector<std::size_t>{0});
  EXPECT_EQ(manager->alerts(), "[]");
  EXPECT_EQ(metric("tallymill_alerting_firing_alerts"), 0);
  EXPECT_EQ(metric("tallymill_alerting_groups"), 1);
}

TEST_F(ManagerTest, ARuleThatIsGoneFromAGroupIsLeftAndTheOthersAreNot) {
  rules("groups:\n" + group("a", "20ms", hot() + "  - alert: Cold\n    expr: m < 9\n"));
  store.put(hot_input, clock.ms(), 2);
  begin();
  ASSERT_TRUE(fires());
  rules("groups:\n" + group("a", "20ms", "  - alert: Cold\n    expr: m < 9\n"));
  ASSERT_TRUE(manager->load());
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].left, std::vector<std::size_t>{0});
  EXPECT_TRUE(eventually([&] { return store.has_ended(hot_series); }));
}

TEST_F(ManagerTest, StopWaitsForWhatRunsAndNothingIsJudgedAfterIt) {
  rules("groups:\n" + group("a", "20ms", hot()));
  begin();
  hold(true);
  ASSERT_TRUE(is_judged("a", moments("a").size() + 1));
  std::atomic<bool> stopped{false};
  std::thread stopper([&] {
    manager->stop();
    stopped = true;
  });
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return inside == 1;
  }));
  EXPECT_FALSE(stopped);
  hold(false);
  stopper.join();
  const auto all = moments("a").size();
  const auto until = clock.ms() + 100;
  ASSERT_TRUE(eventually([&] { return clock.ms() > until; }));
  EXPECT_EQ(moments("a").size(), all);
}

TEST_F(ManagerTest, StopDoesNotWaitForTheRestOfAGroup) {
  rules("groups:\n" + group("a", "20ms",
                            "  - {record: first, expr: time()}\n"
                            "  - {record: slow, expr: 'max_over_time(vector(1)[20d:1s])'}\n"
                            "  - {record: last, expr: time()}\n"));
  begin();
  const auto is_stored = [&](const char* metric) {
    const auto named =
        collector::Matcher::of(collector::Matcher::Kind::equal, "__name__", metric).value();
    return !store.select(std::span(&named, 1), 0, clock.ms() + 60'000)->empty();
  };
  ASSERT_TRUE(eventually([&] { return is_stored("first"); }));
  manager->stop();
  EXPECT_FALSE(is_stored("slow"));
  EXPECT_FALSE(is_stored("last"));
}

TEST_F(ManagerTest, TimeThatIsPutBackHoldsNoGroupUp) {
  rules("groups:\n" + group("a", "20ms", hot()) + group("b", "1h", hot()));
  begin();
  ASSERT_TRUE(is_judged("a", 3));
  const auto before = clock.ms();
  clock.move(-5h);
  ASSERT_TRUE(is_judged("a", moments("a").size() + 3));
  EXPECT_LT(moments("a").back(), before - 4 * 3'600'000);
  clock.move(1h);
  ASSERT_TRUE(is_judged("b", 1));
  EXPECT_LT(moments("b")[0], before);
}

TEST_F(ManagerTest, ReloadsByOtherThreadsWhileItStopsAllEnd) {
  rules("groups:\n" + group("a", "5ms", hot()) + group("b", "7ms", hot()));
  store.put(hot_input, clock.ms(), 2);
  begin();
  std::atomic<int> loads{0};
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i)
    workers.emplace_back([&, i] {
      for (int round = 0;; ++round) {
        const auto loaded = manager->load();
        (void)manager->groups(collector::RuleSource::Kind::all);
        ++loads;
        if (!loaded && loaded.error().code == Errc::cancelled) return;
        ASSERT_TRUE(loaded) << loaded.error().message;
        if (i == 0 && round == 5) rules("groups:\n" + group("b", "7ms", hot()));
      }
    });
  ASSERT_TRUE(eventually([&] { return loads > 30; }));
  manager->stop();
  for (std::thread& worker : workers) worker.join();
}

TEST_F(ManagerTest, AfterAStartAGroupWaitsForWhatComesOverTheBusButNotForEver) {
  rules("groups:\n" + group("bus", "1h", "  - {alert: Gone, expr: absent(tallymill_jobs)}\n") +
        group("other", "1h", "  - {alert: Gone, expr: absent(jobs)}\n"));
  begin(true);
  clock.move(1h);
  ASSERT_TRUE(is_judged("other", 1));
  ASSERT_TRUE(
      eventually([&] { return metric("tallymill_alerting_awaiting_evaluations_total") >= 1; }));
  EXPECT_TRUE(moments("bus").empty());
  const auto began = clock.ms() - 3'600'000;
  clock.move(1h);
  ASSERT_TRUE(is_judged("other", 2));
  clock.move(1h);
  ASSERT_TRUE(is_judged("bus", 1)) << "two intervals are over";
  EXPECT_GE(moments("bus")[0] - began, 2 * 3'600'000 - 60'000);
}

TEST_F(ManagerTest, AGroupIsJudgedAsSoonAsWhatComesOverTheBusWasReported) {
  rules("groups:\n" + group("bus", "1h", "  - {alert: Gone, expr: absent(tallymill_jobs)}\n"));
  store.put({{"__name__", "tallymill_jobs"}}, clock.ms() - 60'000, 1);  // before the start
  begin(true);
  store.put({{"__name__", "tallymill_jobs"}}, clock.ms() + 1, 1);
  clock.move(1h);
  ASSERT_TRUE(is_judged("bus", 1));
  EXPECT_EQ(metric("tallymill_alerting_awaiting_evaluations_total"), 0);
}

}  // namespace
}  // namespace tallymill::alerting
