// What a process says of what it counts, as bytes. Goal: a frame is read back as it was written;
// bytes cut off anywhere, beyond a bound or out of order are refused. Method: a frame with each of
// its parts, every beginning of it, each bound at it and one above.
#include "bus/telemetry_frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"

namespace tallymill::bus {
namespace {

TelemetryFrame sample() {
  TelemetryFrame frame;
  frame.job = "front";
  frame.instance = "front-1";
  frame.incarnation = 1'700'000'000'000'000'001;
  frame.sequence = 7;
  frame.t_ms = 1'700'000'000'123;
  frame.whole = true;
  frame.families = {
      {"tallymill_a_total", "A.", metrics::Type::counter, metrics::Unit::none, 2},
      {"tallymill_b_seconds", "B \xc3\xa9.", metrics::Type::histogram, metrics::Unit::seconds, 1}};
  frame.series = {{0, 2}, {1, 0}, {5, 1}};
  frame.labels = {{"kind", "box"}, {"x", ""}, {"part", "wire"}};
  frame.values = {{0, 12}, {1, -0.0}, {2, 0.25}, {3, 1e300}, {4, -5}};
  frame.distributions = {{5, 2, 1, 123'456}, {6, 0, 0, 0}};
  frame.buckets = {{0, 1}, {671, 1'000'000'000'000}};
  frame.exemplars = {{25, 0.5, JobId(42), 1'700'000'000'000}};
  return frame;
}

std::string bytes_of(const TelemetryFrame& frame) {
  Buffer out;
  encode(frame, out);
  return std::string(out.view());
}

Errc refusal(const TelemetryFrame& frame) {
  TelemetryFrame into;
  const std::string bytes = bytes_of(frame);
  const Status read = decode(bytes, into);
  EXPECT_FALSE(read.has_value());
  return read ? Errc::busy : read.error().code;
}

bool readable(const TelemetryFrame& frame) {
  TelemetryFrame into;
  const std::string bytes = bytes_of(frame);
  return decode(bytes, into).has_value();
}

TEST(TelemetryFrame, IsReadBackAsItWasWritten) {
  const std::string bytes = bytes_of(sample());
  TelemetryFrame read;
  ASSERT_TRUE(decode(bytes, read));
  EXPECT_EQ(bytes_of(read), bytes);
  EXPECT_EQ(read.job, "front");
  EXPECT_EQ(read.instance, "front-1");
  EXPECT_EQ(read.incarnation, 1'700'000'000'000'000'001);
  EXPECT_EQ(read.sequence, 7);
  EXPECT_EQ(read.t_ms, 1'700'000'000'123);
  EXPECT_TRUE(read.whole);
  EXPECT_FALSE(read.last);
  ASSERT_EQ(read.families.size(), 2u);
  EXPECT_EQ(read.families[1].help, "B \xc3\xa9.");
  EXPECT_EQ(read.families[1].type, metrics::Type::histogram);
  EXPECT_EQ(read.families[1].unit, metrics::Unit::seconds);
  ASSERT_EQ(read.values.size(), 5u);
  EXPECT_EQ(read.values[3].value, 1e300);
  EXPECT_TRUE(std::signbit(read.values[1].value));
  ASSERT_EQ(read.buckets.size(), 2u);
  EXPECT_EQ(read.buckets[1].count, 1'000'000'000'000u);
  EXPECT_EQ(read.exemplars[0].job, JobId(42));
}

TEST(TelemetryFrame, ReadAgainIntoTheSameOneLeavesNothingOfTheFirst) {
  TelemetryFrame into;
  const std::string first = bytes_of(sample());
  ASSERT_TRUE(decode(first, into));
  TelemetryFrame small = sample();
  small.clear();
  const std::string second = bytes_of(small);
  ASSERT_TRUE(decode(second, into));
  EXPECT_TRUE(into.series.empty() && into.values.empty() && into.buckets.empty());
}

TEST(TelemetryFrame, CutOffAnywhereOrFollowedByMoreIsNone) {
  const std::string bytes = bytes_of(sample());
  TelemetryFrame into;
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(decode(std::string_view(bytes).substr(0, n), into)) << n;
  EXPECT_FALSE(decode(bytes + '\0', into));
}

TEST(TelemetryFrame, OfALaterVersionIsToldApartAndWhatALaterOneAddsIsSkipped) {
  std::string bytes = bytes_of(sample());
  TelemetryFrame into;
  ++bytes[0];  // one element more
  bytes += "\x82\x01\x02\xa1x\x93\x01\x02\x03";
  EXPECT_TRUE(decode(bytes, into));
  bytes[1] = 2;
  const Status later = decode(bytes, into);
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, Errc::version);
}

TEST(TelemetryFrame, NumbersBeyondTheirBoundsAreRefused) {
  TelemetryFrame frame = sample();
  frame.values[0].id = limits::telemetry_series - 1;
  EXPECT_TRUE(readable(frame));
  frame.values[0].id = limits::telemetry_series;
  EXPECT_EQ(refusal(frame), Errc::bad_frame);

  frame = sample();
  frame.buckets[1].index = ProbeHistogram::Layout::buckets;
  EXPECT_EQ(refusal(frame), Errc::bad_frame);
  frame = sample();
  frame.buckets = {{3, 1}, {3, 1}};  // once each, and in order
  EXPECT_EQ(refusal(frame), Errc::bad_frame);

  frame = sample();
  frame.exemplars[0].le = le_bound_count + 1;
  EXPECT_EQ(refusal(frame), Errc::bad_frame);

  frame = sample();
  frame.sequence = 0;
  EXPECT_EQ(refusal(frame), Errc::bad_frame);
  frame = sample();
  frame.t_ms = -1;
  EXPECT_EQ(refusal(frame), Errc::bad_frame);
}

TEST(TelemetryFrame, NamesAndTextsHaveTheirBounds) {
  const auto with = [](std::size_t job, std::size_t name, std::size_t help, std::size_t value) {
    static std::string texts[4];
    const std::size_t sizes[] = {job, name, help, value};
    for (int i = 0; i < 4; ++i) texts[i].assign(sizes[i], 'x');
    TelemetryFrame frame = sample();
    frame.job = texts[0];
    frame.families[0].name = texts[1];
    frame.families[0].help = texts[2];
    frame.labels[0].value = texts[3];
    return frame;
  };
  const std::size_t job = limits::telemetry_name_bytes;
  const std::size_t name = limits::label_name_bytes;
  const std::size_t help = limits::metric_help_bytes;
  const std::size_t value = limits::label_value_bytes;
  EXPECT_TRUE(readable(with(job, name, help, value)));
  EXPECT_FALSE(readable(with(job + 1, name, help, value)));
  EXPECT_FALSE(readable(with(job, name + 1, help, value)));
  EXPECT_FALSE(readable(with(job, name, help + 1, value)));
  EXPECT_FALSE(readable(with(job, name, help, value + 1)));
  EXPECT_FALSE(readable(with(0, name, help, value)));
}

TEST(TelemetryFrame, ListsHaveTheirBounds) {
  TelemetryFrame frame = sample();
  frame.values.assign(limits::telemetry_series, {0, 1});
  EXPECT_TRUE(readable(frame));
  frame.values.push_back({0, 1});
  EXPECT_FALSE(readable(frame));

  frame = sample();
  frame.series.assign(limits::telemetry_series, {0, 0});
  frame.labels.clear();
  frame.families = {{"a", "", metrics::Type::gauge, metrics::Unit::none, limits::telemetry_series}};
  EXPECT_TRUE(readable(frame));
  frame.series.push_back({0, 0});
  ++frame.families[0].series;
  EXPECT_FALSE(readable(frame));

  frame = sample();
  frame.families = {{"a", "", metrics::Type::gauge, metrics::Unit::none, 1}};
  frame.series = {{0, limits::series_labels}};
  frame.labels.assign(limits::series_labels, {"a", "b"});
  EXPECT_TRUE(readable(frame));
  ++frame.series[0].labels;
  frame.labels.push_back({"a", "b"});
  EXPECT_FALSE(readable(frame));
}

TEST(TelemetryFrame, BucketsOfAllItsHistogramsTogetherHaveABound) {
  constexpr auto each = static_cast<std::uint32_t>(ProbeHistogram::Layout::buckets);
  TelemetryFrame frame = sample();
  frame.distributions.clear();
  frame.buckets.clear();
  frame.exemplars.clear();
  const auto add = [&](std::uint32_t buckets) {
    frame.distributions.push_back({0, buckets, 0, 1});
    for (std::uint32_t i = 0; i < buckets; ++i) frame.buckets.push_back({i, 1});
  };
  while (frame.buckets.size() + each <= limits::telemetry_buckets) add(each);
  add(static_cast<std::uint32_t>(limits::telemetry_buckets - frame.buckets.size()));
  EXPECT_TRUE(readable(frame));
  add(1);
  EXPECT_FALSE(readable(frame));
}

TEST(TelemetryFrame, LargerThanAFrameMayBeIsNotLookedAt) {
  const auto most = static_cast<std::size_t>(limits::telemetry_frame_bytes.raw());
  TelemetryFrame into;
  const Status at = decode(std::string(most, '\xc0'), into);
  const Status above = decode(std::string(most + 1, '\xc0'), into);
  EXPECT_EQ(at.error().code, Errc::bad_frame);
  EXPECT_EQ(above.error().code, Errc::too_big);
}

}  // namespace
}  // namespace tallymill::bus
