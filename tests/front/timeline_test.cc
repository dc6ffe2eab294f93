// The parts of a job's time. Goal: they add up to the whole when every stamp is there, and do not
// when one is missing or taken at another point. Method: stamps by hand, and random lives whose
// parts are drawn first and stamped from.
#include "front/timeline.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "bus/envelope.h"

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
  EXPECT_EQ(parts[2].title(), "queue");
  EXPECT_EQ(parts[2].length, microseconds(100));
  EXPECT_EQ(parts[9].title(), "service:image");
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

TEST(Parts, OfAJobThatWasStoppedBeforeItStartedAreAWaitUntilItWasGivenBack) {
  auto hops = two_hops();
  hops[1].started_ns = hops[1].finished_ns = 0;
  const auto parts = parts_of(front_stamps(), hops, Duration(0));
  EXPECT_EQ(sum_of(parts), microseconds(4000));
  EXPECT_EQ(parts[8].title(), "wait:image");
  EXPECT_EQ(parts[8].length, microseconds(2890));
}

TEST(Parts, OfALostAttemptAreOne) {
  const auto parts = parts_of(front_stamps(), {}, Duration(0), false);
  EXPECT_EQ(sum_of(parts), microseconds(4000));
  EXPECT_EQ(parts.back().title(), "lost attempt");
  // A worker that told of it and gave no stamps is another matter: that time is nobody's.
  EXPECT_LT(sum_of(parts_of(front_stamps(), {}, Duration(0))), microseconds(300));
}

TEST(Cut, IsNoneWhenThePartsDoNotReachTheWholeOrOneEndsBeforeItBegins) {
  const auto parts = parts_of(front_stamps(), two_hops(), Duration(0));
  const Duration whole = microseconds(4000);
  EXPECT_TRUE(cuts(parts, whole, Duration(0)));
  EXPECT_FALSE(cuts(parts, whole + microseconds(50), Duration(0)));
  // A stamp from nowhere: what one part gains the next one loses, and the sum stays.
  auto hops = two_hops();
  hops[1].handed_ns = ns(9000);
  const auto impossible = parts_of(front_stamps(), hops, Duration(0));
  EXPECT_EQ(sum_of(impossible), whole);
  EXPECT_FALSE(cuts(impossible, whole, Duration(0)));
  EXPECT_TRUE(cuts(impossible, whole, microseconds(4000))) << "clocks are no better than that";
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
  stored.timeline = pack_attempt(second, {7, 1, 2}, "lost", {});
  stored.whole = microseconds(4100);
  const auto timeline = timeline_json(stored);
  ASSERT_TRUE(timeline.has_value());
  const std::string text = timeline->dump();
  EXPECT_NE(text.find("\"backoff\":1000000"), std::string::npos) << text;
  EXPECT_NE(text.find("\"lost attempt\":2610000"), std::string::npos) << text;
  EXPECT_NE(text.find("\"settle\":100000"), std::string::npos) << text;
  EXPECT_NE(text.find("[7,1,2]"), std::string::npos) << text;
}

// A job's life, drawn part by part; the stamps follow, and so does what a timeline should say.
class Life {
 public:
  explicit Life(std::uint32_t seed) : random_(seed) {
    at_.intake = now_;
    at_.queued = pass("intake");
    at_.accepted = pass("commit");
    at_.ready = chance(4) ? pass("earlier") : now_;
    for (int n = draw(4); n > 0; --n) {
      const bool lost = chance(2);
      stored_.failed_attempts.push_back(attempt(lost ? "lost" : "failed"));
      at_.ready = pass("backoff");
      // The next front knows no more than when the job was queued.
      if (chance(4)) at_.accepted = at_.queued;
    }
    stored_.job.id = JobId(7);
    stored_.timeline = attempt(ends[static_cast<std::size_t>(draw(5))]);
    pass("settle");
    stored_.whole = now_ - at_.intake;
    stored_.intake = at_.intake;
    stored_.queued = at_.queued;
  }

  [[nodiscard]] const StoredTimeline& stored() const { return stored_; }
  [[nodiscard]] const std::map<std::string, std::int64_t>& parts() const { return parts_; }

 private:
  static constexpr std::array<const char*, 5> ends{"ok", "error", "stopped", "lost", ""};

  int draw(int n) { return std::uniform_int_distribution(0, n - 1)(random_); }
  bool chance(int one_in) { return draw(one_in) == 0; }
  Instant pass(const std::string& part) {
    const microseconds length(1 + draw(5000));
    parts_[part] += std::chrono::nanoseconds(length).count();
    return now_ += length;
  }

  std::string attempt(std::string_view outcome) {
    const bool never_sent = outcome.empty();
    at_.dispatched = pass("queue");
    bus::Done done{.token = {7, 1, ++attempts_}, .worker = "w", .outcome = "ok"};
    if (outcome == "lost") {
      at_.returned = pass("lost attempt");
      return pack_attempt(at_, done.token, outcome, {});
    }
    if (never_sent) {
      at_.returned = now_;
      return pack_attempt(at_, {}, outcome, {});
    }
    const bool unstarted = outcome == "stopped" && chance(2);
    for (int n = 1 + draw(2), i = 0; i < n; ++i) {
      const std::string stage = i == 0 ? "compute" : "image";
      bus::Hop hop{.stage = i == 0 ? "compute" : "image", .worker = "w", .sent_ns = to_ns(now_)};
      hop.received_ns = to_ns(pass("wire:" + stage));
      const bool never_ran = unstarted && i + 1 == n;
      if (never_ran) {
        hop.handed_ns = to_ns(pass("wait:" + stage));
      } else {
        hop.started_ns = to_ns(pass("wait:" + stage));
        hop.finished_ns = to_ns(pass("service:" + stage));
        hop.handed_ns = to_ns(pass("handover:" + stage));
      }
      done.hops.push_back(hop);
    }
    at_.returned = pass("wire:front");
    bus::Packer packer;
    packer.add(done);
    return pack_attempt(at_, done.token, outcome, packer.take()[1].to_string_view());
  }

  std::mt19937 random_;
  Instant now_ = at(1000);
  FrontStamps at_;
  std::int32_t attempts_ = 0;
  StoredTimeline stored_;
  std::map<std::string, std::int64_t> parts_;
};

TEST(StoredTimeline, OfAnyLifeGivesEachPartItsOwnTimeAndAddsUpToTheWhole) {
  const auto first = std::random_device()();
  for (std::uint32_t seed = first; seed != first + 2000; ++seed) {
    const Life life(seed);
    const auto timeline = timeline_json(life.stored());
    ASSERT_TRUE(timeline.has_value()) << "seed " << seed;
    std::map<std::string, std::int64_t> said;
    std::int64_t sum = 0;
    for (const auto& [name, length] : timeline->at("parts").items()) {
      if (length != 0) said[name] = length;
      sum += length.get<std::int64_t>();
    }
    ASSERT_EQ(said, life.parts()) << "seed " << seed;
    ASSERT_EQ(sum, timeline->at("whole_ns").get<std::int64_t>()) << "seed " << seed;
  }
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
