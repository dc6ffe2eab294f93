// Warnings of thinned samples. Goal: an answer warns when a range or the steps are shorter than
// twice what is left of our own bus' samples of that time, and only then. Method: a store with an
// own and another series, asked by expressions at moments before and after the hour.
#include "collector/noted.h"

#include <gtest/gtest.h>

#include "collector/answers.h"
#include "collector/promql/evaluate.h"
#include "collector/promql/parser.h"
#include "tests/collector/store_fixture.h"

namespace tallymill::collector {
namespace {

class NotedTest : public StoreTest {
 protected:
  static constexpr std::int64_t begin = 1'700'000'010'000;
  static constexpr std::int64_t hour = 3'600'000;

  void SetUp() override {
    StoreTest::SetUp();
    store_ = open();
    const Point points[] = {
        {*store_->series(Labels::of({{"__name__", "own"}}), Origin::own_bus), begin, 1},
        {*store_->series(Labels::of({{"__name__", "other"}})), begin, 1}};
    ASSERT_TRUE(store_->append(points).has_value());
    clock_.set_ms(begin + 2 * hour);
  }
  void TearDown() override {
    store_.reset();
    StoreTest::TearDown();
  }
  std::size_t warnings(const std::string& query, std::int64_t at_ms, std::int64_t step_ms = 0) {
    const auto node = promql::parse(query);
    EXPECT_TRUE(node.has_value()) << query;
    const Noted source(*store_);
    const promql::Grid grid{at_ms, step_ms == 0 ? 1 : step_ms, step_ms == 0 ? 1U : 10U};
    EXPECT_TRUE(promql::evaluate(**node, grid, source, {}).has_value()) << query;
    return source.warnings(**node, step_ms).size();
  }
  std::unique_ptr<Store> store_;
};

TEST_F(NotedTest, ARangeShorterThanTwiceTheStepOfOldSamplesIsWarnedOf) {
  EXPECT_EQ(warnings("rate(own[29s])", begin + 5'000), 1U);
  EXPECT_EQ(warnings("sum(rate(own[5m])) + max(-delta(own[10s]))", begin + 5'000), 1U);
  EXPECT_EQ(warnings("rate(own[30s])", begin + 5'000), 0U);
  EXPECT_EQ(warnings("rate(other[10s])", begin + 5'000), 0U);
  EXPECT_EQ(warnings("rate(own[10s])", begin + 2 * hour), 0U) << "within the hour";
  EXPECT_EQ(warnings("own", begin + 5'000), 0U);
}

TEST_F(NotedTest, StepsShorterThanThatAreWarnedOf) {
  EXPECT_EQ(warnings("own", begin, 29'000), 1U);
  EXPECT_EQ(warnings("rate(own[10s])", begin, 29'000), 2U);
  EXPECT_EQ(warnings("own", begin, 30'000), 0U);
  EXPECT_EQ(warnings("other", begin, 1'000), 0U);
}

TEST_F(NotedTest, TheAnswerHasThemAsPrometheusDoes) {
  const std::string warnings[] = {"a \"range\"", "b"};
  EXPECT_EQ(success("1", warnings).body.bytes(),
            R"({"status":"success","data":1,"warnings":["a \"range\"","b"]})");
  EXPECT_EQ(success("1").body.bytes(), R"({"status":"success","data":1})");
}

// Its read() fails, so that who asks for all samples notices.
class LastOnly final : public Source {
 public:
  Result<std::vector<Found>> select(std::span<const Matcher>, std::int64_t,
                                    std::int64_t) const override {
    return std::vector<Found>{{SeriesId(0), Labels::of({{"__name__", "m"}})}};
  }
  Status read(SeriesId, std::int64_t, std::int64_t, Column&) const override {
    return fail(Errc::corrupt, "all samples were asked for");
  }
  Status read_last(SeriesId, std::int64_t, std::int64_t to_ms, Column& into) const override {
    into.clear();
    into.add(to_ms, 7);
    return {};
  }
};

TEST(Noted, AMomentReadsTheLastSampleAndNotAllOfTheLookback) {
  const LastOnly source;
  const Noted noted(source);
  const auto value = promql::evaluate(**promql::parse("m"), {0, 1, 1}, noted, {});
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(value->rows.at(0).values.at(0), 7);
}

}  // namespace
}  // namespace tallymill::collector
