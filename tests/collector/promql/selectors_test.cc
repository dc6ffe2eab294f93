// Goal: every selector of an expression is found, wherever it stands. Method: a table.
#include "collector/promql/selectors.h"

#include <gtest/gtest.h>

#include <string>

#include "collector/promql/parser.h"

namespace tallymill::promql {
namespace {

std::string named(std::string_view query) {
  const auto node = parse(query);
  EXPECT_TRUE(node) << query;
  std::string all;
  for (const auto& matchers : selectors_in(**node))
    for (const Matcher& matcher : matchers) all += matcher.text() + ";";
  return all;
}

TEST(Selectors, AreFoundWhereverTheyStand) {
  EXPECT_EQ(named("1"), "");
  EXPECT_EQ(named("a"), "__name__=\"a\";");
  EXPECT_EQ(named("-(a + on (x) b)"), "__name__=\"a\";__name__=\"b\";");
  EXPECT_EQ(named("sum by (x) (rate(a[5m]))"), "__name__=\"a\";");
  EXPECT_EQ(named("topk(scalar(k), a)"), "__name__=\"k\";__name__=\"a\";");
  EXPECT_EQ(named("max_over_time(b[1h:1m])"), "__name__=\"b\";");
}

}  // namespace
}  // namespace tallymill::promql
