// Goal: a rule file is read as Prometheus reads it, or refused with the place of its first fault.
// Method: tables of files (tests/rules/*.cases), which rule_file_differential.py gives to promtool,
// too; what is read from some is compared field by field; limits at them and one above.
#include "alerting/rule_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "alerting/expression.h"
#include "alerting/limits.h"
#include "base/limits.h"
#include "collector/promql/parser.h"
#include "tests/alerting/cases.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

void expect_all(const std::string& cases, const std::string& file, std::size_t least) {
  std::size_t seen = 0;
  for (const Case& one : cases_of(cases)) {
    SCOPED_TRACE(fmt::format("{}:{}: {}", cases, one.line, one.title));
    ++seen;
    const auto groups = parse_rule_file(one.text, file);
    if (one.says == "ok") {
      EXPECT_TRUE(groups) << groups.error().message;
      continue;
    }
    ASSERT_FALSE(groups);
    EXPECT_EQ(groups.error().code, Errc::bad_params);
    EXPECT_TRUE(groups.error().message.starts_with(file + ":" + one.says))
        << groups.error().message;
  }
  EXPECT_GE(seen, least);
}

TEST(RuleFile, IsTakenOrRefusedAsItsCaseSays) { expect_all("prometheus.cases", "f.yml", 220); }
TEST(RuleFile, OurOwnKeysAreTakenOrRefusedAsTheirCaseSays) {
  expect_all("beyond.cases", "f.tm.yml", 45);
}

constexpr const char* whole = R"(groups:
- name: mill
  interval: 15s
  limit: 100
  rules:
  - record: stage:wait_seconds:p99
    expr: histogram_quantile( 0.99,sum  by(le,stage)(rate(wait_bucket[5m])) )
    labels: {tier: "1", stage: 5}
  - alert: Slow
    expr: stage:wait_seconds:p99 > 0.2
    for: 1m
    keep_firing_for: 1h30m
    labels: {severity: page}
    annotations:
      summary: "{{ $labels.stage }} is slow"
      detail: |
        one
        two
- name: other
)";

TEST(RuleFile, HoldsWhatItSays) {
  const auto groups = parse_rule_file(whole, "f.yml");
  ASSERT_TRUE(groups) << groups.error().message;
  ASSERT_EQ(groups->size(), 2u);
  const RuleGroup& mill = groups->front();
  EXPECT_EQ(mill.file, "f.yml");
  EXPECT_EQ(mill.name, "mill");
  EXPECT_EQ(mill.interval, milliseconds(15'000));
  EXPECT_EQ(mill.limit, 100u);
  ASSERT_EQ(mill.rules.size(), 2u);
  const Rule& record = mill.rules[0];
  EXPECT_EQ(record.kind, Rule::Kind::recording);
  EXPECT_EQ(record.name, "stage:wait_seconds:p99");
  EXPECT_EQ(record.expr, "histogram_quantile(0.99, sum by (le, stage) (rate(wait_bucket[5m])))");
  EXPECT_EQ(record.node->type, promql::Type::vector);
  ASSERT_EQ(record.labels.size(), 2u);
  EXPECT_EQ(record.labels[0].name, "stage");  // by name
  EXPECT_EQ(record.labels[0].text, "5");
  EXPECT_EQ(record.line, 6);
  const Rule& alert = mill.rules[1];
  EXPECT_EQ(alert.kind, Rule::Kind::alerting);
  EXPECT_EQ(alert.name, "Slow");
  EXPECT_EQ(alert.hold, milliseconds(60'000));
  EXPECT_EQ(alert.keep_firing, milliseconds(90 * 60'000));
  EXPECT_EQ(alert.no_data, Rule::NoData::keep);
  EXPECT_FALSE(alert.on_arrival);
  EXPECT_EQ(alert.resolve_node, nullptr);
  ASSERT_EQ(alert.annotations.size(), 2u);
  EXPECT_EQ(alert.annotations[0].text, "one\ntwo\n");
  EXPECT_EQ(alert.line, 9);
  EXPECT_EQ(groups->back().interval, milliseconds(0));
  EXPECT_EQ(groups->back().limit, 0u);
  EXPECT_TRUE(groups->back().rules.empty());
}

TEST(RuleFile, OurOwnKeysAreRead) {
  const auto groups = parse_rule_file(
      "groups: [{name: g, rules: [{alert: a, expr: 'b >  5', on_arrival: true, no_data: resolve, "
      "resolve_expr: 'b<3'}]}]",
      "f.tm.yml");
  ASSERT_TRUE(groups) << groups.error().message;
  const Rule& rule = groups->front().rules.front();
  EXPECT_TRUE(rule.on_arrival);
  EXPECT_EQ(rule.no_data, Rule::NoData::resolve);
  EXPECT_EQ(rule.resolve_expr, "b < 3");
  ASSERT_NE(rule.resolve_node, nullptr);
}

Rule first_rule(const std::string& text) {
  const auto groups = parse_rule_file(text, "f.yml");
  EXPECT_TRUE(groups) << groups.error().message;
  return groups && !groups->empty() && !groups->back().rules.empty() ? groups->back().rules.back()
                                                                     : Rule{};
}
std::string labels_of(const Rule& rule) {
  std::string all;
  for (const Templated& label : rule.labels) all += label.name + "=" + label.text + ";";
  return all;
}

TEST(RuleFile, AMergeBringsWhatIsNotSaidItself) {
  const Rule rule = first_rule(
      "groups:\n- name: g\n  rules:\n"
      "  - {alert: a, expr: up, labels: &l {x: one, y: one, w: one}}\n"
      "  - {alert: a, expr: up, labels: &m {x: two, z: two, w: two}}\n"
      "  - {alert: a, expr: up, labels: {w: own, <<: [*l, *m]}}\n");
  EXPECT_EQ(labels_of(rule), "w=own;x=one;y=one;z=two;");
}

TEST(RuleFile, AnAliasIsWhatItNames) {
  const Rule rule = first_rule(
      "groups:\n- name: g\n  rules:\n"
      "  - {alert: &n first, expr: &e up == 0}\n  - {alert: *n , expr: *e }\n");
  EXPECT_EQ(rule.name, "first");
  EXPECT_EQ(rule.expr, "up == 0");
}

TEST(RuleFile, ValuesOfLabelsAreTextsAsTheyWereWritten) {
  const Rule rule = first_rule(
      "groups:\n- name: g\n  rules:\n  - alert: a\n    expr: up\n"
      "    labels: {a: 1.50, b: yes, c: ~, d: 0x1f, e: 2001-01-01, f: \"\\u00e9\", ~: g}\n");
  EXPECT_EQ(labels_of(rule), "a=1.50;b=yes;c=;d=0x1f;e=2001-01-01;f=é;");
}

TEST(RuleFile, ARuleThatIsThereTwiceIsTakenAndToldOf) {
  const auto groups = parse_rule_file(
      "groups:\n- name: g\n  rules:\n  - {record: a, expr: b, labels: {x: y}}\n"
      "- name: h\n  rules:\n  - {record: a, expr: c, labels: {x: y}}\n"
      "  - {record: a, expr: c, labels: {x: z}}\n  - {alert: a, expr: c, labels: {x: z}}\n",
      "f.yml");
  ASSERT_TRUE(groups);
  const auto told = repeated_rules(*groups);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0], "f.yml:7: 'a' has the name and labels of the rule in line 4");
  EXPECT_EQ(told[1], "f.yml:9: 'a' has the name and labels of the rule in line 8");
}

// ---- limits ----

TEST(RuleFileLimits, AFileOfTheLargestSizeIsReadAndOneByteMoreIsNot) {
  std::string text;
  for (int i = 0; text.size() + 100'100 < limits::rule_file_bytes; ++i)
    text += fmt::format("# {}\n{}", std::string(99'000, '#'),
                        i == 0 ? "groups:\n" : fmt::format("- name: g{}\n", i));
  text.resize(limits::rule_file_bytes, '\n');
  EXPECT_TRUE(parse_rule_file(text, "f.yml"));
  const auto more = parse_rule_file(text + "\n", "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

std::string file_of(std::size_t groups) {
  std::string text = "groups:\n";
  for (std::size_t i = 0; i < groups; ++i) text += fmt::format("- {{name: g{}}}\n", i);
  return text;
}
std::string file_of_rules(std::size_t rules) {
  std::string text = "groups:\n- name: g\n  rules:\n";
  for (std::size_t i = 0; i < rules; ++i) text += "  - {alert: a, expr: b}\n";
  return text;
}

TEST(RuleFileLimits, SoManyRulesAreReadAndOneMoreIsNot) {
  EXPECT_TRUE(parse_rule_file(file_of_rules(limits::rules), "f.yml"));
  const auto more = parse_rule_file(file_of_rules(limits::rules + 1), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
  EXPECT_EQ(more.error().message,
            fmt::format("f.yml:{}:5: more than {} rules", limits::rules + 4, limits::rules));
}

// An expression of so many `a`: each is a selector and its matcher, and one operator less.
std::string sum_of(std::size_t count) {
  std::string text = "a";
  for (std::size_t i = 1; i < count; ++i) text += "+a";
  return text;
}
std::string rules_with(const std::string& expr, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "  - {alert: a, expr: '" + expr + "'}\n";
  return text;
}
const std::string head_of_rules = "groups:\n- name: g\n  rules:\n";

TEST(RuleFileLimits, ExpressionsOfAllRulesHoldSoMuchAndNoMore) {
  // 333 of 3,002 and 167 of 2 are a million.
  ASSERT_EQ(limits::rule_nodes, 1'000'000U);
  const std::string most = head_of_rules + rules_with(sum_of(1'001), 333) + rules_with("a", 167);
  const auto taken = parse_rule_file(most, "f.yml");
  EXPECT_TRUE(taken) << taken.error().message;
  const auto more = parse_rule_file(most + rules_with("a", 1), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
  EXPECT_TRUE(more.error().message.starts_with("f.yml:504:22: expressions and templates of all"))
      << more.error().message;
}

TEST(RuleFileLimits, TemplatesAreCountedWithTheExpressions) {
  std::string text = "{{.}}";
  while (text.size() + 5 <= limits::template_bytes) text += "{{.}}";
  const std::size_t each = Template::parse(text)->nodes() + 2;
  EXPECT_GT(each, 4 * text.size() / 5) << "an action is four";
  const auto file = [&](std::size_t count) {
    std::string all = head_of_rules;
    for (std::size_t i = 0; i < count; ++i)
      all += "  - {alert: a, expr: a, annotations: {t: '" + text + "'}}\n";
    return all;
  };
  EXPECT_TRUE(parse_rule_file(file(limits::rule_nodes / each), "f.yml"));
  const auto more = parse_rule_file(file(limits::rule_nodes / each + 1), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(RuleFileLimits, RegularExpressionsOfAllRulesHoldSoMuchAndNoMore) {
  const std::string expr = "a{b=~\".{900}.{900}\"}";
  const auto each = static_cast<std::size_t>(size_of(**promql::parse(expr)).program);
  ASSERT_GT(each, 1'800U);
  const std::size_t most = static_cast<std::size_t>(limits::rule_program) / each;
  EXPECT_TRUE(parse_rule_file(head_of_rules + rules_with(expr, most), "f.yml"));
  const auto more = parse_rule_file(head_of_rules + rules_with(expr, most + 1), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
  EXPECT_TRUE(more.error().message.ends_with("the regular expressions of all rules are too large"))
      << more.error().message;
}

TEST(RuleFileLimits, OneExpressionHasSoManyOperatorsAndBytesAndNoMore) {
  const auto file = [](const std::string& expr) { return head_of_rules + rules_with(expr, 1); };
  EXPECT_TRUE(parse_rule_file(file(sum_of(limits::query_operators + 1)), "f.yml"));
  const auto more = parse_rule_file(file(sum_of(limits::query_operators + 2)), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_TRUE(more.error().message.ends_with("too many operators")) << more.error().message;
  const auto named = [&](std::int64_t bytes) {
    return file(std::string(static_cast<std::size_t>(bytes), 'a'));
  };
  EXPECT_TRUE(parse_rule_file(named(limits::query_bytes.raw()), "f.yml"));
  EXPECT_FALSE(parse_rule_file(named(limits::query_bytes.raw() + 1), "f.yml"));
}

TEST(RuleFileLimits, SoManyGroupsAreReadAndOneMoreIsNot) {
  EXPECT_TRUE(parse_rule_file(file_of(limits::rule_groups), "f.yml"));
  const auto more = parse_rule_file(file_of(limits::rule_groups + 1), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(RuleFileLimits, MoreValuesThanAFileMayHaveAreNotKept) {
  // The map, its key and the list are three.
  std::string text = "groups: [";
  for (std::size_t i = 0; i < limits::yaml_nodes - 3; ++i) text += "~,";
  EXPECT_TRUE(parse_rule_file(text + "]", "f.yml"));
  const auto more = parse_rule_file(text + "~]", "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(RuleFileLimits, WhatAliasesRepeatIsCounted) {
  const auto file = [](std::size_t bytes) {
    std::string text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: up, labels: &l {x: " +
                       std::string(bytes, 'x') + "}}\n";
    for (int i = 0; i < 99; ++i) text += "  - {record: a, expr: up, labels: *l }\n";
    return text;
  };
  EXPECT_TRUE(parse_rule_file(file(80'000), "f.yml"));
  const auto more = parse_rule_file(file(100'000), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(RuleFileLimits, MergesAreFollowedSoDeepAndNoDeeper) {
  const auto file = [](int depth) {
    std::string labels = "{a: b}";
    for (int i = 0; i < depth; ++i) labels = "{<<: " + labels + "}";
    return "groups: [{name: g, rules: [{alert: a, expr: up, labels: " + labels + "}]}]";
  };
  EXPECT_TRUE(parse_rule_file(file(limits::yaml_merge_depth), "f.yml"));
  const auto more = parse_rule_file(file(limits::yaml_merge_depth + 1), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(RuleFileLimits, MergesThatDoubleEndSoon) {
  std::string text =
      "groups: [{name: g, rules: [{alert: a, expr: up, labels: &l0 {a: b}}, {alert: a, expr: up, "
      "labels: ";
  std::string labels = "*l0 ";
  for (int i = 0; i < limits::yaml_merge_depth; ++i)
    labels = fmt::format("{{<<: [&x{0} {1}, *x{0} , *x{0} , *x{0} , *x{0} ]}}", i,
                         i == 0 ? "{a: b}" : labels);
  const auto more = parse_rule_file(text + labels + "}]}]", "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST(RuleFileLimits, WhatStandsFarBehindTheLastValueIsNotReadAndTheFileIsRefused) {
  const auto file = [](std::size_t bytes) {
    return "groups:\n" + std::string(bytes, '\n') + "- name: g\n";
  };
  const auto groups = parse_rule_file(file(limits::yaml_lookahead - 100), "f.yml");
  ASSERT_TRUE(groups) << groups.error().message;
  EXPECT_EQ(groups->size(), 1u);
  // It is read a few thousand bytes at a time.
  const auto more = parse_rule_file(file(limits::yaml_lookahead + 10'000), "f.yml");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
  EXPECT_TRUE(more.error().message.starts_with("f.yml:1:1: more than 262144 bytes behind this"))
      << more.error().message;
  // Behind the end of the document nothing matters.
  EXPECT_TRUE(parse_rule_file("groups: []\n...\n" + std::string(1'000'000, '\n'), "f.yml"));
}

TEST(RuleFileLimits, BracketsInBracketsAreNotReadToTheEnd) {
  for (const char* piece : {"[", "{", "[\n", "{a: [", "[[]]"}) {
    std::string text = "groups: ";
    while (text.size() + 10 < limits::rule_file_bytes) text += piece;
    EXPECT_FALSE(parse_rule_file(text, "f.yml")) << piece;
  }
}

TEST(RuleFileLimits, DeepNestingIsRefused) {
  const auto groups =
      parse_rule_file("groups: " + std::string(100'000, '[') + std::string(100'000, ']'), "f.yml");
  EXPECT_FALSE(groups);
}

TEST(RuleFileLimits, ALongChainOfAliasesIsFreedWithoutRecursion) {
  std::string text = "groups: [&a0 [~]";
  for (int i = 1; i < 200'000; ++i) text += fmt::format(", &a{} [*a{} ]", i, i - 1);
  EXPECT_FALSE(parse_rule_file(text + "]", "f.yml"));
}

// ---- files ----

class RuleFiles : public testing::Test {
 protected:
  RuleFiles() {
    std::string name = testing::TempDir() + "rules_XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~RuleFiles() override { std::filesystem::remove_all(folder_); }
  std::string put(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  std::string group(const std::string& name) { return "groups: [{name: " + name + "}]"; }
  std::filesystem::path folder_;
};

TEST_F(RuleFiles, ThoseThatPatternsMatchAreReadOnceInTheOrderOfTheirNames) {
  put("b.yml", group("b"));
  put("a.yml", group("a"));
  put("c.yaml", group("c"));
  put(".hidden.yml", "}");
  const std::string patterns[] = {folder_ / "[bc].y*ml", folder_ / "?.yml", folder_ / "b.yml",
                                  folder_ / "no*"};
  const auto groups = read_rule_files(patterns);
  ASSERT_TRUE(groups) << groups.error().message;
  ASSERT_EQ(groups->size(), 3u);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ((*groups)[static_cast<std::size_t>(i)].name,
              std::string(1, static_cast<char>('a' + i)));
  EXPECT_EQ(groups->front().file, folder_ / "a.yml");
}

TEST_F(RuleFiles, AFileThatIsNotThereIsAnErrorAndAPatternThatMatchesNoneIsNot) {
  const std::string missing[] = {folder_ / "none.yml"};
  const auto groups = read_rule_files(missing);
  ASSERT_FALSE(groups);
  EXPECT_EQ(groups.error().code, Errc::not_found);
  EXPECT_EQ(groups.error().message, "cannot read " + missing[0]);
  const std::string pattern[] = {folder_ / "none*.yml"};
  EXPECT_TRUE(read_rule_files(pattern)->empty());
  const std::string itself[] = {folder_};
  EXPECT_FALSE(read_rule_files(itself));
}

TEST_F(RuleFiles, OneBadFileRefusesAll) {
  put("a.yml", group("a"));
  put("b.yml", "groups:\n- name: g\n  rules:\n  - alert: x\n");
  const std::string patterns[] = {folder_ / "*.yml"};
  const auto groups = read_rule_files(patterns);
  ASSERT_FALSE(groups);
  EXPECT_EQ(groups.error().message, (folder_ / "b.yml").string() + ":4:5: a rule needs an 'expr'");
}

TEST_F(RuleFiles, GroupsOfTheSameNameInTwoFilesAreTwo) {
  put("a.yml", group("g"));
  put("b.yml", group("g"));
  const std::string patterns[] = {folder_ / "*.yml"};
  EXPECT_EQ(read_rule_files(patterns)->size(), 2u);
}

TEST_F(RuleFiles, SoManyFilesAreReadAndOneMoreIsNot) {
  for (std::size_t i = 0; i < limits::rule_files; ++i) put(fmt::format("{}.yml", i), "");
  const std::string patterns[] = {folder_ / "*.yml"};
  EXPECT_TRUE(read_rule_files(patterns));
  put("more.yml", "");
  const auto more = read_rule_files(patterns);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST_F(RuleFiles, ExpressionsOfAllFilesTogetherAreCounted) {
  for (int i = 0; i < 9; ++i)
    put(fmt::format("{}.yml", i), head_of_rules + rules_with(sum_of(1'001), 37));
  const std::string patterns[] = {folder_ / "*.yml"};
  EXPECT_TRUE(read_rule_files(patterns));
  put("more.yml", head_of_rules + rules_with(sum_of(1'001), 37));
  const auto more = read_rule_files(patterns);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST_F(RuleFiles, RulesOfAllFilesTogetherAreCounted) {
  put("a.yml", file_of_rules(limits::rules - 1));
  put("b.yml", file_of_rules(1));
  const std::string patterns[] = {folder_ / "*.yml"};
  EXPECT_TRUE(read_rule_files(patterns));
  put("c.yml", file_of_rules(1));
  const auto more = read_rule_files(patterns);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

}  // namespace
}  // namespace tallymill::alerting
