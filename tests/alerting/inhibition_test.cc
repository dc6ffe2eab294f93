// Inhibition. Goal: an alert is not told while one fires that says more, and only then. Method:
// rules from the file's own matchers, alerts that come and go.
#include "alerting/inhibition.h"

#include <gtest/gtest.h>

#include "alerting/sink_config.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

std::vector<InhibitRule> rules_of(const std::string& yaml) {
  auto config = parse_sinks("inhibit_rules:\n" + yaml, "sinks.yml");
  EXPECT_TRUE(config) << config.error().message;
  return config ? std::move(config->inhibit) : std::vector<InhibitRule>();
}
StoredAlert of(const std::string& name, const std::string& stage, std::int64_t resolved = 0) {
  return {"f", "g", name, alert_of(name, stage, 10, resolved)};
}

TEST(Inhibition, HoldsBackWhatItsRuleNamesOfTheSameStage) {
  Inhibition inhibition(
      rules_of("- source_matchers: ['alertname=\"Down\"']\n"
               "  target_matchers: ['alertname=~\"Wait|Slow\"']\n"
               "  equal: [stage]\n"));
  const auto wait = of("Wait", "image").alert.labels;
  EXPECT_FALSE(inhibition.inhibits(wait));
  inhibition.note(of("Down", "image"));
  EXPECT_TRUE(inhibition.inhibits(wait));
  EXPECT_FALSE(inhibition.inhibits(of("Wait", "box").alert.labels));
  EXPECT_FALSE(inhibition.inhibits(of("Lost", "image").alert.labels));
  inhibition.note(of("Down", "image", 20));
  EXPECT_FALSE(inhibition.inhibits(wait));
  inhibition.note(of("Down", "image"));
  inhibition.forget(of("Down", "image"));
  EXPECT_FALSE(inhibition.inhibits(wait));
}

TEST(Inhibition, PendingHoldsBackNothing) {
  Inhibition inhibition(
      rules_of("- source_matchers: ['alertname=\"Down\"']\n"
               "  target_matchers: ['alertname!=\"Down\"']\n"));
  StoredAlert pending = of("Down", "image");
  pending.alert.state = AlertState::pending;
  inhibition.note(pending);
  EXPECT_FALSE(inhibition.inhibits(of("Wait", "image").alert.labels));
}

TEST(Inhibition, WhatFitsBothSidesDoesNotHoldBackItself) {
  Inhibition inhibition(
      rules_of("- source_matchers: ['stage=\"image\"']\n"
               "  target_matchers: ['stage=\"image\"']\n"));
  inhibition.note(of("A", "image"));
  EXPECT_FALSE(inhibition.inhibits(of("A", "image").alert.labels));
  EXPECT_FALSE(inhibition.inhibits(of("B", "image").alert.labels));
}

}  // namespace
}  // namespace tallymill::alerting
