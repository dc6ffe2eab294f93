// 1. The thread looks at all targets: what is due is asked, what is past its timeout is cancelled.
// 2. The HTTP client gathers an answer; its end puts it into a list that wakes the thread.
// 3. The thread reads the answer into points and stores them, with what is told of the scrape.
#include "collector/scrape.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/duration.h"
#include "base/limits.h"
#include "base/thread.h"
#include "collector/answers.h"
#include "collector/csv.h"
#include "collector/gunzip.h"
#include "collector/promql/print.h"
#include "collector/target_series.h"

namespace tallymill::collector {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::int64_t tolerance_ms = 2;  // a scrape that is so little late is in time
constexpr const char* accepted =
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

std::int64_t wall_ms() { return to_ns(SystemClock().wall()) / 1'000'000; }

std::string json_of(std::string_view text) {
  std::string json;
  append_json(json, text);
  return json;
}

std::size_t bytes_of(Bytes bytes) { return static_cast<std::size_t>(bytes.raw()); }

}  // namespace

// Of one scrape: the client's thread fills it, the scraper's reads it when it has ended.
struct Scraper::Answer {
  std::string body;
  std::string type;
  std::string coding;
  int status = 0;
  bool too_big = false;
  bool too_much = false;  // of all
  std::optional<Error> failed = {};
  Time ended = {};
};

struct Scraper::Target {
  Target(const ScrapeJob& of, const ScrapeTarget& told, TargetSeries own)
      : job(of), target(told), series(std::move(own)) {}

  const ScrapeJob& job;
  const ScrapeTarget& target;
  TargetSeries series;
  // The scraper's thread:
  Time due = {};
  Time asked = {};
  std::int64_t t_ms = 0;
  http::Client::RequestId request = 0;
  bool under_way = false;
  bool cancelled = false;
  // Guarded by mutex_:
  std::string last_error = {};
  std::int64_t last_ms = 0;
  double last_seconds = 0;
  const char* health = "unknown";
};

ScrapeProbe::ScrapeProbe(metrics::Registry& registry)
    : targets(registry.gauge("tallymill_collector_scrape_targets",
                             "Targets that are asked for their metrics.")),
      held_bytes(registry.gauge("tallymill_collector_scrape_held_bytes",
                                "Bytes of answers that are on their way or wait to be read.")),
      answered(registry.counter("tallymill_collector_scrapes_total", "Scrapes, by how they ended.",
                                {{"outcome", "answered"}})),
      failed(registry.counter("tallymill_collector_scrapes_total", "Scrapes, by how they ended.",
                              {{"outcome", "failed"}})),
      late(registry.counter("tallymill_collector_scrapes_late_total",
                            "Scrapes that were not made, for the one before them went on.")),
      samples(registry.counter("tallymill_collector_scraped_samples_total",
                               "Samples of answers that were stored.")),
      bad_labels(registry.counter("tallymill_collector_scrape_refused_samples_total",
                                  "Samples of answers that were not stored, and why.",
                                  {{"why", "labels"}})),
      no_room(registry.counter("tallymill_collector_scrape_refused_samples_total",
                               "Samples of answers that were not stored, and why.",
                               {{"why", "series"}})) {}

Scraper::Scraper(std::vector<ScrapeJob> jobs, Store& store, MetadataStore& metadata,
                 ExemplarStore& exemplars, metrics::Registry& registry, Bytes held)
    : jobs_(std::move(jobs)),
      most_held_(held),
      store_(store),
      probe_(registry),
      client_({.silence = std::chrono::hours(24),  // each scrape has an end of its own
               .thread = "scrape client"}) {
  for (const ScrapeJob& job : jobs_)
    for (const ScrapeTarget& target : job.targets)
      targets_.push_back(std::make_unique<Target>(
          job, target, TargetSeries(job, target, store, metadata, exemplars)));
  probe_.targets.set(static_cast<double>(targets_.size()));
}

Scraper::~Scraper() { stop(); }

Status Scraper::start() {
  if (auto started = client_.start(); !started) return started;
  begun_ = steady_clock::now();
  begun_ms_ = wall_ms();
  for (const auto& target : targets_) {
    const std::int64_t interval = target->job.interval.count();
    const std::size_t hash =
        std::hash<std::string>()(target->target.url + std::string(target->target.labels.packed()));
    const auto offset = static_cast<std::int64_t>(hash % static_cast<std::size_t>(interval));
    const std::int64_t into = ((begun_ms_ - offset) % interval + interval) % interval;
    target->due = begun_ + milliseconds(interval - into);
  }
  thread_ = std::thread([this] { run(); });
  return {};
}

void Scraper::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  client_.stop();
}

void Scraper::run() {
  name_thread("scrape");
  Time next = steady_clock::now();
  std::vector<std::pair<Target*, std::shared_ptr<Answer>>> answers;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_until(lock, next, [&] { return stopping_ || !answers_.empty(); });
      if (stopping_) return;
      answers.swap(answers_);
    }
    for (const auto& [target, answer] : answers) answered(*target, *answer);
    answers.clear();
    next = look(steady_clock::now());
    probe_.held_bytes.set(static_cast<double>(held_.load()));
  }
}

Scraper::Time Scraper::look(Time now) {
  Time next = now + std::chrono::seconds(1);
  for (const auto& target : targets_) {
    const Time end = target->asked + target->job.timeout;
    if (target->under_way && !target->cancelled && end <= now) {
      target->cancelled = true;
      client_.cancel(target->request);
    }
    if (target->due <= now) {
      if (target->under_way) {
        probe_.late.add();
      } else {
        ask(*target, now);
      }
      const auto missed = (now - target->due) / target->job.interval;
      target->due += (missed + 1) * target->job.interval;
    }
    next = std::min(next, target->due);
    if (target->under_way && !target->cancelled)
      next = std::min(next, target->asked + target->job.timeout);
  }
  return next;
}

// The time when it was due, if it is in time: times that are a step apart cost next to nothing.
std::int64_t Scraper::time_of(const Target& target, Time now) const {
  const auto ms = [&](Time at) {
    return begun_ms_ + std::chrono::round<milliseconds>(at - begun_).count();
  };
  const std::int64_t wall = wall_ms();
  const std::int64_t due = ms(target.due);
  return now >= target.due && std::abs(wall - due) <= tolerance_ms ? due : wall;
}

void Scraper::ask(Target& target, Time now) {
  target.asked = now;
  target.t_ms = time_of(target, now);
  target.under_way = true;
  target.cancelled = false;
  http::ClientRequest asked{.url = target.target.url, .timeout = target.job.timeout};
  asked.headers.add("Accept", accepted);
  asked.headers.add("Accept-Encoding", "gzip");
  asked.headers.add("User-Agent", "Tallymill");
  asked.headers.add("X-Prometheus-Scrape-Timeout-Seconds",
                    promql::number_text(static_cast<double>(target.job.timeout.count()) / 1000));
  if (!target.job.token.empty())
    asked.headers.add("Authorization", "Bearer " + std::string(target.job.token.reveal()));
  const auto answer = std::make_shared<Answer>();
  target.request = client_.stream(
      std::move(asked),
      [this, answer](const http::ClientResponse& head, std::string_view piece) {
        if (answer->status == 0) {
          answer->status = head.status;
          answer->type = head.headers.get("Content-Type");
          answer->coding = http::lower_case(head.headers.list("Content-Encoding"));
        }
        if (answer->too_big || answer->too_much) return;
        answer->too_big = answer->body.size() + piece.size() > bytes_of(limits::scrape_body_bytes);
        answer->too_much = held_.load() + piece.size() > bytes_of(most_held_);
        if (answer->too_big || answer->too_much) {
          held_ -= answer->body.size();
          answer->body = {};
          return;
        }
        held_ += piece.size();
        answer->body += piece;
      },
      [this, answer, at = &target](const Result<http::ClientResponse>& ended) {
        if (!ended) answer->failed = ended.error();
        answer->ended = steady_clock::now();
        const std::lock_guard lock(mutex_);
        answers_.emplace_back(at, answer);
        wake_.notify_all();
      });
}

Status Scraper::read(Target& target, const Answer& answer, std::vector<Point>& points) {
  if (target.cancelled || (answer.failed && answer.failed->code == Errc::deadline))
    return fail(Errc::deadline,
                fmt::format("no answer within {}", duration_text(target.job.timeout.count())));
  if (answer.too_big)
    return fail(Errc::too_big,
                fmt::format("its answer has more than {} bytes", limits::scrape_body_bytes.raw()));
  if (answer.too_much)
    return fail(Errc::too_big,
                fmt::format("answers of all targets have more than {} bytes", most_held_.raw()));
  if (answer.failed) return std::unexpected(*answer.failed);
  if (answer.status != 200)
    return fail(Errc::bad_frame, fmt::format("server returned HTTP status {} {}", answer.status,
                                             http::reason_of(answer.status)));
  std::string unpacked;
  std::string_view text = answer.body;
  if (answer.coding == "gzip") {
    auto all = gunzip(answer.body, limits::scrape_body_bytes);
    if (!all) return std::unexpected(std::move(all).error());
    unpacked = std::move(*all);
    text = unpacked;
  } else if (!answer.coding.empty() && answer.coding != "identity") {
    return fail(Errc::bad_frame, "its Content-Encoding is none that was asked for");
  }
  auto counts = target.series.take(text, exposition_format(answer.type), target.t_ms, points);
  if (!counts) return std::unexpected(std::move(counts).error());
  const std::chrono::duration<double> took = answer.ended - target.asked;
  target.series.report(true, took.count(), *counts, target.t_ms, points);
  probe_.samples.add(counts->kept);
  probe_.bad_labels.add(counts->bad_labels);
  probe_.no_room.add(counts->no_room);
  return {};
}

void Scraper::answered(Target& target, const Answer& answer) {
  const std::chrono::duration<double> took = answer.ended - target.asked;
  points_.clear();
  Status read_it = read(target, answer, points_);
  if (!read_it) {
    points_.clear();
    target.series.lose(target.t_ms, points_);
    target.series.report(false, took.count(), {}, target.t_ms, points_);
  }
  if (auto stored = store_.append(points_); !stored && read_it) read_it = std::move(stored);
  held_ -= answer.body.size();
  target.under_way = false;
  (read_it ? probe_.answered : probe_.failed).add();
  const std::lock_guard lock(mutex_);
  target.last_error = read_it ? "" : read_it.error().message;
  target.last_ms = target.t_ms;
  target.last_seconds = took.count();
  target.health = read_it ? "up" : "down";
}

std::string Scraper::targets(std::string_view pool) const {
  std::string json = "[";
  const std::lock_guard lock(mutex_);
  for (const auto& target : targets_) {
    const ScrapeJob& job = target->job;
    if (!pool.empty() && job.name != pool) continue;
    const std::string interval = duration_text(job.interval.count());
    const std::string timeout = duration_text(job.timeout.count());
    LabelsBuilder discovered(target->target.own);
    discovered.set("__address__", target->target.address);
    discovered.set("__metrics_path__", job.path);
    discovered.set("__scheme__", job.scheme);
    discovered.set("__scrape_interval__", interval);
    discovered.set("__scrape_timeout__", timeout);
    if (target->target.own.get("job").empty()) discovered.set("job", job.name);
    json += json.size() > 1 ? ",{" : "{";
    json += "\"discoveredLabels\":";
    append_json(json, discovered.build());
    json += ",\"labels\":";
    append_json(json, target->target.labels);
    std::string last;
    if (target->last_ms != 0)
      append_rfc3339(last, target->last_ms);
    else
      last = "0001-01-01T00:00:00Z";
    json += fmt::format(
        ",\"scrapePool\":{},\"scrapeUrl\":{},\"globalUrl\":{},\"lastError\":{},\"lastScrape\":\"{}"
        "\",\"lastScrapeDuration\":{},\"health\":\"{}\",\"scrapeInterval\":\"{}\","
        "\"scrapeTimeout\":\"{}\"}}",
        json_of(job.name), json_of(target->target.url), json_of(target->target.url),
        json_of(target->last_error), last, promql::number_text(target->last_seconds),
        target->health, interval, timeout);
  }
  return json + "]";
}

std::string Scraper::pools() const {
  std::set<std::string_view> names;
  for (const ScrapeJob& job : jobs_) names.insert(job.name);
  std::string json = "[";
  for (const std::string_view name : names) json += (json.size() > 1 ? "," : "") + json_of(name);
  return json + "]";
}

}  // namespace tallymill::collector
