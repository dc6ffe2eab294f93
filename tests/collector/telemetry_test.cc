// What processes count, in the store. Goal: every counter in the store equals its source, whatever
// frames were lost and whoever died; a process's series end with it; bounds hold. Method: frames
// made by the sender's own writer, taken one by one under a clock of the test; then senders, a
// relay that drops frames and the door as they are, on real sockets, seed printed.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bus/telemetry.h"
#include "collector/telemetry_door.h"
#include "collector/telemetry_intake.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto period = limits::telemetry_period;

class Folder {
 public:
  Folder() {
    std::string pattern = fs::temp_directory_path() / "tallymill-telemetry-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::unique_ptr<Store> open_store(const fs::path& folder, std::uint32_t series = 100'000) {
  Store::Options options;
  options.series = series;
  auto opened = Store::open(folder, options);
  EXPECT_TRUE(opened.has_value());
  return std::move(*opened);
}

// The newest sample of each series, by its labels as text.
std::map<std::string, Sample> newest(const Store& store) {
  constexpr auto from = std::numeric_limits<std::int64_t>::min();
  constexpr auto to = std::numeric_limits<std::int64_t>::max();
  std::map<std::string, Sample> out;
  Column column;
  const auto found = store.select({}, from, to);
  EXPECT_TRUE(found.has_value());
  for (const auto& one : *found) {
    column.clear();
    EXPECT_TRUE(store.read(one.series, from, to, column).has_value());
    if (column.size() != 0) out[one.labels.text()] = {column.t_ms.back(), column.value.back()};
  }
  return out;
}

// A process that counts, and what it says.
struct Source {
  explicit Source(std::string instance = "c-1", std::int64_t incarnation = 1)
      : writer("compute", std::move(instance), incarnation) {}

  std::string frame(std::int64_t t_ms, bool whole = false, bool last = false) {
    const metrics::Snapshot snapshot = registry.snapshot();
    bus::Buffer out;
    EXPECT_TRUE(writer.write({&snapshot, 1}, {t_ms, whole, last}, out));
    return std::string(out.view());
  }

  metrics::Registry registry;
  metrics::Counter& count = registry.counter("tallymill_count_total", "Counts.");
  bus::TelemetryWriter writer;
};

class TelemetryIntakeTest : public ::testing::Test {
 protected:
  void take(const std::string& frame) { intake_.take(frame, now_); }
  // A period passes.
  void pass(int periods = 1) {
    for (; periods > 0; --periods) {
      now_ += period;
      intake_.look(now_);
    }
  }
  std::optional<Sample> at(const std::string& series) {
    const auto all = newest(*store_);
    const auto found = all.find(series);
    return found == all.end() ? std::nullopt : std::optional(found->second);
  }
  double own(const std::string& name, const std::string& why = "") {
    for (const auto& family : own_.snapshot().families)
      for (const auto& sample : family.samples)
        if (family.name == "tallymill_collector_telemetry_" + name &&
            (why.empty() || sample.labels[0].second == why))
          return sample.value;
    ADD_FAILURE() << name;
    return 0;
  }

  Folder folder_;
  std::unique_ptr<Store> store_ = open_store(folder_.path());
  metrics::Registry own_;
  std::vector<std::string> metadata_;
  std::vector<std::string> exemplars_;
  TelemetryIntake intake_{
      *store_,
      own_,
      {.metadata = [this](const Metadata& one) { metadata_.emplace_back(one.name); },
       .exemplar = [this](SeriesId, const Exemplar& one,
                          std::int64_t) { exemplars_.emplace_back(one.labels[0].value); }}};
  Instant now_{1h};
  const std::string count_ = R"(tallymill_count_total{instance="c-1", job="compute"})";
  const std::string up_ = R"(up{instance="c-1", job="compute"})";
};

TEST_F(TelemetryIntakeTest, ACounterHasItsValueAtTheTimeOfItsFrame) {
  Source source;
  source.count.add(7);
  take(source.frame(1'000, true));
  EXPECT_EQ(at(count_)->value, 7);
  EXPECT_EQ(at(count_)->t_ms, 1'000);
  EXPECT_EQ(at(up_)->value, 1);
  source.count.add();
  take(source.frame(2'000));
  EXPECT_EQ(at(count_)->value, 8);
  EXPECT_EQ(own("frames_total"), 2);
  EXPECT_EQ(metadata_, std::vector<std::string>{"tallymill_count_total"});
}

TEST_F(TelemetryIntakeTest, AHistogramIsTheClassicSeriesWithExactCounts) {
  Source source;
  auto& length = source.registry.histogram("tallymill_length_seconds", "Lasts.", {{"k", "a"}});
  std::mt19937_64 random(3);
  for (int i = 0; i < 2'000; ++i)
    length.record(Duration(static_cast<std::int64_t>(1) << (random() % 45)));
  length.record(2ms, JobId(42), Instant(1s));
  take(source.frame(1'000, true));
  const auto counts = length.read().le_counts();
  const std::string labels = R"({instance="c-1", job="compute", k="a")";
  for (std::size_t i = 0; i < le_bound_count; ++i) {
    const std::string le = fmt::format("{}", static_cast<double>(le_bounds_ns[i]) / 1e9);
    const auto bucket =
        at(fmt::format("tallymill_length_seconds_bucket{}, le=\"{}\"}}", labels, le));
    ASSERT_TRUE(bucket.has_value()) << le;
    EXPECT_EQ(bucket->value, static_cast<double>(counts[i])) << le;
  }
  EXPECT_EQ(at("tallymill_length_seconds_bucket" + labels + ", le=\"+Inf\"}")->value, 2'001);
  EXPECT_EQ(at("tallymill_length_seconds_count" + labels + "}")->value, 2'001);
  EXPECT_DOUBLE_EQ(at("tallymill_length_seconds_sum" + labels + "}")->value,
                   static_cast<double>(length.read().sum_ns()) / 1e9);
  EXPECT_EQ(exemplars_, std::vector<std::string>{"42"});
}

TEST_F(TelemetryIntakeTest, WhatCountsAndWasNotThereAFrameAgoWasZeroThen) {
  Source source;
  take(source.frame(1000));
  source.registry.counter("tallymill_new_total", "New.").add(3);
  source.registry.gauge("tallymill_level", "Level.").set(4);
  source.registry.histogram("tallymill_length_seconds", "Lengths.").record(1ms);
  take(source.frame(2000));
  const auto first = [&](const std::string& name) {
    const std::array by_name{*Matcher::of(Matcher::Kind::equal, "__name__", name)};
    const auto found = store_->select(by_name, 0, 9000);
    Column column;
    EXPECT_TRUE(store_->read(found->at(0).series, 0, 9000, column).has_value());
    return std::pair(column.t_ms.front(), column.value.front());
  };
  EXPECT_EQ(first("tallymill_new_total"), std::pair(std::int64_t{1000}, 0.0));
  EXPECT_EQ(first("tallymill_length_seconds_count"), std::pair(std::int64_t{1000}, 0.0));
  EXPECT_EQ(first("tallymill_level"), std::pair(std::int64_t{2000}, 4.0));
  // Of what came with a frame that was lost, or is named again, nobody knows since when it counts.
  source.registry.counter("tallymill_late_total", "Late.").add(5);
  (void)source.frame(3000);
  take(source.frame(4000, true));
  EXPECT_EQ(first("tallymill_late_total"), std::pair(std::int64_t{4000}, 5.0));
}

TEST_F(TelemetryIntakeTest, ValuesWithoutANameAreCountedUntilAWholeFrameNamesThem) {
  Source source;
  source.count.add();
  (void)source.frame(1'000);  // is lost, and with it what the number means
  source.count.add();
  take(source.frame(2'000));
  EXPECT_EQ(at(count_), std::nullopt);
  EXPECT_EQ(own("unknown_total"), 1);
  take(source.frame(3'000, true));
  EXPECT_EQ(at(count_)->value, 2);
  (void)source.frame(4'000);
  take(source.frame(5'000));
  EXPECT_EQ(own("frames_missing_total"), 1);
}

TEST_F(TelemetryIntakeTest, AProcessThatSaysNothingForThreePeriodsIsGoneAndItsSeriesEnd) {
  Source source;
  take(source.frame(1'000, true));
  pass(2);
  EXPECT_EQ(at(up_)->value, 1);
  pass();
  EXPECT_EQ(at(up_)->value, 0);
  EXPECT_TRUE(is_stale(at(count_)->value));
  EXPECT_EQ(at(count_)->t_ms, 4'000);
  source.count.add();
  take(source.frame(9'000));
  EXPECT_EQ(at(up_)->value, 1);
  EXPECT_EQ(at(count_)->value, 1);
}

TEST_F(TelemetryIntakeTest, ACollectorThatWasStoppedItselfTakesNobodyForGone) {
  Source source;
  take(source.frame(1'000, true));
  pass();
  now_ += 1min;
  intake_.look(now_);
  EXPECT_EQ(at(up_)->value, 1);
  pass(3);
  EXPECT_EQ(at(up_)->value, 0);
}

TEST_F(TelemetryIntakeTest, ASuccessorHasTheSameSeriesAndWhatItHasNotHasEnded) {
  Source first;
  first.count.add(100);
  first.registry.gauge("tallymill_only_first", "Is.").set(1);
  take(first.frame(1'000, true));
  Source second("c-1", 2);
  second.count.add(3);
  take(second.frame(2'000, true));
  EXPECT_EQ(at(count_)->value, 3);
  EXPECT_EQ(at(up_)->value, 1);
  EXPECT_TRUE(is_stale(at(R"(tallymill_only_first{instance="c-1", job="compute"})")->value));
  EXPECT_EQ(newest(*store_).size(), 3u);
  // Frames of the first that were under way come late.
  first.count.add();
  take(first.frame(3'000));
  EXPECT_EQ(at(count_)->value, 3);
  EXPECT_EQ(own("frames_refused_total", "outdated"), 1);
  EXPECT_EQ(intake_.senders(), 1u);
}

TEST_F(TelemetryIntakeTest, AnEarlierStartIsBelievedOnceTheLaterOneIsGone) {
  Source later("c-1", 2);  // its clock was ahead
  take(later.frame(1'000, true));
  Source earlier("c-1", 1);
  earlier.count.add(9);
  take(earlier.frame(2'000, true));
  EXPECT_EQ(at(count_)->value, 0);
  pass(3);
  take(earlier.frame(9'000, true));
  EXPECT_EQ(at(count_)->value, 9);
}

TEST_F(TelemetryIntakeTest, WhoSaysThatItEndsIsForgottenAtOnce) {
  Source source;
  source.count.add(5);
  take(source.frame(1'000, true, true));
  EXPECT_TRUE(is_stale(at(count_)->value));
  EXPECT_TRUE(is_stale(at(up_)->value));
  EXPECT_EQ(intake_.senders(), 0u);
  const auto before = store_->stats().head_samples;
  pass(20);
  EXPECT_EQ(store_->stats().head_samples, before);
}

TEST_F(TelemetryIntakeTest, ASuccessorThatEndsBeforeItSaidAllEndsWhatWasBeforeItToo) {
  Source first;
  first.registry.gauge("tallymill_only_first", "Is.").set(1);
  take(first.frame(1'000, true));
  Source second("c-1", 2);
  take(second.frame(2'000, false, true));
  EXPECT_TRUE(is_stale(at(count_)->value));
  EXPECT_TRUE(is_stale(at(R"(tallymill_only_first{instance="c-1", job="compute"})")->value));
  EXPECT_EQ(intake_.senders(), 0u);
}

TEST_F(TelemetryIntakeTest, SomebodyWhoIsGoneForLongIsForgotten) {
  Source source;
  take(source.frame(1'000, true));
  pass(limits::telemetry_missing);
  EXPECT_EQ(intake_.senders(), 1u);
  pass(static_cast<int>(limits::telemetry_forget / period));
  EXPECT_EQ(intake_.senders(), 0u);
  EXPECT_TRUE(is_stale(at(up_)->value));
}

TEST_F(TelemetryIntakeTest, AFrameThatIsNoneOrComesTwiceIsCountedAndChangesNothing) {
  Source source;
  const std::string frame = source.frame(1'000, true);
  take(frame);
  const auto before = newest(*store_).size();
  take(frame);
  take("");
  take(frame.substr(0, frame.size() - 1));
  EXPECT_EQ(own("frames_refused_total", "outdated"), 1);
  EXPECT_EQ(own("frames_refused_total", "malformed"), 2);
  EXPECT_EQ(newest(*store_).size(), before);
}

TEST_F(TelemetryIntakeTest, ThereAreSoManySendersAndOneThatIsGoneMakesRoom) {
  std::vector<std::unique_ptr<Source>> sources;
  for (std::size_t i = 0; i < limits::telemetry_senders; ++i) {
    sources.push_back(std::make_unique<Source>("c-" + std::to_string(i)));
    take(sources.back()->frame(1'000, true));
  }
  Source more("more");
  take(more.frame(1'000, true));
  EXPECT_EQ(own("frames_refused_total", "senders"), 1);
  EXPECT_EQ(own("senders"), static_cast<double>(limits::telemetry_senders));
  sources[7]->count.add();
  pass(2);
  for (const auto& source : sources)
    if (source != sources[7]) take(source->frame(3'000));
  pass();
  take(more.frame(4'000, true));
  EXPECT_EQ(intake_.senders(), limits::telemetry_senders);
  EXPECT_EQ(at(R"(up{instance="more", job="compute"})")->value, 1);
  EXPECT_TRUE(is_stale(at(R"(up{instance="c-7", job="compute"})")->value));
}

TEST_F(TelemetryIntakeTest, SeriesForWhichTheStoreHasNoRoomAreRefusedAndTheOthersGoOn) {
  Folder small;
  const auto store = open_store(small.path(), 2);
  metrics::Registry registry;
  TelemetryIntake intake(*store, registry);
  Source source;
  source.registry.gauge("tallymill_more", "Is.").set(1);
  source.registry.histogram("tallymill_length_seconds", "Lasts.").record(1ms);
  intake.take(source.frame(1'000, true), now_);
  source.count.add();
  intake.take(source.frame(2'000), now_);
  const auto all = newest(*store);
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(all.at(count_).value, 1);
}

TEST_F(TelemetryIntakeTest, LabelsOfItsOwnThatAreCalledAsTheCollectorsAreRenamed) {
  Source source;
  source.registry.gauge("tallymill_a", "Is.", {{"job", "mine"}, {"instance", "x"}}).set(1);
  take(source.frame(1'000, true));
  EXPECT_EQ(at(R"(tallymill_a{exported_instance="x", exported_job="mine", instance="c-1", )"
               R"(job="compute"})")
                ->value,
            1);
}

TEST_F(TelemetryIntakeTest, LabelsThatAreNoneAreRefusedAndTheOthersGoOn) {
  Source source;
  source.registry.gauge("tallymill_a", "Is.", {{"k", "\xff"}}).set(1);
  source.count.add();
  take(source.frame(1'000, true));
  EXPECT_EQ(newest(*store_).size(), 2u);
  EXPECT_EQ(at(count_)->value, 1);
  EXPECT_EQ(own("series_refused_total", "labels"), 1);
}

// ---- what numbers stand for, of all senders ----

class TelemetryNumbersTest : public TelemetryIntakeTest {
 protected:
  // An intake with this bound, and what it says of itself.
  struct Bounded {
    Bounded(Store& store, std::size_t bytes) : intake(store, registry, {}, bytes) {}
    [[nodiscard]] double said(const std::string& name, const std::string& why = "") const {
      for (const auto& family : registry.snapshot().families)
        for (const auto& sample : family.samples)
          if (family.name == "tallymill_collector_telemetry_" + name &&
              (why.empty() || sample.labels[0].second == why))
            return sample.value;
      return -1;
    }
    [[nodiscard]] std::size_t held() const {
      return static_cast<std::size_t>(said("numbers_bytes"));
    }
    [[nodiscard]] std::size_t refused() const {
      return static_cast<std::size_t>(said("series_refused_total", "numbers"));
    }
    metrics::Registry registry;
    TelemetryIntake intake;
  };
  // A process with one counter and one histogram.
  struct Both : Source {
    explicit Both(std::string instance) : Source(std::move(instance)) {
      count.add();
      registry.histogram("tallymill_length_seconds", "Lasts.").record(1ms);
    }
  };
  // One histogram under so many numbers, which no process says.
  static std::string forged(std::uint32_t numbers, std::int64_t incarnation = 1) {
    bus::TelemetryFrame frame;
    frame.job = "forged";
    frame.instance = "f";
    frame.incarnation = incarnation;
    frame.sequence = 1;
    frame.t_ms = 1'000;
    frame.families.push_back({.name = "tallymill_length_seconds",
                              .help = "",
                              .type = metrics::Type::histogram,
                              .unit = metrics::Unit::seconds,
                              .series = numbers});
    for (std::uint32_t id = 0; id < numbers; ++id) frame.series.push_back({id, 0});
    bus::Buffer out;
    bus::encode(frame, out);
    return std::string(out.view());
  }
  std::size_t bytes_of_one() {
    Bounded free(*store_, 1 << 20);
    free.intake.take(Both("c-0").frame(1'000, true), now_);
    EXPECT_GT(free.held(), 0U);
    return free.held();
  }
};

TEST_F(TelemetryNumbersTest, TakeSoManyBytesTogetherAndWhatIsAboveIsRefusedAndTheOthersGoOn) {
  const std::size_t one = bytes_of_one();
  for (const std::size_t missing : {0U, 1U}) {
    Bounded bounded(*store_, 2 * one - missing);
    Both first("c-1");
    Both second("c-2");
    bounded.intake.take(first.frame(1'000, true), now_);
    bounded.intake.take(second.frame(1'000, true), now_);
    EXPECT_EQ(bounded.refused(), missing);
    EXPECT_LE(bounded.held(), 2 * one - missing);
    Both third("c-3");
    bounded.intake.take(third.frame(1'000, true), now_);
    EXPECT_GT(bounded.refused(), missing);
    EXPECT_LE(bounded.held(), 2 * one - missing);
    first.count.add();
    bounded.intake.take(first.frame(2'000), now_);
    EXPECT_EQ(at(count_)->value, 2);
    EXPECT_EQ(at(count_)->t_ms, 2'000);
    EXPECT_EQ(at(R"(up{instance="c-3", job="compute"})")->value, 1);
  }
}

TEST_F(TelemetryNumbersTest, OfWhoNamesOneSeriesAgainAndAgainAreBoundedAndMakeRoomWhenItIsGone) {
  const std::size_t one = bytes_of_one();
  Bounded bounded(*store_, 100 * one);
  Both before("c-1");
  bounded.intake.take(before.frame(1'000, true), now_);
  bounded.intake.take(forged(limits::telemetry_series), now_);
  EXPECT_GT(bounded.refused(), 0U);
  EXPECT_LE(bounded.held(), 100 * one);
  EXPECT_GT(bounded.held(), 99 * one);
  // What its earlier process held is free, not only unused.
  bounded.intake.take(forged(1, 2), now_);
  EXPECT_LT(bounded.held(), 3 * one);
  bounded.intake.take(forged(limits::telemetry_series, 3), now_);
  EXPECT_GT(bounded.held(), 99 * one);

  Both late("c-9");
  const std::string late_count = R"(tallymill_count_total{instance="c-9", job="compute"})";
  bounded.intake.take(late.frame(1'000, true), now_);
  for (int i = 1; i <= limits::telemetry_missing + 1; ++i) {
    now_ += period;
    bounded.intake.look(now_);
    bounded.intake.take(before.frame(1'000 + 1'000 * i), now_);
    bounded.intake.take(late.frame(1'000 + 1'000 * i, true), now_);
  }
  EXPECT_EQ(bounded.held(), 2 * one);
  late.count.add();
  bounded.intake.take(late.frame(9'000), now_);
  EXPECT_EQ(at(late_count)->value, 2);
  EXPECT_EQ(at(R"(up{instance="f", job="forged"})")->value, 0);
}

TEST_F(TelemetryNumbersTest, OfWhoEndsOrIsForgottenAreNotHeld) {
  Bounded bounded(*store_, 1 << 20);
  Both ends("c-1");
  bounded.intake.take(ends.frame(1'000, true, true), now_);
  EXPECT_EQ(bounded.held(), 0U);
  bounded.intake.take(Both("c-2").frame(1'000, true), now_);
  EXPECT_GT(bounded.held(), 0U);
  now_ += period;
  bounded.intake.look(now_);
  // A second at a time, or the collector would take itself for the one that was stopped.
  for (auto passed = 0ms; passed < limits::telemetry_forget; passed += period) {
    now_ += period;
    bounded.intake.look(now_);
  }
  EXPECT_EQ(bounded.intake.senders(), 0U);
  EXPECT_EQ(bounded.held(), 0U);
}

// ---- as it is: threads and sockets ----

// Between senders and a collector: a frame in so many vanishes.
class LossyRelay {
 public:
  LossyRelay(zmq::context_t& context, const std::string& in, const std::string& out,
             std::uint64_t seed)
      : random_(seed), out_(context, zmq::socket_type::push) {
    auto pull = bus::open_socket(context, bus::Role::telemetry_in, in);
    EXPECT_TRUE(pull.has_value());
    in_ = std::move(*pull);
    in_.set(zmq::sockopt::rcvtimeo, 20);
    out_.set(zmq::sockopt::linger, 0);
    out_.set(zmq::sockopt::immediate, true);
    out_.connect(out);
    thread_ = std::thread([this] { run(); });
  }
  ~LossyRelay() {
    stop_ = true;
    thread_.join();
  }
  LossyRelay(const LossyRelay&) = delete;
  LossyRelay& operator=(const LossyRelay&) = delete;

  int dropped() const { return dropped_; }
  int passed() const { return passed_; }

 private:
  void run() {
    zmq::message_t message;
    while (!stop_) {
      if (!in_.recv(message)) continue;
      const bool lost = std::uniform_int_distribution(1, 100)(random_) <= 30;
      if (lost || !out_.send(message, zmq::send_flags::dontwait))
        ++dropped_;
      else
        ++passed_;
    }
  }
  std::mt19937_64 random_;
  zmq::socket_t in_;
  zmq::socket_t out_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> dropped_ = 0;
  std::atomic<int> passed_ = 0;
  std::thread thread_;
};

TEST(Telemetry, EveryCounterEqualsItsSourceAfterLostFramesAndACollectorThatDied) {
  const std::uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Folder folder;
  const std::string to_relay = "ipc://" + (folder.path() / "relay").string();
  const std::string to_door = "ipc://" + (folder.path() / "door").string();
  zmq::context_t context;
  LossyRelay relay(context, to_relay, to_door, seed);

  metrics::Registry registries[3];
  std::vector<std::unique_ptr<bus::Telemetry>> senders;
  for (int i = 0; i < 3; ++i) {
    auto made = bus::Telemetry::start(
        context, {.endpoint = to_relay,
                  .job = "test",
                  .instance = std::to_string(i),
                  .sources = {[&registry = registries[i]] { return registry.snapshot(); }},
                  .period = 5ms});
    ASSERT_TRUE(made.has_value());
    senders.push_back(std::move(*made));
  }
  // Counts that go on all the while, and series that appear in between.
  std::mt19937_64 random(seed);
  const auto count_until = [&](int frames) {
    for (int seen = relay.passed(); relay.passed() < seen + frames;) {
      metrics::Registry& registry = registries[random() % 3];
      registry
          .counter("tallymill_" + std::string(1, static_cast<char>('a' + random() % 20)) + "_total",
                   "Counts.")
          .add(random() % 100);
      registry.histogram("tallymill_length_seconds", "Lasts.")
          .record(Duration(random() % 1'000'000));
      std::this_thread::yield();
    }
  };

  for (int life = 0; life < 4; ++life) {
    auto store = open_store(folder.path() / "store");
    metrics::Registry own;
    TelemetryDoor door(*store, own, {{to_door}, "collector", false});
    ASSERT_TRUE(door.open().has_value());
    door.start();
    count_until(200);
    // Nothing is counted any more: two whole frames later all is equal, for it is lost with a
    // chance of one in ten at most; the loop is bounded by the test's own time.
    const auto equal = [&] {
      const auto all = newest(*store);
      for (int i = 0; i < 3; ++i)
        for (const auto& family : registries[i].snapshot().families) {
          const std::string labels = "{instance=\"" + std::to_string(i) + "\", job=\"test\"}";
          for (const auto& sample : family.samples) {
            const auto found = all.find(family.name + labels);
            if (found == all.end() || found->second.value != sample.value) return false;
          }
          for (const auto& one : family.distributions) {
            const auto found = all.find(family.name + "_count" + labels);
            if (found == all.end() ||
                found->second.value != static_cast<double>(one.histogram.count()))
              return false;
          }
        }
      return true;
    };
    bool is_equal = false;
    for (const int until = relay.passed() + 1'000; !is_equal && relay.passed() < until;)
      is_equal = equal();
    EXPECT_TRUE(is_equal) << "life " << life;
  }
  EXPECT_GT(relay.dropped(), relay.passed() / 4);
}

}  // namespace
}  // namespace tallymill::collector
