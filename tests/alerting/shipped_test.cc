// Shipped rules. Goal: each of them fires when it should and is silent otherwise, as Prometheus
// judges it; of scaled ones the times change and nothing else. Method: promtool runs
// tests/rules/shipped_test.yml on the converted rules; rules are scaled and printed.
#include "alerting/shipped.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "alerting/convert.h"
#include "alerting/limits.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

constexpr const char* test_file = TALLYMILL_SOURCE_DIR "/tests/rules/shipped_test.yml";

std::vector<RuleGroup> all(int percent = 100) {
  auto groups = shipped_rules(percent);
  EXPECT_TRUE(groups) << groups.error().message;
  return groups ? std::move(*groups) : std::vector<RuleGroup>();
}

std::set<std::string> alerts() {
  std::set<std::string> names;
  for (const RuleGroup& group : all())
    for (const Rule& rule : group.rules)
      if (rule.kind == Rule::Kind::alerting) names.insert(rule.name);
  return names;
}

RuleGroup scaled_of(const std::string& rules, int percent) {
  auto groups =
      parse_rule_file("groups:\n- name: g\n  interval: 15s\n  rules:\n" + rules, "f.tm.yml");
  EXPECT_TRUE(groups) << groups.error().message;
  return scaled(std::move(groups->front()), percent);
}

std::string scaled_expr(const std::string& expr, int percent) {
  return scaled_of("  - {alert: a, expr: '" + expr + "'}\n", percent).rules.front().expr;
}

// What it printed, and how it ended.
std::pair<int, std::string> run(const std::string& command) {
  // NOLINTNEXTLINE(bugprone-command-processor): the words are this test's own
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string said;
  std::array<char, 4096> piece;
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) said += piece.data();
  return {::pclose(pipe), said};
}

class Folder {
 public:
  Folder() {
    std::string made = (std::filesystem::temp_directory_path() / "tallymill-XXXXXX").string();
    path_ = ::mkdtemp(made.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

TEST(Shipped, PromtoolTakesThemAndItsUnitTestsPass) {
  const Folder folder;
  std::ofstream(folder / "shipped.yml") << to_prometheus(all()).yaml;
  std::filesystem::copy(test_file, folder / "shipped_test.yml");
  const auto [ended, said] = run("promtool test rules " + (folder / "shipped_test.yml").string());
  EXPECT_EQ(ended, 0) << said;
  const auto checked = run("promtool check rules " + (folder / "shipped.yml").string());
  EXPECT_EQ(checked.first, 0) << checked.second;
}

TEST(Shipped, EachHasAMomentAtWhichItFiresAndOneAtWhichItIsSilent) {
  std::set<std::string> fires;
  std::set<std::string> silent;
  const YAML::Node tests = YAML::LoadFile(test_file)["tests"];
  for (const auto& test : tests) {
    const YAML::Node asked = test["promql_expr_test"];
    for (const auto& one : asked) {
      const auto expr = one["expr"].as<std::string>();
      for (const std::string& name : alerts())
        if (expr.find("alertname=\"" + name + "\"") != std::string::npos)
          (one["exp_samples"].size() == 0 ? silent : fires).insert(name);
    }
  }
  EXPECT_EQ(fires, alerts());
  EXPECT_EQ(silent, alerts());
}

TEST(Shipped, EachSaysWhatIsWrongHowMuchAndWhatToDo) {
  for (const RuleGroup& group : all()) {
    EXPECT_EQ(group.file, shipped_name);
    for (const Rule& rule : group.rules) {
      if (rule.kind != Rule::Kind::alerting) continue;
      std::set<std::string> said;
      for (const Templated& one : rule.annotations) said.insert(one.name);
      EXPECT_EQ(said, (std::set<std::string>{"description", "summary", "todo"})) << rule.name;
      EXPECT_EQ(std::ranges::count(rule.labels, "severity", &Templated::name), 1) << rule.name;
    }
  }
}

TEST(Shipped, AsOneFileTheyAreTheSameRules) {
  const auto read = parse_rule_file(shipped_text(), "one.tm.yml");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(to_prometheus(*read).yaml, to_prometheus(all()).yaml);
}

TEST(Shipped, NamesOfGroupsAndAlertsAreDistinct) {
  std::set<std::string> groups;
  for (const RuleGroup& group : all()) EXPECT_TRUE(groups.insert(group.name).second) << group.name;
  EXPECT_TRUE(repeated_rules(all()).empty());
}

TEST(Scaled, RangesOfSelectorsAndSubqueriesAndTheirSteps) {
  EXPECT_EQ(scaled_expr("rate(a[5m]) > 0.5", 10), "rate(a[30s]) > 0.5");
  EXPECT_EQ(scaled_expr("max_over_time(rate(a[5m])[1h:1m]) > 300", 10),
            "max_over_time(rate(a[30s])[6m:6s]) > 300");
  EXPECT_EQ(scaled_expr("sum by (a) (topk(2, -increase(a[1h]))) / (delta(b[2h]))", 50),
            "sum by (a) (topk(2, -increase(a[30m]))) / (delta(b[1h]))");
  EXPECT_EQ(scaled_expr("rate(a[5m])", 200), "rate(a[10m])");
}

TEST(Scaled, NoThresholdNoOffsetAndNoLabel) {
  for (const char* expr : {"a > 300", "a offset 5m > 60", "a{long=\"5m\"} @ 300 == 0"})
    EXPECT_EQ(scaled_expr(expr, 10), scaled_expr(expr, 100));
}

TEST(Scaled, TimesOfARuleAndItsGroup) {
  const RuleGroup group = scaled_of(
      "  - {alert: a, expr: 'rate(a[5m]) > 1', resolve_expr: 'rate(a[10m]) < 1', for: 1m,\n"
      "     keep_firing_for: 10m}\n",
      10);
  const Rule& rule = group.rules.front();
  EXPECT_EQ(group.interval, milliseconds(1500));
  EXPECT_EQ(rule.hold, milliseconds(6000));
  EXPECT_EQ(rule.keep_firing, milliseconds(60'000));
  EXPECT_EQ(rule.resolve_expr, "rate(a[1m]) < 1");
}

TEST(Scaled, NothingBecomesShorterThanItsLeast) {
  EXPECT_EQ(scaled_expr("rate(a[5m])", 9), "rate(a[27s])");
  EXPECT_EQ(scaled_expr("rate(a[5m])", 8), "rate(a[25s])");
  EXPECT_EQ(scaled_expr("rate(a[20s])", 1), "rate(a[20s])");
  EXPECT_EQ(scaled_of("  - {alert: a, expr: a}\n", 1).interval, limits::scaled_interval_least);
}

TEST(Scaled, HundredPercentIsWhatIsWritten) {
  const auto plain = all();
  const auto scaled_groups = all(100);
  ASSERT_EQ(plain.size(), scaled_groups.size());
  EXPECT_EQ(to_prometheus(plain).yaml, to_prometheus(scaled_groups).yaml);
}

TEST(Scaled, TheShippedRulesKeepTheirThresholds) {
  // What a rule compares with is behind its last comparison; all of it must be as it was.
  const auto plain = all();
  const auto fast = all(2);
  for (std::size_t g = 0; g < plain.size(); ++g) {
    for (std::size_t r = 0; r < plain[g].rules.size(); ++r) {
      const std::string& a = plain[g].rules[r].expr;
      const std::string& b = fast[g].rules[r].expr;
      EXPECT_EQ(a.substr(a.rfind(']') + 1), b.substr(b.rfind(']') + 1));
    }
  }
}

}  // namespace
}  // namespace tallymill::alerting
