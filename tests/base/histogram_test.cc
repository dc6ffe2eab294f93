// A slab loses no count and misplaces none. Goal: bounds meet, `le` counts are exact, quantiles are
// within a bucket, merging is adding. Method: edges of every bucket, then random values against a
// sorted list.
#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace tallymill {
namespace {

template <class Layout>
void bounds_meet() {
  EXPECT_EQ(Layout::lower(0), 0u);
  for (std::size_t i = 0; i < Layout::buckets; ++i) {
    ASSERT_EQ(Layout::index(Layout::upper(i)), i);
    ASSERT_EQ(Layout::index(Layout::lower(i) + 1), i);
    if (i > 0) {
      ASSERT_EQ(Layout::upper(i - 1), Layout::lower(i));
    }
  }
}

TEST(SlabLayout, BoundsOfNeighboursMeetAndEachBucketHoldsItsUpperBound) {
  bounds_meet<SlabLayout<4>>();
  bounds_meet<SlabLayout<7>>();
}

TEST(SlabLayout, NothingIsTooSmallOrTooLarge) {
  using Layout = SlabLayout<4>;
  EXPECT_EQ(Layout::index(0), 0u);
  EXPECT_EQ(Layout::index(1), 0u);
  EXPECT_EQ(Layout::index(2), 1u);
  EXPECT_EQ(Layout::index(std::uint64_t{1} << 45), Layout::buckets - 1);
  EXPECT_EQ(Layout::index((std::uint64_t{1} << 45) + 1), Layout::buckets - 1);
  EXPECT_EQ(Layout::index(std::numeric_limits<std::uint64_t>::max()), Layout::buckets - 1);
}

TEST(SlabLayout, ABucketIsAtMostOnePartInSixteenWide) {
  using Layout = SlabLayout<4>;
  for (std::size_t i = 16; i < Layout::buckets; ++i) {
    ASSERT_LE((Layout::upper(i) - Layout::lower(i)) * 16, Layout::lower(i));
  }
}

TEST(LeBounds, RiseFromNear25MicrosecondsToNearHalfAnHourEachOnAnEdgeOfBothSlabs) {
  EXPECT_TRUE(std::ranges::is_sorted(le_bounds_ns));
  EXPECT_NEAR(static_cast<double>(le_bounds_ns.front()), 25e3, 25e3 / 32);
  EXPECT_NEAR(static_cast<double>(le_bounds_ns.back()), 1800e9, 1800e9 / 32);
  for (const std::uint64_t bound : le_bounds_ns) {
    EXPECT_EQ(SlabLayout<4>::upper(SlabLayout<4>::index(bound)), bound);
    EXPECT_EQ(SlabLayout<7>::upper(SlabLayout<7>::index(bound)), bound);
  }
}

class AgainstASortedList : public testing::Test {
 protected:
  void SetUp() override {
    std::random_device entropy;
    seed_ = entropy();
    RecordProperty("seed", std::to_string(seed_));
    std::mt19937_64 random(seed_);
    std::lognormal_distribution<double> length(15, 4);
    for (int i = 0; i < 20'000; ++i) {
      values_.push_back(std::min<std::uint64_t>(static_cast<std::uint64_t>(length(random)),
                                                std::uint64_t{1} << 45));
    }
    // Bounds themselves and their neighbours: where an off-by-one would show.
    for (const std::uint64_t bound : le_bounds_ns) {
      values_.insert(values_.end(), {bound - 1, bound, bound + 1});
    }
    std::ranges::sort(values_);
    for (const std::uint64_t value : values_) histogram_.record(value);
  }
  unsigned seed_ = 0;
  std::vector<std::uint64_t> values_;
  ProbeHistogram histogram_;
};

TEST_F(AgainstASortedList, LeCountsAreExact) {
  const auto counts = histogram_.le_counts();
  for (std::size_t i = 0; i < le_bound_count; ++i) {
    const auto below = std::ranges::upper_bound(values_, le_bounds_ns[i]) - values_.begin();
    EXPECT_EQ(counts[i], static_cast<std::uint64_t>(below)) << "seed " << seed_ << " bound " << i;
  }
}

TEST_F(AgainstASortedList, QuantilesAreNeverBelowTheTrueOneAndWithinABucket) {
  for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const auto rank = std::max<std::size_t>(
        1, static_cast<std::size_t>(std::ceil(q * static_cast<double>(values_.size()))));
    const std::uint64_t exact = values_[rank - 1];
    const std::uint64_t found = histogram_.quantile_ns(q);
    EXPECT_GE(found, exact) << "seed " << seed_ << " q " << q;
    EXPECT_LE(found, exact + exact / 16 + 1) << "seed " << seed_ << " q " << q;
  }
}

TEST_F(AgainstASortedList, PartsMergedAreTheWholeAndASparseCopyIsEqual) {
  ProbeHistogram odd;
  ProbeHistogram even;
  for (std::size_t i = 0; i < values_.size(); ++i) (i % 2 != 0 ? odd : even).record(values_[i]);
  odd.merge(even);
  EXPECT_EQ(odd, histogram_) << "seed " << seed_;

  ProbeHistogram copy;
  histogram_.each_filled([&](std::size_t i, std::uint64_t times) { copy.add_bucket(i, times); });
  copy.add_sum(histogram_.sum_ns());
  EXPECT_EQ(copy, histogram_) << "seed " << seed_;
}

TEST(LogHistogram, AnEmptyOneHasNoQuantile) {
  EXPECT_EQ(ProbeHistogram().quantile_ns(0.5), 0u);
  EXPECT_EQ(ProbeHistogram().le_counts().back(), 0u);
}

}  // namespace
}  // namespace tallymill
