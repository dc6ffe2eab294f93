// Arrivals: which samples are to be judged as they come, and when that is done.
//
//   Store ──arrived()──▶ watched? holds? ──▶ waiting, by rule ──▶ a thread ──▶ Manager::begin()
//
// A rule that is judged on arrival compares a selector with a number, so that a sample says by
// itself whether it may begin an alert; whoever ingests does no more than that comparison. A series
// that waits is not put there twice, and a rule is judged for all that wait at once, so what is
// done does not grow with what comes.
//
//   invariant: a series waits at most once for each of its rules
//   invariant: between two judgements of a rule lie limits::arrival_distance, and of the thread's
//              time at most one part in 1 + limits::arrival_rest is spent on them
//
// Threads: made(), arrived(), forgotten() on whoever writes to the store, one at a time; step() on
// the thread that start() makes, or the test's own; the rest by the maker.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "alerting/expression.h"
#include "alerting/group.h"
#include "alerting/limits.h"
#include "alerting/series_table.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "collector/arrivals.h"
#include "collector/query.h"

namespace tallymill::alerting {

// One of a manager's rules, as its files were read the last time.
struct OnArrivalRule {
  std::uint64_t load = 0;  // which time that was
  std::size_t group = 0;
  std::size_t rule = 0;
  std::shared_ptr<const promql::Node> node;  // a plain threshold
};

enum class Tried : std::uint8_t { done, later, gone };
using TakeArrivals = std::function<std::vector<Group::Arrival>()>;

class Arrivals final : public collector::ArrivalListener {
 public:
  struct Options {
    std::chrono::milliseconds lookback = promql::EvaluateOptions().lookback;
    std::size_t watches = limits::arrival_watches;
  };
  // As Manager::begin.
  using Judge = std::function<Tried(const OnArrivalRule& rule, const TakeArrivals& take)>;

  // `source`: of the store that tells this of its samples. What is borrowed outlives it.
  Arrivals(const collector::Source& source, Judge judge, metrics::Registry& registry,
           const Clock& clock, const Options& options);
  ~Arrivals() override;  // stops
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  // Watches the series of these rules, and those that will be made, in place of the ones before.
  // `judge_all`: each is judged once, for it may have got a sample since the rules were read. A
  // rule whose series cannot be found is left to its timer but for those that will be made.
  void watch(std::vector<OnArrivalRule> rules, bool judge_all = false);
  void start();
  // A judgement that runs is waited for.
  void stop();

  void made(collector::SeriesId series, const collector::Labels& labels) override;
  void arrived(std::span<const collector::Point> points) override;
  void forgotten(std::span<const collector::SeriesId> series) override;

  // Judges one rule, if it is time for one. When there is something to do next; max(): when more
  // has come.
  Instant step();

 private:
  struct Waiting {
    collector::SeriesId series;
    Instant due;
  };
  struct Watched {
    OnArrivalRule rule;
    PlainThreshold threshold;
    std::vector<Waiting> waiting;
    Instant due = Instant::max();  // of the first that waits
    Instant not_before = {};       // of the rule
    Instant ready = {};            // as it stands in ready_
  };
  struct Watch {
    std::uint32_t rule;
    bool waits = false;
    PlainThreshold threshold;  // the rule's: it is asked for each sample
  };
  struct Series {
    collector::Labels labels;
    std::vector<Watch> watches;
  };
  struct Probe {
    explicit Probe(metrics::Registry& registry);
    metrics::Counter& judged;
    metrics::Counter& merged;
    metrics::Counter& rests;
    metrics::Gauge& watched;
    metrics::Gauge& unwatched;
  };
  using Lock = std::unique_lock<std::mutex>;

  void run();
  // All REQUIRE that the mutex is held.
  // Null: it is watched already, or there are too many.
  Watch* add(std::uint32_t rule, collector::SeriesId series, const collector::Labels& labels);
  void put(std::uint32_t rule, Watch& watch, const collector::Point& point, Instant now);
  void schedule(std::uint32_t rule);
  [[nodiscard]] std::vector<Group::Arrival> take(std::uint32_t rule);
  void tell_watches();

  const collector::Source& source_;
  const Judge judge_;
  const Clock& clock_;
  const Options options_;

  std::mutex mutex_;  // guards all below; whoever holds it asks the store nothing
  std::condition_variable changed_;
  Probe probe_;
  std::vector<Watched> rules_;
  std::uint64_t generation_ = 0;                                           // of rules_
  std::unordered_map<std::string, std::vector<std::uint32_t>> by_metric_;  // "": of any
  SeriesTable<Series> series_;
  std::set<std::pair<Instant, std::uint32_t>> ready_;  // when, and which, of those that wait
  std::size_t watches_ = 0;
  std::size_t unwatched_ = 0;
  Instant rest_until_;
  bool has_more_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tallymill::alerting
