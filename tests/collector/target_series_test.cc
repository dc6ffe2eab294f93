// Goal: what a target says becomes the points that Prometheus would make of it: labels, collisions,
// ends of series, all or nothing. Method: answers as text, a real store in a temporary folder.
#include "collector/target_series.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <bit>
#include <filesystem>
#include <map>

#include "base/limits.h"

namespace tallymill::collector {
namespace {

class TargetSeriesTest : public ::testing::Test {
 protected:
  TargetSeriesTest() {
    std::string path = ::testing::TempDir() + "tallymill-target-XXXXXX";
    folder_ = ::mkdtemp(path.data());
    store_ = *Store::open(folder_, {.series = 2'000, .background = false});
    job_.name = "j";
    target_.own = Labels::of({{"zone", "a"}});
    target_.labels = Labels::of({{"instance", "i"}, {"job", "j"}, {"zone", "a"}});
  }
  ~TargetSeriesTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  TargetSeries series() { return {job_, target_, *store_, metadata_, exemplars_}; }

  // Its points as text: "metric{...}@time" to value; "stale" for an end.
  std::map<std::string, std::string> told(const std::vector<Point>& points) {
    std::map<std::string, std::string> told;
    const auto all = *store_->select({}, 0, 0);
    for (const Point& point : points) {
      const std::string name = all[point.series.raw()].labels.text();
      told[name + "@" + std::to_string(point.t_ms)] =
          is_stale(point.value) ? "stale" : std::to_string(static_cast<int>(point.value));
    }
    return told;
  }
  using Told = std::map<std::string, std::string>;

  std::string folder_;
  ScrapeJob job_;
  ScrapeTarget target_;
  MetadataStore metadata_;
  ExemplarStore exemplars_;
  std::unique_ptr<Store> store_;
};

constexpr auto text = ExpositionFormat::text;

TEST_F(TargetSeriesTest, LabelsOfTheTargetGoOntoItsSeriesAndOthersMoveAside) {
  TargetSeries own = series();
  std::vector<Point> points;
  const auto counts = own.take(
      "# TYPE a gauge\na 1\na{job=\"x\"} 2\na{job=\"x\",exported_job=\"y\"} 3\n", text, 7, points);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->samples, 3u);
  EXPECT_EQ(counts->kept, 3u);
  EXPECT_EQ(counts->added, 3u);
  EXPECT_EQ(told(points),
            (Told{{R"(a{instance="i", job="j", zone="a"}@7)", "1"},
                  {R"(a{exported_job="x", instance="i", job="j", zone="a"}@7)", "2"},
                  {R"(a{exported_exported_job="x", exported_job="y", instance="i", job="j", )"
                   R"(zone="a"}@7)",
                   "3"}}));
  EXPECT_EQ(metadata_.of("a").at(0).type, MetricType::gauge);
}

TEST_F(TargetSeriesTest, AJobThatHonorsThemKeepsTheLabelsOfItsSeries) {
  job_.honor_labels = true;
  TargetSeries own = series();
  std::vector<Point> points;
  ASSERT_TRUE(own.take("a{job=\"x\",zone=\"\"} 2\n", text, 7, points));
  EXPECT_EQ(told(points), (Told{{R"(a{instance="i", job="x", zone="a"}@7)", "2"}}));
}

TEST_F(TargetSeriesTest, ASeriesThatIsGoneEndsAndOneWithItsOwnTimeDoesNot) {
  TargetSeries own = series();
  std::vector<Point> points;
  ASSERT_TRUE(own.take("a 1\nb 2\nc 3 5\n", text, 10, points));
  EXPECT_EQ(told(points).at(R"(c{instance="i", job="j", zone="a"}@5)"), "3");
  points.clear();
  const auto counts = own.take("b 2\nd 4\n", text, 20, points);
  EXPECT_EQ(counts->added, 1u);
  EXPECT_EQ(told(points), (Told{{R"(a{instance="i", job="j", zone="a"}@20)", "stale"},
                                {R"(b{instance="i", job="j", zone="a"}@20)", "2"},
                                {R"(d{instance="i", job="j", zone="a"}@20)", "4"}}));
  points.clear();
  own.lose(30, points);
  EXPECT_EQ(told(points), (Told{{R"(b{instance="i", job="j", zone="a"}@30)", "stale"},
                                {R"(d{instance="i", job="j", zone="a"}@30)", "stale"}}));
  points.clear();
  own.lose(40, points);
  EXPECT_TRUE(points.empty());
}

TEST_F(TargetSeriesTest, TimesThatAreNotHonoredAreTheScrapesOwn) {
  job_.honor_timestamps = false;
  TargetSeries own = series();
  std::vector<Point> points;
  ASSERT_TRUE(own.take("c 3 5\n", text, 10, points));
  EXPECT_EQ(points.at(0).t_ms, 10);
}

TEST_F(TargetSeriesTest, AnAnswerWithAFaultCountsForNothing) {
  TargetSeries own = series();
  std::vector<Point> points(3);
  const auto counts = own.take("a 1\nb{ 2\n", text, 10, points);
  ASSERT_FALSE(counts);
  EXPECT_NE(counts.error().message.find("line 2"), std::string::npos);
  EXPECT_EQ(points.size(), 3u);
}

TEST_F(TargetSeriesTest, OfTwoSamplesOfOneSeriesTheFirstCounts) {
  TargetSeries own = series();
  std::vector<Point> points;
  const auto counts = own.take("a 1\na 2\n", text, 10, points);
  EXPECT_EQ(counts->samples, 2u);
  EXPECT_EQ(counts->kept, 1u);
  EXPECT_EQ(points.at(0).value, 1);
}

TEST_F(TargetSeriesTest, ExemplarsAreKeptByTheirSeries) {
  TargetSeries own = series();
  std::vector<Point> points;
  ASSERT_TRUE(own.take("# TYPE a counter\na_total 1 # {job_id=\"7\"} 0.5\n# EOF\n",
                       ExpositionFormat::open_metrics, 10, points));
  const auto kept = exemplars_.read(points.at(0).series, 0, 100);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].t_ms, 10);
  EXPECT_EQ(kept[0].labels.get("job_id"), "7");
}

TEST_F(TargetSeriesTest, SeriesBeyondTheStoresAreCountedAndTheOthersGoOn) {
  for (int i = 0; i < 1'999; ++i)
    ASSERT_TRUE(store_->series(Labels::of({{"__name__", "x"}, {"i", std::to_string(i)}})));
  TargetSeries own = series();
  std::vector<Point> points;
  const auto counts = own.take("a 1\nb 2\n", text, 10, points);
  EXPECT_EQ(counts->kept, 1u);
  EXPECT_EQ(counts->no_room, 1u);
}

TEST_F(TargetSeriesTest, AnAnswerHasAsManySamplesAsItMayAndNotOneMore) {
  TargetSeries own = series();
  std::vector<Point> points;
  std::string many;
  for (std::size_t i = 0; i < limits::scrape_samples; ++i) many += "a 1\n";
  const auto counts = own.take(many, text, 10, points);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->samples, limits::scrape_samples);
  const auto more = own.take(many + "a 1\n", text, 20, points);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::too_big);
}

TEST_F(TargetSeriesTest, EachScrapeIsReported) {
  TargetSeries own = series();
  std::vector<Point> points;
  own.report(true, 2, {.samples = 5, .kept = 4, .added = 3}, 10, points);
  EXPECT_EQ(
      told(points),
      (Told{{R"(up{instance="i", job="j", zone="a"}@10)", "1"},
            {R"(scrape_duration_seconds{instance="i", job="j", zone="a"}@10)", "2"},
            {R"(scrape_samples_scraped{instance="i", job="j", zone="a"}@10)", "5"},
            {R"(scrape_samples_post_metric_relabeling{instance="i", job="j", zone="a"}@10)", "5"},
            {R"(scrape_series_added{instance="i", job="j", zone="a"}@10)", "3"}}));
  const auto before = store_->stats().series;
  own.report(false, 2, {}, 20, points);
  EXPECT_EQ(store_->stats().series, before);
}

}  // namespace
}  // namespace tallymill::collector
