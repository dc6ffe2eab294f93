// Labels that a query makes. Goal: they grow to the bound and not beyond, whatever is put in the
// place of what. Method: values of one label at the bound, and values that double again and again.
#include "collector/promql/label_functions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "tests/collector/promql/memory_source.h"

namespace tallymill::promql {
namespace {

Result<Value> asked(const std::string& query) {
  const auto node = parse(query);
  EXPECT_TRUE(node) << node.error().message;
  return evaluate(**node, Grid{0, 1, 1}, collector::MemorySource(), {});
}

TEST(LabelFunctions, LabelsAreAsLongAsTheyMayBeAndNotOneByteLonger) {
  // The length of "a" and itself, and the length of the value, beside it.
  const std::size_t fits = limits::series_labels_bytes - 2 - 2;
  for (const char* query :
       {R"(label_replace(vector(1), "a", "{}", "", ""))",
        R"(label_join(label_replace(vector(1), "b", "{}", "", ""), "b", "", "b"))"}) {
    const auto made = asked(fmt::format(fmt::runtime(query), std::string(fits, 'x')));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->rows[0].labels.packed().size(), limits::series_labels_bytes);
    const auto more = asked(fmt::format(fmt::runtime(query), std::string(fits + 1, 'x')));
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, Errc::too_big);
  }
}

TEST(LabelFunctions, AValueThatDoublesAgainAndAgainIsAnError) {
  std::string replaced = R"(label_replace(vector(1), "a", "x", "", ""))";
  std::string joined = replaced;
  for (int i = 0; i < 100; ++i) {
    replaced = fmt::format(R"q(label_replace({}, "a", "$1$1", "a", "(.*)"))q", replaced);
    joined = fmt::format(R"(label_join({}, "a", "", "a", "a"))", joined);
  }
  for (const std::string& query : {replaced, joined}) {
    const auto made = asked(query);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Errc::too_big);
  }
}

}  // namespace
}  // namespace tallymill::promql
