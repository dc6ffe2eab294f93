// Goal: what a unit test of rules says when it fails, what it counts, and that it stays small. That
// each file passes where it passes in promtool is shown by rule_test_differential.py. Method: files
// in a folder of their own.
#include "alerting/rule_test.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "alerting/limits.h"
#include "alerting/rule_test_diff.h"

namespace tallymill::alerting {
namespace {

using Lines = std::vector<std::string>;

constexpr const char* rules = R"(groups:
- name: g
  rules:
  - alert: Down
    expr: up == 0
    labels: {severity: page}
    annotations: {summary: "{{ $labels.job }} is down", more: "x"}
  - alert: Never
    expr: up > 100
  - record: r
    expr: up
)";

class RuleTestTest : public testing::Test {
 protected:
  RuleTestTest() {
    std::string name = std::filesystem::temp_directory_path() / "rule_test_XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~RuleTestTest() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text;
  }
  TestReport run(const std::string& text) {
    write("t.yml", text);
    const auto file = read_rule_test_file(folder / "t.yml");
    EXPECT_TRUE(file) << (file ? "" : file.error().message);
    return file ? run_rule_tests(*file, coverage) : TestReport{};
  }
  // Of a test of rules above, whose series `up` is 0.
  TestReport run_down(const std::string& expected) {
    write("r.yml", rules);
    return run(
        "rule_files: [r.yml]\n"
        "tests:\n"
        "- name: one\n"
        "  interval: 1m\n"
        "  input_series: [{series: 'up{job=\"a\"}', values: 0x5}]\n"
        "  alert_rule_test: [{eval_time: 1m, alertname: Down, exp_alerts: " +
        expected + "}]\n");
  }

  std::filesystem::path folder;
  RuleCoverage coverage;
};

TEST_F(RuleTestTest, OfAnAlertThatIsThereOnlyTheAnnotationsThatDifferAreTold) {
  const TestReport report = run_down(
      "[{exp_labels: {severity: page, job: a},"
      " exp_annotations: {summary: a is up, more: x, other: y}}]");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].line, 6);
  EXPECT_EQ(report.failures[0].test, "one");
  EXPECT_EQ(report.failures[0].what, "alert Down at 1m");
  EXPECT_EQ(report.failures[0].diff,
            (Lines{"  {alertname=\"Down\", job=\"a\", severity=\"page\"}", "-   other: \"y\"",
                   "-   summary: \"a is up\"", "+   summary: \"a is down\""}));
}

TEST_F(RuleTestTest, AnAlertThatIsMissingAndOneThatIsTooManyAreToldWhole) {
  const TestReport report = run_down("[{exp_labels: {job: b}}]");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].diff,
            (Lines{"+ {alertname=\"Down\", job=\"a\", severity=\"page\"}", "+   more: \"x\"",
                   "+   summary: \"a is down\"", "- {alertname=\"Down\", job=\"b\"}"}));
}

TEST_F(RuleTestTest, CountsTestsAndChecksAndTellsWhichRulesFired) {
  const TestReport report = run_down(
      "[{exp_labels: {severity: page, job: a}, exp_annotations: {summary: a is down, more: x}}]");
  EXPECT_TRUE(report.failures.empty());
  EXPECT_EQ(report.tests, 1U);
  EXPECT_EQ(report.checks, 1U);
  EXPECT_EQ(coverage.count(), 2U) << "a recording rule does not fire";
  EXPECT_EQ(coverage.fired(), 1U);
  const auto all = coverage.all();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_TRUE(all[0].fired);
  EXPECT_EQ(all[1].name, "Never");
  EXPECT_EQ(all[1].line, 8);
  EXPECT_FALSE(all[1].fired);
}

TEST_F(RuleTestTest, ARuleThatFiredInOneFileHasFired) {
  (void)run_down("[]");
  (void)run("rule_files: [./r.yml]\ntests: [{}]\n");
  EXPECT_EQ(coverage.count(), 2U);
  EXPECT_EQ(coverage.fired(), 1U);
}

TEST_F(RuleTestTest, OurOwnRulesAreTestedToo) {
  write("r.tm.yml",
        "groups:\n- name: g\n  rules:\n  - alert: Hot\n"
        "    threshold: {gauge: heat, above: 80, clear_below: 60}\n");
  const TestReport report =
      run("rule_files: [r.tm.yml]\n"
          "tests:\n"
          "- interval: 1m\n"
          "  input_series: [{series: heat, values: 90 70 50}]\n"
          "  alert_rule_test:\n"
          "  - {eval_time: 1m, alertname: Hot, exp_alerts: [{}]}\n"
          "  - {eval_time: 2m, alertname: Hot, exp_alerts: []}\n");
  EXPECT_TRUE(report.failures.empty()) << report.failures[0].what;
}

TEST_F(RuleTestTest, ABrokenRuleFileIsToldOnceWithItsPlace) {
  write("bad.yml", "groups:\n- name: g\n  rules: [{alert: A, expr: 'up ('}]\n");
  const TestReport report = run("rule_files: [bad.yml]\ntests: [{}, {}]\n");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_TRUE(report.failures[0].what.starts_with((folder / "bad.yml").string() + ":3:"))
      << report.failures[0].what;
}

TEST_F(RuleTestTest, WhatIsWrongWithASeriesOrAnExpressionIsToldWithItsLine) {
  TestReport report = run("tests:\n- input_series:\n  - {series: m, values: 1 2 x}\n");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].line, 3);
  EXPECT_TRUE(report.failures[0].what.starts_with("series 'm 1 2 x': 1:7: parse error"))
      << report.failures[0].what;
  report = run("tests:\n- promql_expr_test:\n  - expr: sum(\n");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].line, 3);
  EXPECT_TRUE(report.failures[0].what.starts_with("expr sum( at 0s: 1:5: parse error"))
      << report.failures[0].what;
}

TEST_F(RuleTestTest, SeriesThatPromtoolLosesAreTold) {
  const TestReport report =
      run("tests:\n- interval: 1m\n  input_series:\n  - series: m\n    values: |\n      1\n"
          "  - {series: n, values: 1}\n");
  ASSERT_EQ(report.warnings.size(), 1U);
  EXPECT_TRUE(report.warnings[0].contains("t.yml:4: an empty line")) << report.warnings[0];
}

TEST_F(RuleTestTest, ARuleThatLoopsInATemplateIsToldInItsText) {
  write("r.yml",
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: m\n    annotations:\n"
        "      a: '{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}'\n");
  const TestReport report =
      run("rule_files: [r.yml]\ntests:\n- interval: 1m\n  input_series: [{series: m, values: 1}]\n"
          "  alert_rule_test: [{alertname: A, exp_alerts: []}]\n");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_TRUE(report.failures[0].diff.at(1).contains("error expanding template"))
      << report.failures[0].diff.at(1);
}

std::string many_moments(std::int64_t moments) {
  return "evaluation_interval: 1s\ntests:\n- promql_expr_test: [{expr: m, eval_time: " +
         std::to_string(moments - 1) + "s}]\n";
}
TEST_F(RuleTestTest, AsManyMomentsAsTheLimitAreJudgedAndNotOneMore) {
  EXPECT_TRUE(run(many_moments(limits::rule_test_moments)).failures.empty());
  EXPECT_EQ(run(many_moments(limits::rule_test_moments + 1)).failures.size(), 1U);
}

std::string many_samples(std::size_t samples) {
  return "tests:\n- interval: 1ms\n  input_series: [{series: m, values: 1x" +
         std::to_string(samples - 1) + "}, {series: n, values: _}]\n" +
         "  promql_expr_test: [{expr: other, eval_time: 20000s}]\n";
}
TEST_F(RuleTestTest, AsManySamplesAsTheLimitAreTakenAndNotOneMore) {
  EXPECT_TRUE(run(many_samples(limits::rule_test_samples)).failures.empty());
  const TestReport report = run(many_samples(limits::rule_test_samples + 1));
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].what, "more than 10000000 samples");
}

TEST(RuleTestFile, TellsWhereItIsWrong) {
  const auto said = [](const std::string& text) {
    const auto file = parse_rule_test_file(text, "t.yml");
    return file ? "ok" : file.error().message;
  };
  EXPECT_EQ(said("tests:\n- unknown: 1\n"), "t.yml:2:3: unknown key 'unknown'");
  EXPECT_EQ(said("tests:\n- interval: 5\n").substr(0, 11), "t.yml:2:13:");
  EXPECT_EQ(said("group_eval_order: [a, a]\n"), "t.yml:1:19: the group 'a' is there twice");
  EXPECT_EQ(said("tests: [{promql_expr_test: [{exp_samples: [{value: x}]}]}]\n"),
            "t.yml:1:52: expected a number");
  EXPECT_EQ(said("tests: \xff\n").substr(0, 6), "t.yml:");
  EXPECT_NE(said("tests: \xff\n"), "ok");
  EXPECT_EQ(said("tests: &t [*t]\n").substr(0, 6), "t.yml:");
}

TEST(RuleTestDiff, TellsThatNaNIsEqualToNothing) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const collector::Labels none;
  EXPECT_EQ(
      difference({{none, nan}}, std::vector<NamedValue>{{none, nan}}),
      (Lines{"- {} NaN", "+ {} NaN", "  NaN is equal to nothing: expect a row of `expr != expr`"}));
  EXPECT_TRUE(difference({{none, 0.0}}, std::vector<NamedValue>{{none, -0.0}}).empty());
}

}  // namespace
}  // namespace tallymill::alerting
