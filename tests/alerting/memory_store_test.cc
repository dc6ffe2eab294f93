// Goal: what is kept of samples that come at one time, late, or again, and what is found by name.
// Method: a few series.
#include "alerting/memory_store.h"

#include <gtest/gtest.h>

#include "tests/alerting/rules_of.h"

namespace tallymill::alerting {
namespace {

using collector::Column;
using collector::Matcher;

std::vector<Matcher> where(const std::string& name, Matcher::Kind kind, const std::string& value) {
  auto matcher = Matcher::of(kind, name, value);
  EXPECT_TRUE(matcher.has_value());
  return {*matcher};
}

TEST(MemoryStore, KeepsTheFirstSampleOfATimeAndNoneThatIsLate) {
  MemoryStore store;
  const auto up = labels_of({{"__name__", "up"}});
  EXPECT_TRUE(store.add(up, 10, 1));
  EXPECT_TRUE(store.add(up, 10, 1)) << "the same once more";
  EXPECT_FALSE(store.add(up, 10, 2));
  EXPECT_FALSE(store.add(up, 9, 1));
  const std::vector<SampleSink::Sample> some = {{up, 9, 3}, {up, 20, 4}};
  EXPECT_FALSE(store.append(some).has_value());
  EXPECT_EQ(store.at(up, 10), 1);
  EXPECT_EQ(store.at(up, 20), 4) << "what could be stored is";
  EXPECT_EQ(store.at(up, 9), std::nullopt);
}

TEST(MemoryStore, FindsByEqualityByAbsenceAndByExpression) {
  MemoryStore store;
  (void)store.add(labels_of({{"__name__", "up"}, {"job", "a"}}), 10, 1);
  (void)store.add(labels_of({{"__name__", "up"}}), 10, 1);
  const auto count = [&](const std::string& name, Matcher::Kind kind, const std::string& value) {
    return store.select(where(name, kind, value), 0, 100)->size();
  };
  EXPECT_EQ(count("job", Matcher::Kind::equal, "a"), 1U);
  EXPECT_EQ(count("job", Matcher::Kind::equal, ""), 1U);
  EXPECT_EQ(count("job", Matcher::Kind::equal, "b"), 0U);
  EXPECT_EQ(count("job", Matcher::Kind::not_equal, "b"), 2U);
  EXPECT_EQ(count("__name__", Matcher::Kind::matches, "u.*"), 2U);
}

TEST(MemoryStore, ReadsBothEndsOfATime) {
  MemoryStore store;
  const auto up = labels_of({{"__name__", "up"}});
  for (const std::int64_t t : {10, 20, 30, 40}) (void)store.add(up, t, static_cast<double>(t));
  const auto id = store.select({}, 0, 100)->front().series;
  Column found;
  ASSERT_TRUE(store.read(id, 20, 30, found).has_value());
  EXPECT_EQ(found.t_ms, (std::vector<std::int64_t>{20, 30}));
  ASSERT_TRUE(store.read_last(id, 11, 39, found).has_value());
  EXPECT_EQ(found.t_ms, std::vector<std::int64_t>{30});
  ASSERT_TRUE(store.read_last(id, 41, 50, found).has_value());
  EXPECT_EQ(found.size(), 0U);
}

}  // namespace
}  // namespace tallymill::alerting
