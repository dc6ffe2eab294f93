// bench parsers: what the collector's doors read, in samples and lines a second of one core. The
// series are known, 10,000 with six labels, as they are nearly always. usage: figures.h.
#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/figures.h"
#include "collector/exposition.h"
#include "collector/labels_check.h"
#include "collector/raw_labels.h"
#include "collector/remote_write.h"
#include "collector/statsd.h"
#include "tests/collector/write_request.h"

namespace tallymill::collector {
namespace {

using Stopwatch = std::chrono::steady_clock;

constexpr std::size_t series_count = 10'000;
constexpr std::size_t request_samples = 2'000;

TextPairs labels_of_series(std::size_t i) {
  return {{"__name__", fmt::format("tallymill_stage_busy_seconds_total_{}", i % 10)},
          {"instance", fmt::format("10.0.{}.{}:9100", i / 256 % 40, i % 256)},
          {"job", "tallymill"},
          {"kind", fmt::format("kind-{}", i % 25)},
          {"stage", i % 2 == 0 ? "image" : "compute"},
          {"worker", fmt::format("worker-{:05}", i)}};
}
std::int64_t time_of(std::size_t step) { return 1'700'000'000'000 + std::int64_t(step) * 15'000; }
double value_of(std::size_t series, std::size_t step) {
  return static_cast<double>(series + step * 3) * 0.25;
}

// A store that knows its series: the hash of the raw labels, proved by the labels themselves.
class Known : public WriteSink {
 public:
  Known() : table_(std::size_t{1} << 16) {}
  std::expected<SeriesId, Refused> series(std::string_view raw) override {
    const std::size_t key = std::hash<std::string_view>()(raw);
    for (std::size_t at = key & (table_.size() - 1);; at = (at + 1) & (table_.size() - 1)) {
      const auto& [hash, number] = table_[at];
      if (number == 0) return make(raw, at, key);
      if (hash == key && same_labels(raw, labels_[number - 1])) return SeriesId(number - 1);
    }
  }
  void exemplar(SeriesId, const Exemplar&) override {}
  void metadata(const Metadata&) override {}
  std::size_t made = 0;

 private:
  std::expected<SeriesId, Refused> make(std::string_view raw, std::size_t at, std::size_t key) {
    ++made;
    std::vector<Label> labels;
    TM_CHECK(read_raw_labels(raw, labels) && settle(labels) == LabelFault::none);
    labels_.push_back(labels_of(labels));
    table_[at] = {key, static_cast<std::uint32_t>(labels_.size())};
    return SeriesId(static_cast<std::uint32_t>(labels_.size() - 1));
  }
  std::vector<std::pair<std::size_t, std::uint32_t>> table_;
  std::vector<Labels> labels_;
};

// Runs `once`, which does `count` operations, for the time that was asked, `rounds` times.
void measure(const bench::Asked& asked, std::string_view what, std::string_view unit,
             std::size_t count, const std::function<void()>& once) {
  once();
  std::vector<double> rates;
  for (int round = 0; round < asked.rounds; ++round) {
    const auto begin = Stopwatch::now();
    std::size_t times = 0;
    double seconds = 0;
    do {
      once();
      ++times;
      seconds = std::chrono::duration<double>(Stopwatch::now() - begin).count();
    } while (seconds < asked.seconds);
    rates.push_back(static_cast<double>(times * count) / seconds);
  }
  bench::print(what, unit, rates);
}

void remote_write(const bench::Asked& asked, std::size_t steps) {
  std::vector<std::string> requests;
  std::string message;
  for (std::size_t i = 0; i < series_count; ++i) {
    std::string fields = label_fields(labels_of_series(i));
    for (std::size_t step = 0; step < steps; ++step)
      fields += sample_field(value_of(i, step), time_of(step));
    message += time_series(fields);
    if ((i + 1) * steps % request_samples != 0) continue;
    requests.push_back(snappy_block(message));
    message.clear();
  }
  Known store;
  RemoteWrite request;
  measure(asked, fmt::format("remote write, {} samples a series", steps), "samples/s",
          series_count * steps, [&] {
            for (const std::string& body : requests) {
              const auto counts = request.read(body, store);
              TM_CHECK(counts && counts->samples == request_samples);
            }
          });
  TM_CHECK(store.made == series_count);
}

class Counted : public ExpositionSink {
 public:
  Status metadata(const Metadata&) override { return {}; }
  Status sample(const ExpositionSample& sample) override {
    labels += sample.labels.size();
    return {};
  }
  std::size_t labels = 0;
};

void exposition(const bench::Asked& asked, ExpositionFormat format) {
  const bool open = format == ExpositionFormat::open_metrics;
  std::string page;
  for (std::size_t i = 0; i < series_count; ++i) {
    for (const auto& [name, value] : labels_of_series(i))
      page += name == metric_name
                  ? value + "{"
                  : fmt::format("{}{}=\"{}\"", page.ends_with('{') ? "" : ",", name, value);
    page += fmt::format("}} {}\n", value_of(i, 1));
  }
  if (open) page += "# EOF\n";
  Counted sink;
  measure(asked, open ? "OpenMetrics" : "text 0.0.4", "samples/s", series_count, [&] {
    const auto counts = read_exposition(page, format, sink);
    TM_CHECK(counts && counts->samples == series_count);
  });
}

void statsd(const bench::Asked& asked, std::string_view what, std::string_view type, bool tags) {
  std::vector<std::string> datagrams(1);
  for (std::size_t i = 0; i < series_count; ++i) {
    // Histograms are fewer: they are bounded.
    const std::size_t n = type == "ms" ? i % 1000 : i;
    const std::string line =
        fmt::format("mill.requests.{}.{}:{}|{}{}\n", n % 100, tags ? 0 : n, i % 977 + 1, type,
                    tags ? fmt::format("|#service:mill,endpoint:/v1/jobs,shard:{}", n) : "");
    if (datagrams.back().size() + line.size() > 1432) datagrams.emplace_back();
    datagrams.back() += line;
  }
  Statsd sums;
  measure(asked, fmt::format("StatsD, {}", what), "lines/s", series_count, [&] {
    for (const std::string& datagram : datagrams) sums.take(datagram);
  });
  TM_CHECK(sums.lines() % series_count == 0);
}

}  // namespace
}  // namespace tallymill::collector

int main(int argc, char** argv) {
  using namespace tallymill::collector;
  const auto asked = tallymill::bench::asked({.name = "parsers",
                                              .parts = {"remote_write", "exposition", "statsd"},
                                              .rounds = 5,
                                              .seconds = 0.2},
                                             argc, argv);
  if (asked.wants("remote_write")) {
    remote_write(asked, 1);
    remote_write(asked, 10);
  }
  if (asked.wants("exposition")) {
    exposition(asked, ExpositionFormat::text);
    exposition(asked, ExpositionFormat::open_metrics);
  }
  if (asked.wants("statsd")) {
    statsd(asked, "counters", "c", false);
    statsd(asked, "counters with three tags", "c", true);
    statsd(asked, "timings with three tags", "ms", true);
  }
}
