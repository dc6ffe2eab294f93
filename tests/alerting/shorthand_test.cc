// Goal: what is written without PromQL becomes the PromQL that it means. Method: tables of
// thresholds and objectives with the rules that they become; the factors are those of the Site
// Reliability Workbook. What is refused: tests/rules/beyond.cases.
#include "alerting/shorthand.h"

#include <gtest/gtest.h>

#include "alerting/rule_file.h"

namespace tallymill::alerting {
namespace {

using std::chrono::minutes;

std::vector<Rule> rules_of(const std::string& entry) {
  const auto groups =
      parse_rule_file("groups: [{name: g, rules: [{alert: a, " + entry + "}]}]", "f.tm.yml");
  EXPECT_TRUE(groups) << entry << "\n" << groups.error().message;
  return groups ? groups->front().rules : std::vector<Rule>(1);
}

std::string expr_of(const std::string& threshold) {
  const std::vector<Rule> rules = rules_of("threshold: {" + threshold + "}");
  EXPECT_EQ(rules.size(), 1u);
  return rules.front().expr;
}

TEST(Units, AreBaseUnits) {
  const std::pair<const char*, const char*> rows[] = {
      {"5", "5"},
      {"-0.5", "-0.5"},
      {"1e3", "1000"},
      {"200ms", "0.2"},
      {"5s", "5"},
      {"1.5m", "90"},
      {"1m30s", "90"},
      {"2h", "7200"},
      {"1d", "86400"},
      {"1w", "604800"},
      {"100us", "0.0001"},
      {"7ns", "0.000000007"},
      {"99.9%", "0.999"},
      {"80%", "0.8"},
      {"0.1%", "0.001"},
      {"10B", "10"},
      {"1kB", "1000"},
      {"1.5MB", "1500000"},
      {"2GB", "2000000000"},
      {"1TB", "1000000000000"},
      {"1KiB", "1024"},
      {"10MiB", "10485760"},
      {"1GiB", "1073741824"},
      {"1TiB", "1099511627776"},
      {"1y", "31536000"},
      {"0", "0"},
  };
  for (const auto& [said, is] : rows) EXPECT_EQ(base_units(said), is) << said;
  for (const char* none : {"", "%", "ms", "5 s", "5S", "1.2.3s", "--5", "NaN", "Inf", "1e999",
                           "0x10", "5s5", "s5", "1s1m", "1e3ms", "5%%", "five"})
    EXPECT_FALSE(base_units(none)) << none;
}

TEST(Threshold, BecomesAnExpression) {
  const std::pair<const char*, const char*> rows[] = {
      {"gauge: disk_ratio, above: 85%", "disk_ratio > 0.85"},
      {"gauge: free_bytes, where: {disk: a, host: 'x\"y\\z'}, below: 10MiB",
       R"(free_bytes{disk="a",host="x\"y\\z"} < 1.048576e+07)"},
      {"gauge: g, above: 1, by: [host]", "max by (host) (g) > 1"},
      {"gauge: g, below: -1, by: [host, disk]", "min by (host, disk) (g) < -1"},
      {"counter: errors_total, above: 5", "sum(rate(errors_total[5m])) > 5"},
      {"counter: errors_total, by: [job], window: 1h30m, where: {code: 500}, above: 0",
       R"(sum by (job) (rate(errors_total{code="500"}[1h30m])) > 0)"},
      {"histogram: tallymill_stage_wait_seconds, quantile: 0.99, where: {stage: image}, above: "
       "200ms",
       "histogram_quantile(0.99, sum by (le) "
       "(rate(tallymill_stage_wait_seconds_bucket{stage=\"image\"}[5m]))) > 0.2"},
      {"histogram: h, quantile: 1, by: [a, b], below: 5s, window: 10m",
       "histogram_quantile(1, sum by (le, a, b) (rate(h_bucket[10m]))) < 5"},
  };
  for (const auto& [said, expr] : rows) EXPECT_EQ(expr_of(said), expr) << said;
}

TEST(Threshold, HoldsAndClearsAsItSays) {
  const Rule rule = rules_of("threshold: {gauge: g, above: 200ms, clear_below: 150ms, for: 1m}")[0];
  EXPECT_EQ(rule.expr, "g > 0.2");
  EXPECT_EQ(rule.resolve_expr, "g < 0.15");
  ASSERT_NE(rule.resolve_node, nullptr);
  EXPECT_EQ(rule.hold, minutes(1));
  const Rule below = rules_of("threshold: {gauge: g, below: 10%, clear_above: 20%}, for: 2m")[0];
  EXPECT_EQ(below.resolve_expr, "g > 0.2");
  EXPECT_EQ(below.hold, minutes(2));
}

TEST(Threshold, IsJudgedWhenASampleComesWhereOneSampleIsEnough) {
  EXPECT_TRUE(rules_of("threshold: {gauge: g, above: 1}")[0].on_arrival);
  EXPECT_FALSE(rules_of("threshold: {gauge: g, above: 1}, on_arrival: false")[0].on_arrival);
  EXPECT_FALSE(rules_of("threshold: {gauge: g, above: 1, by: [x]}")[0].on_arrival);
  EXPECT_FALSE(rules_of("threshold: {counter: g, above: 1}")[0].on_arrival);
}

TEST(Threshold, CanSayWhatIsToBeDoneWithoutInput) {
  EXPECT_EQ(rules_of("threshold: {counter: g, above: 1}, no_data: fire")[0].no_data,
            Rule::NoData::fire);
}

TEST(Slo, BecomesRatiosAndAlertsForEachPairOfWindows) {
  const std::vector<Rule> rules = rules_of(
      "slo: {objective: 99.9, window: 30d, errors: 'http_total{code=~\"5..\"}', total: http_total, "
      "by: [job]}, labels: {team: x}, for: 2m");
  const std::pair<const char*, const char*> expected[] = {
      {"slo:error_ratio:rate5m", "5m"},   {"slo:error_ratio:rate1h", "1h"},
      {"slo:error_ratio:rate30m", "30m"}, {"slo:error_ratio:rate6h", "6h"},
      {"slo:error_ratio:rate2h", "2h"},   {"slo:error_ratio:rate1d", "1d"},
      {"slo:error_ratio:rate3d", "3d"},
  };
  ASSERT_EQ(rules.size(), 11u);
  for (std::size_t i = 0; i < 7; ++i) {
    const std::string window = expected[i].second;
    EXPECT_EQ(rules[i].kind, Rule::Kind::recording);
    EXPECT_EQ(rules[i].name, expected[i].first);
    EXPECT_EQ(rules[i].expr, "sum by (job) (rate(http_total{code=~\"5..\"}[" + window +
                                 "])) / sum by (job) (rate(http_total[" + window + "]))");
    ASSERT_EQ(rules[i].labels.size(), 1u);
    EXPECT_EQ(rules[i].labels[0].name, "slo");
    EXPECT_EQ(rules[i].labels[0].text, "a");
  }
  const std::array<std::string, 4> pairs[] = {{"1h", "5m", "14.4", "page"},
                                              {"6h", "30m", "6", "page"},
                                              {"1d", "2h", "3", "ticket"},
                                              {"3d", "6h", "1", "ticket"}};
  for (std::size_t i = 0; i < 4; ++i) {
    const Rule& rule = rules[7 + i];
    const auto& [longer, shorter, times, severity] = pairs[i];
    const std::string above = "{slo=\"a\"} > (" + times + " * 0.001)";
    EXPECT_EQ(rule.kind, Rule::Kind::alerting);
    EXPECT_EQ(rule.name, "a");
    EXPECT_EQ(rule.expr, "slo:error_ratio:rate" + longer + above + " and slo:error_ratio:rate" +
                             shorter + above);
    EXPECT_EQ(rule.hold, minutes(2));
    std::string labels;
    for (const Templated& label : rule.labels) labels += label.name + "=" + label.text + ";";
    EXPECT_EQ(labels,
              "long=" + longer + ";severity=" + severity + ";short=" + shorter + ";team=x;");
  }
}

std::vector<std::string> bounds_of(const std::string& slo) {
  std::vector<std::string> found;
  for (const Rule& rule : rules_of("slo: {errors: e, total: t, " + slo + "}"))
    if (rule.kind == Rule::Kind::alerting) {
      const std::size_t begin = rule.expr.find('(') + 1;
      found.push_back(rule.expr.substr(begin, rule.expr.find(')') - begin));
    }
  return found;
}

TEST(Slo, TheSpeedGoesWithTheWindowAndIsNeverBelowOne) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(bounds_of("objective: 99"), (Texts{"14.4 * 0.01", "6 * 0.01", "3 * 0.01", "1 * 0.01"}));
  EXPECT_EQ(bounds_of("objective: 99.95, window: 28d"),
            (Texts{"13.44 * 0.0005", "5.6 * 0.0005", "2.8 * 0.0005", "1 * 0.0005"}));
  EXPECT_EQ(bounds_of("objective: 99, window: 1w"),
            (Texts{"3.36 * 0.01", "1.4 * 0.01", "1 * 0.01", "1 * 0.01"}));
  EXPECT_EQ(bounds_of("objective: 99.999"),
            (Texts{"14.4 * 1e-05", "6 * 1e-05", "3 * 1e-05", "1 * 1e-05"}));
}

TEST(Slo, APairThatWouldWantMoreErrorsThanTrafficIsLeftOut) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(bounds_of("objective: 90"), (Texts{"6 * 0.1", "3 * 0.1", "1 * 0.1"}));
  EXPECT_EQ(bounds_of("objective: 50"), (Texts{"1 * 0.5"}));
}

TEST(Slo, ItsLabelsAreThoseThatItSaysAndWhatTheRuleSaysItselfCounts) {
  const std::vector<Rule> rules = rules_of(
      "slo: {objective: 99, errors: e, total: t, page: {urgency: now}, ticket: {}}, labels: {long: "
      "mine}");
  const auto labels = [&](const Rule& rule) {
    std::string all;
    for (const Templated& label : rule.labels) all += label.name + "=" + label.text + ";";
    return all;
  };
  EXPECT_EQ(labels(rules[7]), "long=mine;short=5m;urgency=now;");
  EXPECT_EQ(labels(rules[10]), "long=mine;short=6h;");
}

TEST(Slo, ItsNameMayHaveAnyLetters) {
  const auto groups = parse_rule_file(
      R"(groups: [{name: g, rules: [{alert: 'a "b" \c é', slo: {objective: 99, errors: e, total: t}}]}])",
      "f.tm.yml");
  ASSERT_TRUE(groups) << groups.error().message;
  EXPECT_EQ(groups->front().rules[0].labels[0].text, R"(a "b" \c é)");
  EXPECT_TRUE(groups->front().rules[7].expr.starts_with(
      R"(slo:error_ratio:rate1h{slo="a \"b\" \\c é"} > ()"))
      << groups->front().rules[7].expr;
}

}  // namespace
}  // namespace tallymill::alerting
