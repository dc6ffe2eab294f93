// bench backtest_load: what bench/backtest.py sends: days of samples of a shop, with incidents at
// known times.
//
// usage: bench_backtest_load PORT DAYS END_MS INCIDENTS
//
// Each 15 s: 200 counters of requests (10/s), 20 histograms of 10 buckets (99 % below 0.5 s), 200
// lengths of queues (of 10 zones of capacity 100, each below 50) and these capacities. An incident
// lasts 20 minutes: a counter grows four times as fast, or a histogram's observations are beyond
// 5 s, or a queue is 95 long; `INCIDENTS` of each kind, spread over all but the first and the last
// hour. It prints them: of which series, and from when, as one JSON object.
//
// Threads: one.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "http/client.h"
#include "tests/collector/write_request.h"

namespace tallymill::collector {
namespace {

constexpr std::int64_t step_ms = 15'000;
constexpr std::int64_t hour_ms = 3'600'000;
constexpr std::int64_t incident_ms = 20 * 60'000;
constexpr std::size_t counters = 200;
constexpr std::size_t histograms = 20;
constexpr std::size_t queues = 200;
constexpr std::size_t zones = 10;
constexpr std::size_t steps_at_once = 20;
constexpr std::size_t request_samples = 4'000;
constexpr std::array<const char*, 10> bounds = {"0.05", "0.1", "0.2", "0.5", "1",
                                                "2",    "5",   "10",  "20",  "+Inf"};
// Of 100 observations, how many are below each bound.
constexpr std::array<int, 10> usual = {50, 80, 95, 99, 100, 100, 100, 100, 100, 100};
constexpr std::array<int, 10> slow = {0, 0, 0, 0, 0, 0, 2, 90, 100, 100};

struct Incident {
  std::size_t series;
  std::int64_t from_ms;
};
using Incidents = std::vector<Incident>;

// One after another with time between, each of another series; kinds take turns.
Incidents incidents_of(std::size_t kind, std::size_t count, std::size_t series,
                       std::int64_t begin_ms, std::int64_t end_ms) {
  Incidents all;
  const std::int64_t room = end_ms - begin_ms - 2 * hour_ms;
  for (std::size_t i = 0; i < count; ++i) {
    const auto place = static_cast<double>(3 * i + kind) / static_cast<double>(3 * count);
    all.push_back({(i * 7 + kind) % series,
                   begin_ms + hour_ms +
                       static_cast<std::int64_t>(place * static_cast<double>(room)) + 7'000});
  }
  return all;
}

bool is_on(const Incidents& all, std::size_t series, std::int64_t t_ms) {
  for (const Incident& one : all)
    if (one.series == series && t_ms >= one.from_ms && t_ms < one.from_ms + incident_ms)
      return true;
  return false;
}

// The same in every run.
int noise(std::size_t series, std::int64_t t_ms, int below) {
  std::uint64_t x = series * 0x9e3779b97f4a7c15 + static_cast<std::uint64_t>(t_ms);
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return static_cast<int>((x ^ x >> 31) % static_cast<std::uint64_t>(below));
}

class Shop {
 public:
  Shop(std::size_t count, std::int64_t begin_ms, std::int64_t end_ms) {
    incidents_[0] = incidents_of(0, count, counters, begin_ms, end_ms);
    incidents_[1] = incidents_of(1, count, histograms, begin_ms, end_ms);
    incidents_[2] = incidents_of(2, count, queues, begin_ms, end_ms);
    for (std::size_t i = 0; i < counters; ++i)
      add({{"__name__", "shop_requests_total"}, {"service", fmt::format("service-{}", i)}});
    for (std::size_t i = 0; i < histograms; ++i)
      for (const char* bound : bounds)
        add({{"__name__", "shop_seconds_bucket"},
             {"le", bound},
             {"service", fmt::format("service-{}", i)}});
    for (std::size_t i = 0; i < queues; ++i)
      add({{"__name__", "shop_queue"},
           {"worker", fmt::format("worker-{}", i)},
           {"zone", fmt::format("zone-{}", i % zones)}});
    for (std::size_t i = 0; i < zones; ++i)
      add({{"__name__", "shop_zone_capacity"}, {"zone", fmt::format("zone-{}", i)}});
    values_.resize(labels_.size());
  }

  [[nodiscard]] std::size_t series() const { return labels_.size(); }
  [[nodiscard]] const std::string& labels(std::size_t i) const { return labels_[i]; }
  // The next sample of a series.
  double next(std::size_t i, std::int64_t t_ms) {
    double& value = values_[i];
    if (i < counters)
      return value += (is_on(incidents_[0], i, t_ms) ? 600 : 140) + noise(i, t_ms, 20);
    i -= counters;
    if (i < histograms * bounds.size()) {
      const std::size_t histogram = i / bounds.size();
      const auto& shares = is_on(incidents_[1], histogram, t_ms) ? slow : usual;
      return value += shares[i % bounds.size()];
    }
    i -= histograms * bounds.size();
    if (i < queues) return is_on(incidents_[2], i, t_ms) ? 95 : noise(i, t_ms, 50);
    return 100;
  }
  [[nodiscard]] std::string incidents_json() const {
    constexpr std::array<const char*, 3> names = {"rate", "quantile", "join"};
    std::string out;
    for (std::size_t kind = 0; kind < names.size(); ++kind)
      for (const Incident& one : incidents_[kind])
        out += fmt::format(R"({}{{"kind": "{}", "series": "{}-{}", "from_ms": {}}})",
                           out.empty() ? "" : ", ", names[kind], kind == 2 ? "worker" : "service",
                           one.series, one.from_ms);
    return "[" + out + "]";
  }

 private:
  void add(const TextPairs& pairs) { labels_.push_back(label_fields(pairs)); }
  std::array<Incidents, 3> incidents_;
  std::vector<std::string> labels_;
  std::vector<double> values_;
};

class Pusher {
 public:
  explicit Pusher(std::uint16_t port)
      : url_(fmt::format("http://127.0.0.1:{}/api/v1/write", port)) {
    TM_CHECK(client_.start().has_value());
  }
  void push(std::string&& message) {
    http::ClientRequest request{.method = http::Method::post, .url = url_};
    request.headers.add("Content-Type", "application/x-protobuf");
    request.headers.add("Content-Encoding", "snappy");
    request.headers.add("X-Prometheus-Remote-Write-Version", "0.1.0");
    request.body = snappy_block(message);
    const auto answer = client_.fetch(std::move(request));
    if (answer && answer->status / 100 == 2) return;
    fmt::print(
        stderr, "bench backtest_load: {}\n",
        answer ? fmt::format("{} {}", answer->status, answer->body) : answer.error().message);
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): nothing else runs
  }

 private:
  std::string url_;
  http::Client client_{http::ClientOptions()};
};

void push(std::uint16_t port, std::int64_t days, std::int64_t end_ms, std::size_t incidents) {
  const std::int64_t steps = days * 24 * hour_ms / step_ms;
  const std::int64_t begin_ms = end_ms - (steps - 1) * step_ms;
  Shop shop(incidents, begin_ms, end_ms);
  Pusher pusher(port);
  std::string message;
  std::size_t held = 0;
  for (std::int64_t first = 0; first < steps; first += steps_at_once) {
    const std::int64_t last = std::min<std::int64_t>(first + steps_at_once, steps);
    for (std::size_t i = 0; i < shop.series(); ++i) {
      std::string fields = shop.labels(i);
      for (std::int64_t step = first; step < last; ++step) {
        const std::int64_t t_ms = begin_ms + step * step_ms;
        fields += sample_field(shop.next(i, t_ms), t_ms);
        ++held;
      }
      message += time_series(fields);
      if (held < request_samples && (i + 1 < shop.series() || last < steps)) continue;
      pusher.push(std::move(message));
      message.clear();
      held = 0;
    }
  }
  fmt::print(R"({{"samples": {}, "begin_ms": {}, "incidents": {}}})"
             "\n",
             steps * static_cast<std::int64_t>(shop.series()), begin_ms, shop.incidents_json());
}

template <class Number>
Number number(const char* text) {
  Number value{};
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  if (error == std::errc() && at == end && value > 0) return value;
  fmt::print(stderr, "bench backtest_load: '{}' is no number that it takes\n", text);
  std::exit(2);  // NOLINT(concurrency-mt-unsafe): no other thread yet
}

}  // namespace
}  // namespace tallymill::collector

int main(int argc, char** argv) {
  using namespace tallymill::collector;
  if (argc != 5) {
    fmt::print(stderr, "usage: bench_backtest_load PORT DAYS END_MS INCIDENTS\n");
    return 2;
  }
  push(number<std::uint16_t>(argv[1]), number<std::int64_t>(argv[2]), number<std::int64_t>(argv[3]),
       number<std::size_t>(argv[4]));
}
