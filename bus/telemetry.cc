#include "bus/telemetry.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <thread>
#include <utility>

#include "base/process_probe.h"
#include "base/thread.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "bus/loop.h"

namespace tallymill::bus {
namespace {

constexpr auto no_number = limits::telemetry_series;

std::string host_and_pid() {
  std::array<char, 256> name{};
  (void)::gethostname(name.data(), name.size() - 1);
  return fmt::format("{}:{}", name.data(), ::getpid());
}

}  // namespace

// ---- TelemetryWriter ----

TelemetryWriter::TelemetryWriter(std::string job, std::string instance, std::int64_t incarnation)
    : job_(std::move(job)), instance_(std::move(instance)) {
  frame_.incarnation = incarnation;
}

bool TelemetryWriter::write(std::span<const metrics::Snapshot> snapshots, const Wanted& wanted,
                            Buffer& out) {
  frame_.clear();
  frame_.job = job_;
  frame_.instance = instance_;
  ++frame_.sequence;
  told_ms_ = std::exchange(frame_.t_ms, wanted.t_ms);
  frame_.whole = wanted.whole;
  frame_.last = wanted.last;
  families_.resize(snapshots.size());
  for (std::size_t i = 0; i < snapshots.size(); ++i)
    for (const metrics::Snapshot::Family& family : snapshots[i].families)
      add_family(family, families_[i][family.name], wanted.whole);
  out.truncate(0);
  encode(frame_, out);
  return out.size() <= static_cast<std::size_t>(limits::telemetry_frame_bytes.raw()) &&
         frame_.buckets.size() <= limits::telemetry_buckets;
}

void TelemetryWriter::add_family(const metrics::Snapshot::Family& family, Numbers& numbers,
                                 bool whole) {
  const std::size_t count = family.samples.size() + family.distributions.size();
  number(numbers, count);
  TelemetryFrame::Family told{family.name, family.help, family.type, family.unit, 0};
  // A family has samples or distributions, never both.
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t id = numbers[i];
    if (id == no_number) continue;
    const bool is_sample = i < family.samples.size();
    if (whole || !known_[id].told) {
      const metrics::Labels& labels =
          is_sample ? family.samples[i].labels : family.distributions[i].labels;
      frame_.series.push_back({id, static_cast<std::uint32_t>(labels.size())});
      for (const auto& [name, value] : labels) frame_.labels.push_back({name, value});
      ++told.series;
      known_[id].told = true;
    }
    if (is_sample)
      add_value(id, family.samples[i].value, whole);
    else
      add_distribution(id, family.distributions[i], whole);
  }
  if (told.series != 0) frame_.families.push_back(told);
}

void TelemetryWriter::number(Numbers& numbers, std::size_t count) {
  while (numbers.size() < count) {
    const bool room = known_.size() < limits::telemetry_series;
    numbers.push_back(room ? static_cast<std::uint32_t>(known_.size()) : no_number);
    if (room)
      known_.emplace_back();
    else
      ++refused_;
  }
}

void TelemetryWriter::add_value(std::uint32_t id, double value, bool whole) {
  Known& known = known_[id];
  if (!whole && !known.due && value == known.value) return;
  known.due = false;
  known.value = value;
  frame_.values.push_back({id, value});
}

void TelemetryWriter::add_distribution(std::uint32_t id, const metrics::Snapshot::Distribution& one,
                                       bool whole) {
  Known& known = known_[id];
  const ProbeHistogram& now = one.histogram;
  if (!whole && !known.due && now.count() == known.count && now.sum_ns() == known.sum_ns) return;
  known.due = false;
  known.count = now.count();
  known.sum_ns = now.sum_ns();
  TelemetryFrame::Distribution told{id, 0, 0, now.sum_ns()};
  now.each_filled([&](std::size_t index, std::uint64_t count) {
    frame_.buckets.push_back({static_cast<std::uint32_t>(index), count});
    ++told.buckets;
  });
  for (const metrics::Snapshot::Exemplar& exemplar : one.exemplars) {
    if (!whole && exemplar.t_ms < told_ms_) continue;
    frame_.exemplars.push_back(exemplar);
    ++told.exemplars;
  }
  frame_.distributions.push_back(told);
}

void TelemetryWriter::not_sent() {
  for (const TelemetryFrame::Series& one : frame_.series) known_[one.id].told = false;
  for (const TelemetryFrame::Value& one : frame_.values) known_[one.id].due = true;
  for (const TelemetryFrame::Distribution& one : frame_.distributions) known_[one.id].due = true;
}

// ---- Telemetry ----

class Telemetry::State {
 public:
  State(TelemetryOptions options, zmq::socket_t&& socket)
      : options_(std::move(options)),
        socket_(std::move(socket)),
        loop_(clock_),
        writer_(options_.job, options_.instance, to_ns(clock_.wall())) {
    if (options_.process) process_.emplace(registry_);
  }
  ~State() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // The monitor first: it must see the first connect.
  [[nodiscard]] Status open(zmq::context_t& context) {
    auto monitor = Monitor::of(context, socket_);
    if (!monitor) return std::unexpected(std::move(monitor).error());
    monitor_ = std::move(*monitor);
    return open_also(socket_, Role::telemetry_out, options_.endpoint,
                     {.insecure = options_.insecure});
  }

  void start() {
    thread_ = std::thread([this] {
      name_thread("telemetry");
      loop_.watch(monitor_->socket(), [this] { on_change(); });
      loop_.every(options_.period, [this] { tell(false); });
      loop_.run();
      tell(true);
      loop_.unwatch(monitor_->socket());
    });
  }

 private:
  void on_change() {
    Monitor::Event event{};
    while (monitor_->next(event)) {
      connected_ = event == Monitor::Event::connected;
      if (connected_) until_whole_ = 0;
    }
  }
  void tell(bool last);

  const SystemClock clock_;
  TelemetryOptions options_;
  zmq::socket_t socket_;
  std::unique_ptr<Monitor> monitor_;
  Loop loop_;

  // Its own metrics; names and labels only here.
  metrics::Registry registry_;
  metrics::Counter& sent_ = registry_.counter("tallymill_telemetry_frames_total",
                                              "Frames that were given to the collector's socket.");
  metrics::Counter& away_ = dropped("away");
  metrics::Counter& slow_ = dropped("slow");
  metrics::Counter& large_ = dropped("large");
  metrics::Gauge& series_ = registry_.gauge("tallymill_telemetry_series",
                                            "Series that this process tells the collector of.");
  metrics::Gauge& refused_ =
      registry_.gauge("tallymill_telemetry_series_refused", "Series for which there was no room.");
  metrics::Gauge& frame_bytes_ = registry_.gauge("tallymill_telemetry_frame_bytes",
                                                 "Size of the last frame that held all series.");

  metrics::Counter& dropped(const char* why) {
    return registry_.counter("tallymill_telemetry_frames_dropped_total",
                             "Frames that could not be given to the collector's socket, by reason.",
                             {{"why", why}});
  }

  std::optional<ProcessProbe> process_;

  TelemetryWriter writer_;
  std::vector<metrics::Snapshot> snapshots_;
  Buffer out_;
  bool connected_ = false;
  int until_whole_ = 0;  // frames
  Instant sent_at_;
  std::thread thread_;
};

void Telemetry::State::tell(bool last) {
  // Also without a collector: it is what gives memory back.
  if (process_) process_->look();
  if (!connected_) {
    away_.add();
    return writer_.skip();
  }
  snapshots_.clear();
  for (const auto& source : options_.sources) snapshots_.push_back(source());
  snapshots_.push_back(registry_.snapshot());
  // Who heard nothing for a while has taken this process for gone.
  const Instant now = clock_.now();
  const bool whole = last || until_whole_ <= 0 || now - sent_at_ > 2 * options_.period;
  const bool fits =
      writer_.write(snapshots_, {to_ns(clock_.wall()) / 1'000'000, whole, last}, out_);
  series_.set(static_cast<double>(writer_.series()));
  refused_.set(static_cast<double>(writer_.refused()));
  if (whole) frame_bytes_.set(static_cast<double>(out_.size()));
  if (!fits) {
    large_.add();
    return writer_.not_sent();
  }
  Frames frames;
  frames.emplace_back(out_.data(), out_.size());
  if (!send(socket_, std::move(frames))) {
    slow_.add();
    return writer_.not_sent();
  }
  sent_.add();
  sent_at_ = now;
  until_whole_ = whole ? limits::telemetry_whole_every - 1 : until_whole_ - 1;
}

Telemetry::Telemetry(std::unique_ptr<State> state) : state_(std::move(state)) {}
Telemetry::~Telemetry() = default;

Result<std::unique_ptr<Telemetry>> Telemetry::start(zmq::context_t& context,
                                                    TelemetryOptions options) {
  if (options.instance.empty()) options.instance = host_and_pid();
  auto socket = make_socket(context, Role::telemetry_out, {.insecure = options.insecure});
  if (!socket) return std::unexpected(std::move(socket).error());
  auto state = std::make_unique<State>(std::move(options), std::move(*socket));
  if (auto opened = state->open(context); !opened)
    return std::unexpected(std::move(opened).error().in("telemetry"));
  state->start();
  return std::unique_ptr<Telemetry>(new Telemetry(std::move(state)));
}

}  // namespace tallymill::bus
