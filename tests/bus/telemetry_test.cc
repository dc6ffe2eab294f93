// What a process tells of itself. Goal: a frame holds what changed and no more, what went nowhere
// is said again, and nobody waits for a collector. Method: the writer by itself over a real
// registry; then the thread with a PULL socket that comes late, goes away, or never reads.
#include "bus/telemetry.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bus/endpoints.h"
#include "bus/frames.h"

namespace tallymill::bus {
namespace {

using namespace std::chrono_literals;

class TelemetryWriterTest : public ::testing::Test {
 protected:
  // What the next frame says; `fits` is expected.
  const TelemetryFrame& next(bool whole = false) {
    const metrics::Snapshot snapshot = registry_.snapshot();
    EXPECT_TRUE(writer_.write({&snapshot, 1}, {++now_ms_, whole, false}, out_));
    EXPECT_TRUE(decode(out_.view(), read_));
    return read_;
  }

  metrics::Registry registry_;
  metrics::Counter& count_ = registry_.counter("tallymill_count_total", "Counts.");
  metrics::Gauge& gauge_ = registry_.gauge("tallymill_gauge", "Is.", {{"of", "a"}});
  metrics::Histogram& length_ = registry_.histogram("tallymill_length_seconds", "Lasts.");
  TelemetryWriter writer_{"front", "front", 1};
  std::int64_t now_ms_ = 1'000;
  Buffer out_;
  TelemetryFrame read_;
};

TEST_F(TelemetryWriterTest, TheFirstFrameSaysAllAndTheNextOnlyWhatChanged) {
  count_.add(5);
  EXPECT_EQ(next().series.size(), 3u);
  EXPECT_EQ(read_.values.size(), 2u);
  EXPECT_EQ(read_.distributions.size(), 1u);
  EXPECT_EQ(read_.sequence, 1);

  EXPECT_TRUE(next().series.empty() && read_.values.empty() && read_.distributions.empty());
  count_.add();
  ASSERT_EQ(next().values.size(), 1u);
  EXPECT_EQ(read_.values[0].value, 6);
  EXPECT_TRUE(read_.families.empty());
  length_.record(1ms);
  ASSERT_EQ(next().distributions.size(), 1u);
  EXPECT_EQ(read_.distributions[0].sum_ns, 1'000'000u);
  EXPECT_EQ(read_.sequence, 4);
}

TEST_F(TelemetryWriterTest, AWholeFrameSaysWhatEachSeriesIsUnderTheNumberThatItHad) {
  const auto named = [&] {
    std::map<std::uint32_t, std::string> names;
    auto series = read_.series.begin();
    for (const auto& family : read_.families)
      for (std::uint32_t i = 0; i < family.series; ++i, ++series)
        names[series->id] = std::string(family.name);
    return names;
  };
  next();
  auto before = named();
  // One that comes later, in front of the others by its name.
  registry_.counter("tallymill_a_total", "A.").add();
  registry_.gauge("tallymill_gauge", "Is.", {{"of", "b"}}).set(1);
  next();
  EXPECT_EQ(read_.series.size(), 2u);
  before.merge(named());
  next(true);
  EXPECT_EQ(named(), before);
  EXPECT_EQ(read_.values.size() + read_.distributions.size(), 5u);
}

TEST_F(TelemetryWriterTest, WhatAFrameSaidThatWentNowhereIsInTheNext) {
  next();
  count_.add(3);
  length_.record(2ms);
  registry_.counter("tallymill_new_total", "New.").add();
  next();
  writer_.not_sent();
  EXPECT_EQ(next().values.size(), 2u);
  EXPECT_EQ(read_.distributions.size(), 1u);
  EXPECT_EQ(read_.series.size(), 1u);
  EXPECT_EQ(read_.sequence, 3);
}

TEST_F(TelemetryWriterTest, AnExemplarIsSaidOnceAndInWholeFrames) {
  const SystemClock clock;
  now_ms_ = to_ns(clock.wall()) / 1'000'000 - 1;
  length_.record(1ms, JobId(7), clock.now());
  ASSERT_EQ(next().exemplars.size(), 1u);
  EXPECT_EQ(read_.exemplars[0].job, JobId(7));
  EXPECT_DOUBLE_EQ(read_.exemplars[0].seconds, 0.001);
  now_ms_ += 5'000;
  next();
  length_.record(1h);
  EXPECT_TRUE(next().exemplars.empty());
  EXPECT_EQ(next(true).exemplars.size(), 1u);
}

TEST_F(TelemetryWriterTest, SeriesBeyondTheBoundAreLeftOutAndTheOthersGoOn) {
  // Each family may have so many.
  constexpr std::uint32_t each = limits::series_per_metric;
  for (std::uint32_t i = 0; i < limits::telemetry_series + 5; ++i)
    registry_.gauge("tallymill_many_" + std::to_string(i / each), "Many.",
                    {{"i", std::to_string(i % each)}});
  EXPECT_EQ(next().values.size() + read_.distributions.size(), limits::telemetry_series);
  EXPECT_EQ(writer_.series(), limits::telemetry_series);
  EXPECT_EQ(writer_.refused(), 8u);  // five, and the three of before
  count_.add();
  EXPECT_LE(next().values.size(), 1u);
}

TEST_F(TelemetryWriterTest, AFrameThatWouldBeTooLargeDoesNotFit) {
  const std::string help(limits::metric_help_bytes, 'x');
  for (int i = 0; i < 1'100; ++i) registry_.gauge("tallymill_wordy_" + std::to_string(i), help);
  const metrics::Snapshot snapshot = registry_.snapshot();
  EXPECT_FALSE(writer_.write({&snapshot, 1}, {1, true, false}, out_));
}

class TelemetryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "tallymill-telemetry-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    endpoint_ = "ipc://" + (folder_ / "bus").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void listen() {
    // One that was closed lets go of its address a little later.
    auto socket = open_socket(context_, Role::telemetry_in, endpoint_);
    for (int i = 0; i < 100'000 && !socket; ++i)
      socket = open_socket(context_, Role::telemetry_in, endpoint_);
    ASSERT_TRUE(socket.has_value()) << socket.error().message;
    pull_ = std::move(*socket);
    pull_.set(zmq::sockopt::rcvtimeo, 10'000);
  }
  void start() {
    auto made = Telemetry::start(context_, {.endpoint = endpoint_,
                                            .job = "test",
                                            .instance = "test-1",
                                            .sources = {[this] { return snapshot(); }},
                                            .period = 10ms});
    ASSERT_TRUE(made.has_value()) << made.error().message;
    telemetry_ = std::move(*made);
  }
  // On the sender's thread.
  metrics::Snapshot snapshot() {
    for (metrics::Gauge* const one : gauges_) one->add(0.1);
    ++asked_;
    asked_.notify_all();
    return registry_.snapshot();
  }
  // Waits for one.
  const TelemetryFrame& receive() {
    EXPECT_TRUE(pull_.recv(message_).has_value());
    EXPECT_TRUE(decode(message_.to_string_view(), frame_).has_value());
    return frame_;
  }

  std::filesystem::path folder_;
  std::string endpoint_;
  zmq::context_t context_;
  zmq::socket_t pull_;
  zmq::message_t message_;
  TelemetryFrame frame_;
  metrics::Registry registry_;
  metrics::Counter& count_ = registry_.counter("tallymill_count_total", "Counts.");
  std::vector<metrics::Gauge*> gauges_;
  std::atomic<int> asked_ = 0;
  std::unique_ptr<Telemetry> telemetry_;
};

TEST_F(TelemetryTest, BeginsWithAWholeFrameAndSaysAllAgainEachTenth) {
  listen();
  start();
  std::int64_t before = receive().sequence;
  EXPECT_TRUE(frame_.whole);
  EXPECT_EQ(frame_.job, "test");
  int since_whole = 0;
  for (int i = 0; i < 45; ++i) {
    EXPECT_EQ(receive().sequence, before + 1);
    before = frame_.sequence;
    since_whole = frame_.whole ? 0 : since_whole + 1;
    EXPECT_LT(since_whole, limits::telemetry_whole_every);
  }
}

TEST_F(TelemetryTest, ACollectorThatComesLaterIsToldAllAtOnce) {
  start();
  count_.add(3);
  listen();
  EXPECT_TRUE(receive().whole);
  // And one that comes back on the same address.
  pull_.close();
  listen();
  for (int i = 0; i < 3 && !receive().whole;) ++i;
  EXPECT_TRUE(frame_.whole);
}

TEST_F(TelemetryTest, ItsLastFrameIsWholeAndHoldsTheLastValues) {
  listen();
  start();
  receive();
  count_.add(41);
  count_.add();
  telemetry_.reset();
  while (!receive().last) {
  }
  EXPECT_TRUE(frame_.whole);
  EXPECT_TRUE(std::ranges::any_of(frame_.values, [](const auto& one) { return one.value == 42; }));
}

TEST_F(TelemetryTest, ACollectorThatDoesNotReadHoldsUpNobodyAndIsToldAllWhenItDoes) {
  for (int i = 0; i < 900; ++i)
    gauges_.push_back(&registry_.gauge("tallymill_many", "Many.", {{"i", std::to_string(i)}}));
  listen();
  start();
  // 10 KB each: more than the bound of both ends and the kernel's buffer between them.
  for (int asked = asked_.load(); asked < 200; asked = asked_.load()) asked_.wait(asked);
  std::int64_t last = 0;
  std::int64_t missing = 0;
  while (last < 210) {
    missing += receive().sequence - last - 1;
    last = frame_.sequence;
  }
  EXPECT_GT(missing, 0);
  while (!receive().whole) {
  }
  EXPECT_GE(frame_.values.size(), gauges_.size());
}

TEST_F(TelemetryTest, AnAddressThatOtherHostsReachIsRefused) {
  const auto made = Telemetry::start(context_, {.endpoint = "tcp://10.0.0.1:7753", .job = "test"});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code, Errc::denied);
}

}  // namespace
}  // namespace tallymill::bus
