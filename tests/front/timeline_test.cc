// The parts of a job's time. Goal: they add up to the whole when every stamp is there, and do not
// when one is missing or taken at another point. Method: stamps by hand.
#include "front/timeline.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tallymill::front {
namespace {

using std::chrono::microseconds;

Instant at(std::int64_t us) { return Instant(microseconds(us)); }
std::int64_t ns(std::int64_t us) { return us * 1000; }

FrontStamps front_stamps() {
  return {.intake = at(1000),
          .queued = at(1010),
          .accepted = at(1200),
          .ready = at(1200),
          .dispatched = at(1290),
          .returned = at(5000)};
}

std::vector<bus::Hop> two_hops() {
  bus::Hop compute;
  compute.stage = "compute";
  compute.sent_ns = ns(1300);
  compute.received_ns = ns(1350);
  compute.started_ns = ns(1400);
  compute.finished_ns = ns(2000);
  compute.handed_ns = ns(2010);
  bus::Hop image = compute;
  image.stage = "image";
  image.sent_ns = ns(2010);
  image.received_ns = ns(2060);
  image.started_ns = ns(2100);
  image.finished_ns = ns(4900);
  image.handed_ns = ns(4950);
  return {compute, image};
}

Duration sum_of(const std::vector<Part>& parts) {
  Duration sum{};
  for (const Part& part : parts) sum += part.length;
  return sum;
}

TEST(Parts, OfTwoHopsAddUpToTheTimeFromIntakeToReturn) {
  const auto parts = parts_of(front_stamps(), two_hops(), Duration(0));
  EXPECT_EQ(sum_of(parts), microseconds(4000));
  ASSERT_EQ(parts.size(), 12U);
  EXPECT_EQ(parts[2].name, "queue");
  EXPECT_EQ(parts[2].length, microseconds(100));
  EXPECT_EQ(parts[9].name, "service:image");
  EXPECT_EQ(parts[9].length, microseconds(2800));
}

TEST(Parts, DoNotReachTheWholeWhenAStampIsMissing) {
  for (const auto stamp : {&bus::Hop::received_ns, &bus::Hop::started_ns, &bus::Hop::finished_ns,
                           &bus::Hop::handed_ns})
    for (std::size_t hop = 0; hop < 2; ++hop) {
      auto hops = two_hops();
      hops[hop].*stamp = 0;
      const Duration missing =
          microseconds(4000) - sum_of(parts_of(front_stamps(), hops, Duration(0)));
      EXPECT_GE(missing, microseconds(10)) << "hop " << hop;
    }
}

TEST(Parts, DoNotReachTheWholeWhenAHopSaysItWasSentLaterThanItWas) {
  auto hops = two_hops();
  hops[1].sent_ns = ns(2055);
  EXPECT_EQ(microseconds(4000) - sum_of(parts_of(front_stamps(), hops, Duration(0))),
            microseconds(45));
}

TEST(Parts, OfEarlierAttemptsAreOneLength) {
  const auto parts = parts_of(front_stamps(), two_hops(), microseconds(700));
  EXPECT_EQ(sum_of(parts), microseconds(4700));
}

TEST(Tolerance, IsOnePercentAndAtLeastTwentyMicroseconds) {
  EXPECT_EQ(tolerance(microseconds(100)), microseconds(20));
  EXPECT_EQ(tolerance(microseconds(2000)), microseconds(20));
  EXPECT_EQ(tolerance(microseconds(50'000)), microseconds(500));
}

TEST(StoredTimeline, OfAJobThatRetriedNamesBackoffAndEachAttempt) {
  StoredTimeline stored;
  stored.job.id = JobId(7);
  stored.intake = at(1000);
  stored.queued = at(1010);
  FrontStamps first = front_stamps();
  first.returned = at(1900);
  stored.failed_attempts.push_back(pack_attempt(first, {7, 1, 1}, "lost", {}));
  FrontStamps second = front_stamps();
  second.ready = at(2900);
  second.dispatched = at(3000);
  second.returned = at(5000);
  stored.timeline = pack_attempt(second, {7, 1, 2}, "error", {});
  stored.whole = microseconds(4100);
  const auto timeline = timeline_json(stored);
  ASSERT_TRUE(timeline.has_value());
  const std::string text = timeline->dump();
  EXPECT_NE(text.find("\"backoff\":1000000"), std::string::npos) << text;
  EXPECT_NE(text.find("\"lost attempt\":610000"), std::string::npos) << text;
  EXPECT_NE(text.find("\"settle\":100000"), std::string::npos) << text;
  EXPECT_NE(text.find("[7,1,2]"), std::string::npos) << text;
}

TEST(StoredTimeline, ThatIsCutShortIsCorruptNotACrash) {
  StoredTimeline stored;
  const std::string whole = pack_attempt(front_stamps(), {7, 1, 1}, "ok", {});
  for (std::size_t n = 1; n < whole.size(); ++n) {
    stored.timeline = whole.substr(0, n);
    const auto timeline = timeline_json(stored);
    if (!timeline) {
      EXPECT_EQ(timeline.error().code, Errc::corrupt) << n;
    }
  }
}

}  // namespace
}  // namespace tallymill::front
