// Goal: what absent() would say of a row is what is said. Method: expressions by hand, whose
// answers are those of Prometheus' absent().
#include "alerting/absent_labels.h"

#include <gtest/gtest.h>

#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

std::string absent(const std::string& expr) { return absent_labels(*parsed(expr)).text(); }

TEST(AbsentLabels, AreThoseThatASelectorSaysByEquals) {
  EXPECT_EQ(absent(R"(m{job="mill",i=~"a.*",zone!="x"})"), R"({job="mill"})");
  EXPECT_EQ(absent(R"(((m{job="mill"})))"), R"({job="mill"})");
  EXPECT_EQ(absent("m"), "{}");
}

TEST(AbsentLabels, LeaveOutThatOfWhichSomethingElseIsSaidBehindIt) {
  EXPECT_EQ(absent(R"(m{job="mill",job!="x",i="a"})"), R"({i="a"})");
  EXPECT_EQ(absent(R"(m{job=~"m.*",job="mill"})"), R"({job="mill"})");
}

TEST(AbsentLabels, AreNoneOfAnythingElse) {
  EXPECT_EQ(absent(R"(sum by (job) (m{job="mill"}))"), "{}");
  EXPECT_EQ(absent(R"(m{job="mill"} - n{job="mill"})"), "{}");
}

}  // namespace
}  // namespace tallymill::alerting
