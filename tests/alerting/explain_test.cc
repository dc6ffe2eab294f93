// Goal: what is told of an alert is that alert's, of the time that is asked for, and bounded.
// Method: states and samples that are planted, of alerts that are over, in a store in memory;
// rules that nobody judges meanwhile.
#include "alerting/explain.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "alerting/alert_json.h"
#include "tests/alerting/live_fixture.h"

namespace tallymill::alerting {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class ExplainTest : public ::testing::Test {
 protected:
  void open(const std::string& rules) {
    const std::string file = folder_.path() / "rules.yml";
    write_file(file, "groups:\n- name: g\n  interval: 1m\n  rules:\n" + rules);
    auto opened = Alerting::open({.rules = {file}, .outbox = folder_.path() / "alerts.db"}, store_,
                                 store_, context_, registry_, clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    alerting_ = std::move(*opened);
  }
  // It fired from `seconds` before the begin of this test for so long, judged each second.
  void fired(Texts labels, std::int64_t seconds, std::int64_t for_s) {
    labels.insert(labels.end(), {{"__name__", "ALERTS"}, {"alertstate", "firing"}});
    for (std::int64_t s = 0; s < for_s; ++s) store_.put(labels, ago(seconds - s), 1);
    store_.put(labels, ago(seconds - for_s), collector::stale_marker);
  }
  [[nodiscard]] std::int64_t ago(std::int64_t seconds) const { return now_ms_ - seconds * 1000; }

  [[nodiscard]] json explained(const ExplainAsk& ask) const {
    const auto told = explain(*alerting_, ask);
    EXPECT_TRUE(told) << told.error().message;
    return told ? json::parse(*told) : json();
  }
  // Of the only alert of the only rule.
  [[nodiscard]] json only(const std::string& name) const {
    const json rules = explained({.name = name})["rules"];
    EXPECT_EQ(rules.size(), 1U);
    EXPECT_EQ(rules.at(0)["alerts"].size(), 1U) << rules;
    return rules.at(0)["alerts"].at(0);
  }

  TempFolder folder_;
  zmq::context_t context_;
  LockedStore store_;
  MovedClock clock_;
  const std::int64_t now_ms_ = clock_.ms() / 1000 * 1000;
  metrics::Registry registry_;
  std::unique_ptr<Alerting> alerting_;
};

const std::string hot = "  - {alert: Hot, expr: m > 1}\n";
const Texts hot_alert{{"alertname", "Hot"}, {"i", "a"}};
const Texts input{{"__name__", "m"}, {"i", "a"}};

TEST_F(ExplainTest, AsManySamplesAsMayBeAreAllToldAndOfMoreThoseInTheMiddleAreLeftOut) {
  open(hot);
  fired(hot_alert, 1000, 100);
  constexpr auto third = static_cast<std::int64_t>(limits::explain_samples) / 3;
  // Those before it began, and two thirds from its begin on.
  for (std::int64_t i = -third; i < 2 * third; ++i)
    store_.put(input, ago(1000 - i * 2), i < 0 ? 0 : 2);
  json series = only("Hot")["samples"][0]["series"][0];
  EXPECT_EQ(series["values"].size(), limits::explain_samples);
  EXPECT_EQ(series["more"], false);
  const json first = series["values"].front();
  store_.put(input, ago(1000 - 2 * third * 2), 9);
  series = only("Hot")["samples"][0]["series"][0];
  EXPECT_EQ(series["values"].size(), limits::explain_samples);
  EXPECT_EQ(series["more"], true);
  EXPECT_EQ(series["values"].front(), first) << "those around the begin stay";
  EXPECT_EQ(series["values"].back()[1], "9") << "and so does the last one";
}

TEST_F(ExplainTest, WhatIsOverIsToldWithItsBeginAndEndOfTheTimeThatIsAskedForOnly) {
  open(hot);
  fired(hot_alert, 7200, 60);
  json alert = only("Hot");
  EXPECT_EQ(alert["state"], "inactive");
  EXPECT_EQ(alert["activeAt"], rfc3339(ago(7200)));
  EXPECT_EQ(alert["endsAt"], rfc3339(ago(7140)));
  ASSERT_EQ(alert["changes"].size(), 2U);
  EXPECT_EQ(alert["changes"][1]["state"], "inactive");
  EXPECT_FALSE(alert.contains("value")) << "it has none any more";
  EXPECT_EQ(explained({.name = "Hot", .last = 1h})["rules"][0]["alerts"], json::array());
  EXPECT_EQ(explained({.name = "Hot", .last = 3h})["rules"][0]["alerts"].size(), 1U);
}

TEST_F(ExplainTest, OfSeveralTimesTheLastOneIsTold) {
  open(hot);
  fired(hot_alert, 7200, 60);
  fired(hot_alert, 3600, 30);
  const json alert = only("Hot");
  EXPECT_EQ(alert["activeAt"], rfc3339(ago(3600)));
  EXPECT_EQ(alert["endsAt"], rfc3339(ago(3570)));
  EXPECT_EQ(alert["changes"].size(), 4U);
}

TEST_F(ExplainTest, RulesOfOneNameTellTheAlertsOfTheirLabelsOnly) {
  open(
      "  - {alert: Hot, expr: m > 1, labels: {severity: warning}}\n"
      "  - {alert: Hot, expr: m > 5, labels: {severity: page}}\n"
      "  - {record: Hot2, expr: m}\n");
  for (const char* severity : {"warning", "page"})
    fired({{"alertname", "Hot"}, {"i", "a"}, {"severity", severity}}, 600, 10);
  const json rules = explained({.name = "Hot"})["rules"];
  ASSERT_EQ(rules.size(), 2U);
  for (const auto& [at, severity] : {std::pair(0, "warning"), {1, "page"}}) {
    ASSERT_EQ(rules[at]["alerts"].size(), 1U) << rules;
    EXPECT_EQ(rules[at]["alerts"][0]["labels"]["severity"], severity);
  }
  const auto page = collector::Matcher::of(collector::Matcher::Kind::equal, "severity", "page");
  const json filtered = explained({.name = "Hot", .filter = {*page}})["rules"];
  EXPECT_TRUE(filtered[0]["alerts"].empty());
  EXPECT_EQ(filtered[1]["alerts"].size(), 1U);
}

TEST_F(ExplainTest, SeriesOfOtherLabelsThanTheAlertsAreNotBehindItUnlessAllAre) {
  open(hot + "  - {alert: Made, expr: 'label_replace(m, \"i\", \"made\", \"\", \"\") > 1'}\n");
  for (const char* i : {"a", "b"}) store_.put({{"__name__", "m"}, {"i", i}}, ago(600), 2);
  fired(hot_alert, 600, 10);
  fired({{"alertname", "Made"}, {"i", "made"}}, 600, 10);
  const json its = only("Hot")["samples"][0]["series"];
  ASSERT_EQ(its.size(), 1U);
  EXPECT_EQ(its[0]["metric"]["i"], "a");
  EXPECT_EQ(only("Made")["samples"][0]["series"].size(), 2U);
}

TEST_F(ExplainTest, SamplesAreThoseThatWereLookedAtThen) {
  open(
      "  - {alert: Late, expr: m offset 1h > 1}\n"
      "  - {alert: Fixed, expr: m @ " +
      std::to_string(ago(9000) / 1000) + " > 1}\n");
  for (const std::int64_t seconds : {9000, 4200, 600}) store_.put(input, ago(seconds), 2);
  for (const char* name : {"Late", "Fixed"}) fired({{"alertname", name}, {"i", "a"}}, 600, 10);
  const auto times = [&](const std::string& name) {
    std::vector<double> all;
    const json alert = only(name);
    for (const json& one : alert.at("samples").at(0).at("series").at(0).at("values"))
      all.push_back(one[0]);
    return all;
  };
  const auto seconds = [&](std::int64_t n) { return static_cast<double>(ago(n)) / 1000; };
  EXPECT_EQ(times("Late"), std::vector{seconds(4200)});
  EXPECT_EQ(times("Fixed"), std::vector{seconds(9000)});
}

TEST_F(ExplainTest, AnExpressionThatCannotBeCalculatedAnyMoreIsSaidAndTheRestIsTold) {
  open("  - {alert: Twice, expr: m * on () group_left () n > 1}\n");
  for (const char* i : {"a", "b"}) store_.put({{"__name__", "n"}, {"i", i}}, ago(600), 2);
  store_.put(input, ago(600), 2);
  fired({{"alertname", "Twice"}, {"i", "a"}}, 600, 10);
  const json alert = only("Twice");
  EXPECT_TRUE(alert["values"].contains("error")) << alert["values"];
  EXPECT_EQ(alert["samples"].size(), 2U);
}

TEST_F(ExplainTest, WhoAsksForWhatThereIsNotOrWaitsNoLongerIsTold) {
  open(hot + "  - {record: kept, expr: m}\n");
  fired(hot_alert, 600, 10);
  for (const char* name : {"Nobody", "kept"}) {
    const auto told = explain(*alerting_, {.name = name});
    ASSERT_FALSE(told) << name;
    EXPECT_EQ(told.error().code, Errc::not_found);
  }
  const std::atomic<bool> gone = true;
  EXPECT_EQ(explain(*alerting_, {.name = "Hot", .cancelled = &gone}).error().code, Errc::cancelled);
}

}  // namespace
}  // namespace tallymill::alerting
