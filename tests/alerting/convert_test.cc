// Goal: rules written as Prometheus' own file are the same rules, and what was left out is told.
// Method: files are converted and read back; texts of every kind of character survive. What
// promtool says of converted files: rule_file_differential.py.
#include "alerting/convert.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/alerting/cases.h"

namespace tallymill::alerting {
namespace {

std::vector<RuleGroup> groups_of(std::string_view text, std::string_view name = "f.tm.yml") {
  auto groups = parse_rule_file(text, name);
  EXPECT_TRUE(groups) << groups.error().message << "\n" << text;
  return groups ? std::move(*groups) : std::vector<RuleGroup>();
}

TEST(Convert, WritesPlainRules) {
  const Converted made = to_prometheus(groups_of(R"(groups:
- name: it's
  interval: 90s
  limit: 5
  rules:
  - record: a:b
    expr: sum  (a)
  - alert: Slow
    threshold: {gauge: wait_seconds, where: {stage: image}, above: 200ms, clear_below: 100ms}
    for: 1m
    keep_firing_for: 2h
    labels: {severity: page}
    annotations: {summary: "{{ $value }} is \"slow\"\n"}
    no_data: fire
- name: empty
)"));
  EXPECT_EQ(made.yaml, R"(groups:
- name: 'it''s'
  interval: 1m30s
  limit: 5
  rules:
  - record: 'a:b'
    expr: 'sum(a)'
  - alert: 'Slow'
    expr: 'wait_seconds{stage="image"} > 0.2'
    for: 1m
    keep_firing_for: 2h
    labels:
      'severity': 'page'
    annotations:
      'summary': "{{ $value }} is \"slow\"\n"
- name: 'empty'
  rules: []
)");
  ASSERT_EQ(made.warnings.size(), 3u);
  EXPECT_TRUE(made.warnings[0].starts_with("f.tm.yml:8: 'Slow': resolve_expr is left out: "));
  EXPECT_TRUE(made.warnings[1].starts_with("f.tm.yml:8: 'Slow': no_data is left out: "));
  EXPECT_TRUE(made.warnings[2].starts_with("f.tm.yml:8: 'Slow': on_arrival is left out: "));
}

TEST(Convert, OfNothingIsAFileWithoutGroups) { EXPECT_EQ(to_prometheus({}).yaml, "groups: []\n"); }

TEST(Convert, WhatIsReadBackIsTheSame) {
  std::size_t files = 0;
  for (const char* cases : {"prometheus.cases", "beyond.cases"}) {
    for (const Case& one : cases_of(cases)) {
      if (one.says != "ok") continue;
      const Converted made = to_prometheus(groups_of(one.text));
      const Converted again = to_prometheus(groups_of(made.yaml, "plain.yml"));
      EXPECT_EQ(made.yaml, again.yaml) << one.title;
      EXPECT_TRUE(again.warnings.empty()) << one.title;
      ++files;
    }
  }
  EXPECT_GT(files, 100u);
}

TEST(Convert, ATextOfAnyCharactersIsReadBackAsItIs) {
  std::string all;
  for (char c = 0; c < 0x7f; ++c) all += c;
  const std::string texts[] = {"",
                               " ",
                               "~",
                               "null",
                               "'",
                               "\"",
                               "\\",
                               "# no",
                               "a: b",
                               "- a",
                               "\n",
                               "a\n\nb\n",
                               " a ",
                               "\t",
                               all,
                               "\x7f",
                               "\u0080\u0085\u009f\u00a0",
                               "\u2028\u2029",
                               "\ufeff",
                               "\ufffe\uffff",
                               "é☂😀",
                               "{{ $x }}",
                               "yes",
                               "1e5",
                               "%a",
                               "---",
                               "...",
                               "a\n---\nb\n...\n%c\n"};
  for (const std::string& text : texts) {
    const auto groups = groups_of(
        fmt::format("groups: [{{name: g, rules: [{{record: a, expr: b, labels: {{c: {}}}}}]}}]",
                    yaml_quoted(text)),
        "f.yml");
    ASSERT_EQ(groups.size(), 1u) << yaml_quoted(text);
    EXPECT_EQ(groups[0].rules[0].labels[0].text, text) << yaml_quoted(text);
  }
}

}  // namespace
}  // namespace tallymill::alerting
