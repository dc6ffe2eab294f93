#include "bench/collector_bus.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "base/check.h"
#include "bench/collector_samples.h"
#include "bus/telemetry_frame.h"

namespace tallymill::bench {
namespace {

constexpr std::size_t senders = 2;
constexpr std::size_t sender_series = series_count / senders;
constexpr int frames_waiting = 8;

// One sender's, of which the first says what the series are.
class Frames {
 public:
  explicit Frames(std::size_t sender) : first_(sender * sender_series) {
    instance_ = fmt::format("bench-{}", sender);
    frame_.job = "mill";
    frame_.instance = instance_;
    frame_.incarnation = 1;
    for (std::size_t i = 0; i < sender_series; ++i) {
      labels_.push_back(labels_of_series(first_ + i));
      frame_.values.push_back({static_cast<std::uint32_t>(i), 0});
    }
  }
  void add(const Values& values, std::int64_t t_ms) {
    frame_.t_ms = t_ms;
    ++frame_.sequence;
    frame_.whole = frame_.sequence == 1;
    if (frame_.whole) define();
    for (std::size_t i = 0; i < sender_series; ++i) frame_.values[i].value = values.of(first_ + i);
    bus::Buffer made;
    encode(frame_, made);
    all.emplace_back(made.view());
    frame_.families.clear();
    frame_.series.clear();
    frame_.labels.clear();
  }
  std::vector<std::string> all;

 private:
  void define() {
    for (std::size_t i = 0; i < sender_series; ++i) {
      const SeriesLabels& labels = labels_[i];
      const std::string_view name = labels[0].second;
      if (frame_.families.empty() || frame_.families.back().name != name)
        frame_.families.push_back(
            {.name = name,
             .help = "What a bench makes up.",
             .type = is_gauge(first_ + i) ? metrics::Type::gauge : metrics::Type::counter});
      ++frame_.families.back().series;
      frame_.series.push_back({static_cast<std::uint32_t>(i), 0});
      for (const auto& [label, value] : labels) {
        if (label == "__name__" || label == "job") continue;
        // The collector says itself which instance it heard of.
        frame_.labels.push_back({label == "instance" ? "host" : std::string_view(label), value});
        ++frame_.series.back().labels;
      }
    }
  }

  std::size_t first_;
  std::string instance_;
  std::vector<SeriesLabels> labels_;
  bus::TelemetryFrame frame_;
};

}  // namespace

void push_bus(const std::string& endpoint, std::size_t steps, std::int64_t end_ms) {
  std::array<Frames, senders> frames{Frames(0), Frames(1)};
  Values values;
  for (std::size_t step = 0; step < steps; ++step) {
    values.step();
    for (Frames& one : frames)
      one.add(values, end_ms - static_cast<std::int64_t>(steps - 1 - step) * step_ms);
  }
  std::size_t bytes = 0;
  for (const Frames& one : frames)
    for (const std::string& frame : one.all) bytes += frame.size();
  zmq::context_t context;
  const double begin =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::vector<std::thread> threads;
  for (const Frames& one : frames)
    threads.emplace_back([&context, &one, &endpoint] {
      zmq::socket_t socket(context, zmq::socket_type::push);
      socket.set(zmq::sockopt::sndhwm, frames_waiting);
      socket.connect(endpoint);
      for (const std::string& frame : one.all)
        TM_CHECK(socket.send(zmq::buffer(frame), zmq::send_flags::none).has_value());
    });
  for (std::thread& thread : threads) thread.join();
  context.close();
  fmt::print(R"({{"samples": {}, "bytes": {}, "begin": {}}})"
             "\n",
             steps * series_count, bytes, begin);
}

}  // namespace tallymill::bench
