// TelemetryFrame: what a process says each second of what it counts (docs/formats/telemetry.md).
//
// Values are cumulative, so that a frame that is lost costs resolution and never counts. A frame
// holds the series that changed since the one before; a whole frame holds all, and what each of
// them is. Between a sender's start and its end a series has a number of its own, and is called by
// that.
//
// The parts lie in lists side by side: a family says how many of `series` are its own, behind those
// of the families before it, and so on. A frame that is read again and again allocates nothing.
//
//   invariant: of a decoded frame every number, length and index is within its bound
//              (limits::telemetry_*), buckets and exemplars ascend within their distribution, and
//              lists are as long as those that count them say. Text is as it came
//
// Threads: values; the views in one live as long as the bytes or the snapshot that it is made from.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "bus/msgpack_writer.h"

namespace tallymill::bus {

struct TelemetryFrame {
  struct Family {
    std::string_view name;
    std::string_view help;
    metrics::Type type = metrics::Type::counter;
    metrics::Unit unit = metrics::Unit::none;
    std::uint32_t series = 0;
  };
  struct Series {
    std::uint32_t id = 0;
    std::uint32_t labels = 0;
  };
  struct Label {
    std::string_view name;
    std::string_view value;
  };
  struct Value {  // of a counter or a gauge
    std::uint32_t id = 0;
    double value = 0;
  };
  struct Distribution {  // of a histogram
    std::uint32_t id = 0;
    std::uint32_t buckets = 0;
    std::uint32_t exemplars = 0;
    std::uint64_t sum_ns = 0;
  };
  struct Bucket {
    std::uint32_t index = 0;  // in a ProbeHistogram
    std::uint64_t count = 0;
  };
  using Exemplar = metrics::Snapshot::Exemplar;

  std::string_view job;          // what kind of process: "compute"
  std::string_view instance;     // which of them; the same after a restart
  std::int64_t incarnation = 0;  // when it started, ns since 1970: a later start has a higher one
  std::int64_t sequence = 0;     // 1, 2, 3, ...; also of frames that were not sent
  std::int64_t t_ms = 0;         // of all values, since 1970
  bool whole = false;
  bool last = false;  // the process ends

  std::vector<Family> families;
  std::vector<Series> series;
  std::vector<Label> labels;
  std::vector<Value> values;
  std::vector<Distribution> distributions;
  std::vector<Bucket> buckets;
  std::vector<Exemplar> exemplars;

  void clear();
};

// Behind what `out` holds.
void encode(const TelemetryFrame& frame, Buffer& out);

// bad_frame: no such frame, or one that says more than it may; version: of a later format; too_big.
// `into` then holds nothing of use.
[[nodiscard]] Status decode(std::string_view untrusted, TelemetryFrame& into);

}  // namespace tallymill::bus
