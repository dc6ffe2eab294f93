// What is counted comes out, once and under its name. Goal: the export is what Prometheus reads,
// series stay bounded, a snapshot taken while another thread writes is whole. Method: exact text,
// the edge of each bound, one writer against one reader.
#include "base/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <thread>

#include "base/limits.h"
#include "tests/metrics_doc.h"

namespace tallymill::metrics {
namespace {

using namespace std::chrono_literals;

TEST(ToPrometheus, PrintsHelpTypeAndValuesByName) {
  Registry registry;
  registry.gauge("tallymill_queue_depth", "Jobs that wait.", {{"stage", "image"}}).set(3.5);
  registry.counter("tallymill_jobs_accepted_total", "Jobs whose acceptance is durable.").add(7);
  EXPECT_EQ(to_prometheus(registry.snapshot()),
            "# HELP tallymill_jobs_accepted_total Jobs whose acceptance is durable.\n"
            "# TYPE tallymill_jobs_accepted_total counter\n"
            "tallymill_jobs_accepted_total 7\n"
            "# HELP tallymill_queue_depth Jobs that wait.\n"
            "# TYPE tallymill_queue_depth gauge\n"
            "tallymill_queue_depth{stage=\"image\"} 3.5\n");
}

TEST(ToPrometheus, AHistogramIsCumulativeBucketsSumAndCount) {
  Registry registry;
  auto& service = registry.histogram("tallymill_service_seconds", "Service time.", {{"k", "box"}});
  service.record(10us);
  service.record(2ms);
  service.record(-1us);  // two clocks that disagree
  const std::string text = to_prometheus(registry.snapshot());
  EXPECT_NE(text.find("tallymill_service_seconds_bucket{k=\"box\",le=\"2.4576e-05\"} 2\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("_bucket{k=\"box\",le=\"+Inf\"} 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("tallymill_service_seconds_sum{k=\"box\"} 0.00201\n"), std::string::npos);
  EXPECT_NE(text.find("tallymill_service_seconds_count{k=\"box\"} 3\n"), std::string::npos);
  std::istringstream lines(text);
  int buckets = 0;
  for (std::string line; std::getline(lines, line);) {
    buckets += line.starts_with("tallymill_service_seconds_bucket") ? 1 : 0;
  }
  EXPECT_EQ(buckets, static_cast<int>(le_bound_count) + 1);
}

TEST(ToPrometheus, ACounterOfSecondsCountsNanosecondsAndIsToldInSeconds) {
  Registry registry;
  registry.counter("tallymill_process_cpu_seconds_total", "CPU time.").add(1'250'000'000);
  EXPECT_NE(to_prometheus(registry.snapshot()).find("cpu_seconds_total 1.25\n"), std::string::npos);
}

TEST(ToPrometheus, LabelValuesAndHelpAreEscaped) {
  Registry registry;
  registry.counter("tallymill_a_total", "A \"b\" \\ c\nd.", {{"reason", "x\"\\\ny"}}).add();
  const std::string text = to_prometheus(registry.snapshot());
  EXPECT_NE(text.find("# HELP tallymill_a_total A \"b\" \\\\ c\\nd.\n"), std::string::npos) << text;
  EXPECT_NE(text.find("{reason=\"x\\\"\\\\\\ny\"} 1\n"), std::string::npos) << text;
}

TEST(Registry, TheSameNameAndLabelsAreTheSameMetricAndItsUnitIsReadFromTheName) {
  Registry registry;
  auto& first = registry.counter("tallymill_sent_bytes_total", "Sent.", {{"lane", "a"}});
  auto& other = registry.counter("tallymill_sent_bytes_total", "Sent.", {{"lane", "b"}});
  EXPECT_EQ(&registry.counter("tallymill_sent_bytes_total", "Sent.", {{"lane", "a"}}), &first);
  EXPECT_NE(&first, &other);
  const auto snapshot = registry.snapshot();
  ASSERT_EQ(snapshot.families.size(), 1u);
  EXPECT_EQ(snapshot.families[0].unit, Unit::bytes);
  EXPECT_EQ(snapshot.families[0].samples.size(), 2u);
}

TEST(Registry, SeriesBeyondTheBoundAreCountedTogetherAsOther) {
  Registry registry;
  for (std::size_t i = 0; i < limits::series_per_metric + 10; ++i) {
    registry.counter("tallymill_x_total", "X.", {{"reason", std::to_string(i)}}).add();
  }
  const auto snapshot = registry.snapshot();
  const auto& samples = snapshot.families[0].samples;
  EXPECT_EQ(samples.size(), limits::series_per_metric);
  const auto other = std::ranges::find(samples, Labels{{"reason", "other"}},
                                       [](const auto& sample) { return sample.labels; });
  ASSERT_NE(other, samples.end());
  EXPECT_EQ(other->value, 11);
}

TEST(RegistryDeathTest, ANameThatBreaksTheRulesStopsTheProcess) {
  Registry registry;
  EXPECT_DEATH(registry.counter("tallymill_jobs", "No suffix."), "_total");
  EXPECT_DEATH(registry.gauge("tallymill_wait_ms", "Not a base unit."), "derived");
  EXPECT_DEATH(registry.gauge("queue_depth", "No prefix."), "tallymill_");
  registry.gauge("tallymill_a", "A.", {{"kind", "box"}});
  EXPECT_DEATH(registry.gauge("tallymill_a", "A.", {{"stage", "box"}}), "label_names");
}

TEST(Registry, ASnapshotTakenWhileTheOwnerCountsIsWholeAndNeverGoesBack) {
  constexpr int events = 20'000;
  Registry registry;
  auto& count = registry.counter("tallymill_events_total", "Events.");
  auto& length = registry.histogram("tallymill_length_seconds", "Lengths.");
  std::jthread owner([&] {
    for (int i = 0; i < events; ++i) {
      count.add();
      length.record(std::chrono::microseconds(i));
    }
  });
  double before = 0;
  std::uint64_t recorded_before = 0;
  while (before < events) {
    const auto snapshot = registry.snapshot();
    const double now = snapshot.families[0].samples[0].value;
    const auto& histogram = snapshot.families[1].distributions[0].histogram;
    EXPECT_GE(now, before);
    EXPECT_GE(histogram.count(), recorded_before);
    before = now;
    recorded_before = histogram.count();
  }
  owner.join();
  EXPECT_EQ(length.read().count(), static_cast<std::uint64_t>(events));
}

TEST(Histogram, EachClassicBucketKeepsTheJobThatItCountedLast) {
  Registry registry;
  auto& length = registry.histogram("tallymill_length_seconds", "Lengths.");
  length.record(1ms);
  EXPECT_TRUE(length.exemplars().empty());
  length.record(1ms, JobId(1), Instant(1s));
  length.record(900us, JobId(2), Instant(2s));  // the same bucket
  length.record(20h, JobId(3), Instant(3s));
  const auto exemplars = length.exemplars();
  ASSERT_EQ(exemplars.size(), 2u);
  EXPECT_EQ(exemplars[0].job, JobId(2));
  EXPECT_EQ(exemplars[0].ns, 900'000u);
  EXPECT_EQ(exemplars[0].at, Instant(2s));
  EXPECT_EQ(exemplars[1].le, le_bound_count);
  EXPECT_EQ(exemplars[1].job, JobId(3));
  EXPECT_EQ(length.read().count(), 4u);
}

TEST(Histogram, WhatTookNoTimeIsCountedAndIsNobodysExemplar) {
  Registry registry;
  auto& length = registry.histogram("tallymill_length_seconds", "Lengths.");
  length.record(0ns, JobId(1), Instant(1s));
  EXPECT_TRUE(length.exemplars().empty());
  length.record(2ns, JobId(2), Instant(2s));
  length.record(-1ns, JobId(3), Instant(3s));
  length.record(0ns);
  const auto exemplars = length.exemplars();
  ASSERT_EQ(exemplars.size(), 1u);
  EXPECT_EQ(exemplars[0].job, JobId(2));
  EXPECT_EQ(exemplars[0].ns, 2u);
  EXPECT_EQ(length.read().count(), 4u);
  EXPECT_EQ(length.read().at(0), 3u);
  EXPECT_EQ(length.read().sum_ns(), 2u);
}

TEST(Histogram, AnExemplarLiesInItsBucket) {
  Registry registry;
  auto& length = registry.histogram("tallymill_length_seconds", "Lengths.");
  for (std::uint64_t ns = 1; ns < std::uint64_t{1} << 50; ns += ns / 7 + 1)
    length.record(Duration(ns), JobId(1), Instant());
  const auto exemplars = length.exemplars();
  ASSERT_EQ(exemplars.size(), le_bound_count + 1);
  for (const auto& one : exemplars) {
    const bool above = one.le == 0 || one.ns > le_bounds_ns[one.le - 1];
    const bool within = one.le == le_bound_count || one.ns <= le_bounds_ns[one.le];
    EXPECT_TRUE(above && within) << one.ns << " in bucket " << one.le;
  }
}

TEST(Histogram, AnExemplarThatIsReadWhileItIsWrittenIsOfOneJob) {
  Registry registry;
  auto& length = registry.histogram("tallymill_length_seconds", "Lengths.");
  std::jthread owner([&](const std::stop_token& stop) {
    for (std::int64_t i = 1; !stop.stop_requested(); i = i % 20'000 + 1)
      length.record(Duration(i), JobId(i), Instant(Duration(i)));
  });
  for (int whole = 0; whole < 1'000'000;)
    for (const auto& one : length.exemplars()) {
      ASSERT_EQ(one.job.raw(), static_cast<std::int64_t>(one.ns));
      ASSERT_EQ(one.at, Instant(Duration(one.ns)));
      ++whole;
    }
}

TEST(MetricsDoc, RowsOfTablesAreReadAndOtherTextIsNot) {
  const auto found = tests::documented_metrics(
      "# Metrics\n`tallymill_prose_total` is not a row.\n"
      "| name | type | labels | meaning |\n|---|---|---|---|\n"
      "| `tallymill_a_total` | counter | kind, stage | Counts a. |\n"
      "| `tallymill_b_seconds` | histogram | - | Times b. |\n");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at("tallymill_a_total").labels, (std::vector<std::string>{"kind", "stage"}));
  EXPECT_EQ(found.at("tallymill_a_total").type, "counter");
  EXPECT_TRUE(found.at("tallymill_b_seconds").labels.empty());
}

}  // namespace
}  // namespace tallymill::metrics
