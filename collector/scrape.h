// Scraper: asks targets for their metrics, each at its interval, and puts what they say into the
// store.
//
// Targets are spread over their interval by a hash of what they are, so that they do not all come
// at once, and each comes at the same point of it after a restart too. Text 0.0.4 and OpenMetrics
// are read, gzip or not. A scrape that is late is made once, not made up for.
//
//   invariant: of one target one scrape is under way; it ends by its timeout
//   invariant: at most limits::scrape_body_bytes of an answer and limits::scrapes_held_bytes of
//              all; more is a scrape that failed
//
// Threads: start(), stop() by its maker; what it tells from any. Inside, one that schedules, reads
// and stores, and the HTTP client's.
// Source: Prometheus 2.42, scraping.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "collector/exemplars.h"
#include "collector/metadata.h"
#include "collector/scrape_config.h"
#include "collector/store.h"
#include "http/client.h"

namespace tallymill::collector {

// Its metrics. Threads: the scraper's own.
class ScrapeProbe {
 public:
  explicit ScrapeProbe(metrics::Registry& registry);
  metrics::Gauge& targets;
  metrics::Gauge& held_bytes;
  metrics::Counter& answered;
  metrics::Counter& failed;
  metrics::Counter& late;
  metrics::Counter& samples;
  metrics::Counter& bad_labels;
  metrics::Counter& no_room;
};

class Scraper {
 public:
  // REQUIRES: all of them outlive it. `held`: a bound that tests lower.
  Scraper(std::vector<ScrapeJob> jobs, Store& store, MetadataStore& metadata,
          ExemplarStore& exemplars, metrics::Registry& registry,
          Bytes held = limits::scrapes_held_bytes);
  ~Scraper();
  Scraper(const Scraper&) = delete;
  Scraper& operator=(const Scraper&) = delete;

  // As http::Client::start().
  [[nodiscard]] Status start();
  void stop();

  // JSON lists, as Prometheus' /api/v1/targets and /scrape_pools have them. `pool`: empty for all.
  [[nodiscard]] std::string targets(std::string_view pool) const;
  [[nodiscard]] std::string pools() const;
  [[nodiscard]] std::string config() const { return text_of(jobs_); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Answer;
  struct Target;
  void run();
  // When something is to be done next.
  Time look(Time now);
  void ask(Target& target, Time now);
  void answered(Target& target, const Answer& answer);
  [[nodiscard]] Status read(Target& target, const Answer& answer, std::vector<Point>& points);
  [[nodiscard]] std::int64_t time_of(const Target& target, Time now) const;

  const std::vector<ScrapeJob> jobs_;
  const Bytes most_held_;
  Store& store_;
  ScrapeProbe probe_;
  http::Client client_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::vector<Point> points_;
  Time begun_;
  std::int64_t begun_ms_ = 0;
  std::atomic<std::size_t> held_ = 0;  // bytes of answers

  mutable std::mutex mutex_;  // guards what is below, and what targets are told to be
  std::vector<std::pair<Target*, std::shared_ptr<Answer>>> answers_;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace tallymill::collector
