// The parser. Goal: what Prometheus 2.42 takes is taken, means the same and can be written back;
// what it refuses is refused, with its place. Method: tables of queries.
#include "collector/promql/parser.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/limits.h"
#include "collector/promql/lexer.h"
#include "collector/promql/print.h"

namespace tallymill::promql {
namespace {

// What a query is read as, written back with a bracket around each operation.
std::string tree(const Node& node);
std::string tree_of(const Binary& binary) {
  return fmt::format("({} {} {})", tree(*binary.left), name_of(binary.op), tree(*binary.right));
}
std::string tree(const Node& node) {
  if (const auto* binary = std::get_if<Binary>(&node.is)) return tree_of(*binary);
  if (const auto* negation = std::get_if<Signed>(&node.is))
    return (negation->minus ? "(-" : "(+") + tree(*negation->of) + ")";
  if (const auto* paren = std::get_if<Paren>(&node.is)) return tree(*paren->of);
  return text(node);
}
std::string read(std::string_view query) {
  const auto node = parse(query);
  return node ? text(**node) : "error: " + node.error().message;
}

TEST(Parse, WritesBackWhatItRead) {
  const std::pair<const char*, const char*> rows[] = {
      {"1", "1"},
      {"0x1f", "31"},
      {"010", "8"},
      {".5e1", "5"},
      {"1e300", "1e+300"},
      {"999999", "999999"},
      {"1000000", "1e+06"},
      {"0.0001", "0.0001"},
      {"0.00001", "1e-05"},
      {"\"\\t\\x00\\xff\\u2028\"", R"("\t\x00\xff\u2028")"},
      {"+foo", "+foo"},
      {"foo + on () 1", "foo + 1"},
      {"Inf", "+Inf"},
      {"-iNf", "-Inf"},
      {"NaN", "NaN"},
      {"+1", "1"},
      {"+(1)", "+(1)"},
      {"-1", "-1"},
      {"\"a\\u00e9\\n\"", "\"a\xc3\xa9\\n\""},
      {"'it''s'", nullptr},
      {"`a\\n`", R"("a\\n")"},
      {"foo", "foo"},
      {"foo:bar", "foo:bar"},
      {":x", ":x"},
      {"sum", "sum"},
      {"by", "by"},
      {"start", "start"},
      {"offset", "offset"},
      {"foo{}", "foo"},
      {"foo{a=\"b\",}", "foo{a=\"b\"}"},
      {"{__name__=\"foo\"}", "{__name__=\"foo\"}"},
      {"{a=\"b\", __name__=~\"foo\", Z=\"1\"}", "{Z=\"1\",__name__=~\"foo\",a=\"b\"}"},
      {"{__name__=\"bool\"}", "{__name__=\"bool\"}"},
      {"{__name__=\"a b\"}", "{__name__=\"a b\"}"},
      {"{by=~\"x.*\", c!=\"\"}", "{by=~\"x.*\",c!=\"\"}"},
      {"foo[5m]", "foo[5m]"},
      {"foo[1h30m]", "foo[1h30m]"},
      {"foo[90m]", "foo[1h30m]"},
      {"foo[8d]", "foo[8d]"},
      {"foo[7d]", "foo[1w]"},
      {"foo[1500ms]", "foo[1s500ms]"},
      {"foo offset 5m", "foo offset 5m"},
      {"foo offset -5m", "foo offset -5m"},
      {"foo[5m] offset 1h @ 10", "foo[5m] @ 10.000 offset 1h"},
      {"foo @ end() offset 1m", "foo @ end() offset 1m"},
      {"foo @ -1.5", "foo @ -1.500"},
      {"foo[5m:1m]", "foo[5m:1m]"},
      {"rate(foo[5m])[1h:] offset 1m", "rate(foo[5m])[1h:] offset 1m"},
      {"sum(foo)", "sum(foo)"},
      {"sum by (a, by) (foo)", "sum by (a, by) (foo)"},
      {"sum (foo) without (a,)", "sum without (a) (foo)"},
      {"SUM BY () (foo)", "sum(foo)"},
      {"topk(5, foo)", "topk(5, foo)"},
      {"count_values(\"v\", foo)", "count_values(\"v\", foo)"},
      {"a + on (x) group_left (y) b", "a + on (x) group_left (y) b"},
      {"a AND ignoring (x) b", "a and ignoring (x) b"},
      {"a == bool b", "a == bool b"},
      {"1 > bool 2", "1 > bool 2"},
      {"hour()", "hour()"},
      {"round(foo, 5)", "round(foo, 5)"},
      {"label_join(foo, \"a\", \",\")", "label_join(foo, \"a\", \",\")"},
      {"foo # a remark\n + # and more\n bar", "foo + bar"},
  };
  for (const auto& [query, wanted] : rows) {
    if (wanted == nullptr) {
      EXPECT_FALSE(parse(query)) << query;
      continue;
    }
    EXPECT_EQ(read(query), wanted) << query;
    EXPECT_EQ(read(wanted), wanted) << query;
  }
}

TEST(Parse, BindsAsPrometheusDoes) {
  const std::pair<const char*, const char*> rows[] = {
      {"a + b * c", "(a + (b * c))"},
      {"a * b + c", "((a * b) + c)"},
      {"a - b - c", "((a - b) - c)"},
      {"a ^ b ^ c", "(a ^ (b ^ c))"},
      {"-a ^ b", "(-(a ^ b))"},
      {"-1 ^ 2", "(-(1 ^ 2))"},
      {"-a * b", "((-a) * b)"},
      {"2 ^ -a * b", "((2 ^ (-a)) * b)"},
      {"- - a", "(-(-a))"},
      {"a or b and c", "(a or (b and c))"},
      {"a unless b or c", "((a unless b) or c)"},
      {"a == b + c", "(a == (b + c))"},
      {"a + b offset 5m", "(a + b offset 5m)"},
      {"a % b atan2 c", "((a % b) atan2 c)"},
      {"(a + b) * c", "((a + b) * c)"},
  };
  for (const auto& [query, wanted] : rows) {
    const auto node = parse(query);
    ASSERT_TRUE(node) << query << node.error().message;
    EXPECT_EQ(tree(**node), wanted) << query;
  }
}

TEST(Parse, RefusesWithTheErrorsPlace) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "1:1: parse error: no expression found in input"},
      {"# nothing", "1:10: parse error: no expression found in input"},
      {"1 +", "1:4: parse error: unexpected end of input"},
      {"a\n+ )", "2:3: parse error: unexpected \")\""},
      {"(1", "1:3: parse error: unexpected end of input in paren expression"},
      {"1 2", "1:3: parse error: unexpected \"2\""},
      {"foo{", "1:5: parse error: unexpected end of input in label matching, expected label name"},
      {"foo{a}",
       "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator"},
      {"foo{a=b}", "1:7: parse error: unexpected \"b\" in label matching, expected string"},
      {"foo{a=~\"(\"}", nullptr},
      {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
      {"{a=\"\"}", nullptr},
      {"{a=~\".*\"}", nullptr},
      {"{a!=\"b\"}", nullptr},
      {"foo{__name__=\"bar\"}", nullptr},
      {"foo[5m", nullptr},
      {"foo[0s]", "1:5: parse error: duration must be greater than 0"},
      {"foo[5]", nullptr},
      {"foo[5m1h]", nullptr},
      {"foo[5mm]", nullptr},
      {"foo[5m][5m]", nullptr},
      {"foo[5m:]:", nullptr},
      {"foo offset 5m[5m]", nullptr},
      {"foo offset 5m offset 5m", nullptr},
      {"foo @ 1 @ 2", nullptr},
      {"foo @ Inf", nullptr},
      {"1 offset 5m", nullptr},
      {"sum(foo) offset 5m", nullptr},
      {"1[5m:]", nullptr},
      {"foo[5m] + 1", nullptr},
      {"\"a\" + 1", nullptr},
      {"1 == 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
      {"1 + bool 2", nullptr},
      {"1 and foo", nullptr},
      {"foo + on (a) 1", nullptr},
      {"a and on (x) group_left b", nullptr},
      {"a + on (x) group_left (x) b", nullptr},
      {"-\"a\"", nullptr},
      {"-foo[5m]", nullptr},
      {"nothing(foo)", "1:1: parse error: unknown function with name \"nothing\""},
      {"rate(foo)", nullptr},
      {"rate(foo[5m],)", nullptr},
      {"rate()", nullptr},
      {"hour(a, b)", nullptr},
      {"time(1)", nullptr},
      {"label_join(foo, \"a\")", nullptr},
      {"sum()", nullptr},
      {"sum(a, b)", nullptr},
      {"topk(foo)", nullptr},
      {"topk(\"a\", foo)", nullptr},
      {"sum(1)", nullptr},
      {"sum by (a:b) (foo)", nullptr},
      {"sum by (a foo)", nullptr},
      {"\"abc", "1:1: parse error: unterminated quoted string"},
      {"\"a\nb\"", nullptr},
      {"\"\\q\"", nullptr},
      {"\"\\ud800\"", nullptr},
      {"1a", nullptr},
      {"0xg", nullptr},
      {"1e999", nullptr},
      {"foo $ bar", "1:5: parse error: unexpected character: '$'"},
      {"bool", nullptr},
      {"on", nullptr},
  };
  for (const auto& [query, wanted] : rows) {
    const auto node = parse(query);
    ASSERT_FALSE(node) << query << " is read as " << text(**node);
    EXPECT_EQ(node.error().code, Errc::bad_params);
    EXPECT_NE(node.error().message.find("parse error: "), std::string::npos) << query;
    if (wanted != nullptr) {
      EXPECT_EQ(node.error().message, wanted) << query;
    }
  }
}

TEST(Parse, AQueryIsAsLongAndAsDeepAsItMayAndNotMore) {
  const auto most = static_cast<std::size_t>(limits::query_bytes.raw());
  EXPECT_TRUE(parse("1" + std::string(most - 1, ' ')));
  EXPECT_FALSE(parse("1" + std::string(most, ' ')));
  const auto deep = [](int depth) {
    const auto n = static_cast<std::size_t>(depth);
    return std::string(n, '(') + "1" + std::string(n, ')');
  };
  EXPECT_TRUE(parse(deep(limits::query_depth - 1)));
  EXPECT_FALSE(parse(deep(limits::query_depth)));
  const auto chain = [](int operators) {
    std::string query = "1";
    for (int i = 0; i < operators; ++i) query += "+1";
    return query;
  };
  EXPECT_TRUE(parse(chain(limits::query_operators)));
  EXPECT_FALSE(parse(chain(limits::query_operators + 1)));
  EXPECT_FALSE(parse(chain(30'000)));
  EXPECT_FALSE(parse(std::string(60'000, '-') + "1"));
  EXPECT_FALSE(parse(std::string(60'000, '(')));
}

TEST(ParseSelector, TakesASelectorAlone) {
  const auto matchers = parse_selector("up{a!=\"b\"}");
  ASSERT_TRUE(matchers);
  EXPECT_EQ(matchers->size(), 2U);
  for (const char* none : {"up[5m]", "up offset 1m", "up @ 1", "sum(up)", "1", "up +", ""})
    EXPECT_FALSE(parse_selector(none)) << none;
}

TEST(Parse, RegularExpressionsAreTogetherAsLargeAsTheyMayBeAndNotLarger) {
  const std::int64_t one = Matcher::of(Matcher::Kind::matches, "a", ".{999}")->program();
  std::string query = "m";
  for (std::int64_t i = 0; i < limits::query_program / one; ++i) query += R"( or m{a=~".{999}"})";
  EXPECT_TRUE(parse(query)) << read(query);
  query += R"( or m{a!~".{999}"})";
  EXPECT_TRUE(read(query).contains("the regular expressions are too large")) << read(query);
}

}  // namespace
}  // namespace tallymill::promql
